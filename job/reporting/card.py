"""The model card: the README of the published model, readable by people and, in its header, by the Hub.

The card states only what the run knows.  The licence is the one thing that it cannot know: that of the base model and of the
data decide it.
"""

from __future__ import annotations

import re
from typing import Any

from huggingface_hub import EvalResult, ModelCard, ModelCardData
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from job.reporting.bundle import ReportBundle
from job.reporting.report import TEMPLATES
from job.reporting.sections import tuning
from job.reporting.sections.data import data
from job.reporting.sections.headline import facts, headline, metric_name
from job.reporting.sections.scores import all_metrics, classes

CLASSIFICATION = "text-classification"
CARD_METRICS = (
    "accuracy",
    "f1_macro",
    "f1_micro",
    "f1_weighted",
    "subset_accuracy",
    "mcc",
    "roc_auc",
    "mse",
    "mae",
    "pearson",
    "spearman",
    "r2",
    "rouge_l",
    "bleu",
    "chrf",
)
"""Metrics that go into the header, where the bundle has them."""
HUB_METRICS = {
    "f1_macro": "f1",
    "f1_micro": "f1",
    "f1_weighted": "f1",
    "pearson": "pearsonr",
    "spearman": "spearmanr",
    "mcc": "matthews_correlation",
    "rouge_l": "rouge",
}
"""Our metrics by the names that the Hub's metric pages have; the others are called the same."""
SHOWN_SETTINGS = (
    "epochs", "max_steps", "learning_rate", "schedule", "warmup_ratio", "weight_decay", "max_grad_norm", "global_batch_size",
    "max_seq_length", "batching", "precision", "class_weights",
)  # fmt: skip
PLACEHOLDER = "path/or/hub-name/of/this/model"


def render(bundle: ReportBundle) -> str:
    """The card as Markdown with its YAML header; parts that the bundle does not have are left out."""
    shown = bundle.masked()
    placeholder = (shown.settings.get("output") or {}).get("hub_repo") or PLACEHOLDER
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        autoescape=False,  # noqa: S701 - this is Markdown; the `cell` filter escapes for it
    )
    environment.filters["cell"] = cell
    body = environment.get_template("card.md.j2").render(
        name=shown.name,
        problem=shown.problem,
        base=base_model(shown) or _where(shown.sources.get("model", {})),
        headline=headline(shown),
        facts=[(name, value) for name, value in facts(shown) if value],
        settings=training_settings(shown),
        ledger=data(shown),
        metrics=all_metrics(shown),
        majority="majority" in shown.evaluation.get("baselines", {"majority": {}}),
        classes=classes(shown.evaluation.get("metrics", {})),
        versions=shown.versions,
        placeholder=placeholder,
        adapter=tuning.adapter(shown),
        merge=tuning.merge(shown),
        usage=str(shown.evaluation.get("usage", "")).replace("{model}", placeholder),
        example=_example(shown),
    )
    return str(ModelCard(f"---\n{header(shown).to_yaml()}\n---\n\n{body}"))


def header(bundle: ReportBundle) -> ModelCardData:
    """The YAML header."""
    results = eval_results(bundle)
    return ModelCardData(
        base_model=base_model(bundle) or None,
        datasets=sorted({name for role, source in bundle.sources.items() if role != "model" and (name := hub_name(source))})
        or None,
        eval_results=results or None,
        base_model_relation=tuning.relation(bundle) if base_model(bundle) else None,
        library_name="peft" if bundle.train.get("published") == "adapter" else "transformers",
        license="unknown",
        metrics=sorted({str(one.metric_type) for one in results}) or None,
        model_name=bundle.name if results else None,
        pipeline_tag=pipeline_tag(bundle),
        tags=_tags(bundle),
    )


def eval_results(bundle: ReportBundle) -> list[EvalResult]:
    """The main scores as the Hub's model index has them, the main metric first."""
    metrics, main = bundle.evaluation.get("metrics", {}), bundle.main_metric
    keys = [main, *(key for key in CARD_METRICS if key != main)]
    source = bundle.sources.get("data/test") or bundle.sources.get("data/train", {})
    dataset = hub_name(source)
    return [
        EvalResult(
            task_type=pipeline_tag(bundle),
            task_name=pipeline_tag(bundle).replace("-", " "),
            dataset_type=dataset or "custom",
            dataset_name=dataset or "the run's own data",
            dataset_split=bundle.evaluation.get("split"),
            dataset_revision=source.get("revision") or None if dataset else None,
            metric_type=HUB_METRICS.get(key, key),
            metric_name=metric_name(key),
            metric_value=round(metrics[key], 6),
        )
        for key in keys
        if isinstance(metrics.get(key), int | float)
    ]


def pipeline_tag(bundle: ReportBundle) -> str:
    """The Hub's name of what the model does."""
    return str(bundle.evaluation.get("pipeline_tag") or CLASSIFICATION)


def _tags(bundle: ReportBundle) -> list[str]:
    problem = [bundle.problem.replace("_", "-")] if bundle.problem else []
    return list(dict.fromkeys([pipeline_tag(bundle), *problem, *tuning.tags(bundle)]))


def hub_name(source: dict[str, Any]) -> str:
    """``org/name`` of an input from the Hub; empty for any other.  Only what the Hub resolved has a revision."""
    if not source.get("revision"):
        return ""
    return str(source.get("uri", "")).removeprefix("hf://").removeprefix("datasets/").partition("@")[0]


def base_model(bundle: ReportBundle) -> str:
    """``org/name`` of the model that was fine-tuned; empty when it did not come from the Hub."""
    return hub_name(bundle.sources.get("model", {}))


def training_settings(bundle: ReportBundle) -> list[tuple[str, str]]:
    """The settings of training that were in force."""
    train = bundle.settings.get("train", {})
    return [(name.replace("_", " "), str(train[name])) for name in SHOWN_SETTINGS if train.get(name) is not None]


def cell(text: object) -> str:
    """Text for a Markdown table or line: no markup, no line breaks."""
    flat = " ".join(str(text).split())
    return re.sub(r"([\\`*_{}\[\]|])", r"\\\1", flat).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _where(source: dict[str, Any]) -> str:
    return (
        "a model from the local disk" if str(source.get("uri", "")).startswith(("/", "file:", ".")) else str(source.get("uri", ""))
    )


def _example(bundle: ReportBundle) -> str:
    """What one puts into the pipeline: one text, or two."""
    pair = bundle.settings.get("data", {}).get("text_pair_column")
    return '{"text": "A text.", "text_pair": "Another text."}' if pair else '"A text to classify."'
