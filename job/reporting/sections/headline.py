"""What was run, and what came of it: the part that is read when nothing else is."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import Any

from job.reporting import formats
from job.reporting.bundle import ReportBundle
from job.reporting.charts import Words
from job.reporting.plots import Estimate, comparison
from job.reporting.sections import tuning

BOUNDED = ("accuracy", "precision", "recall", "f1", "roc_auc")
"""Beginnings (or, for accuracy, endings) of metrics that lie between 0 and 1."""
BASELINES = {"majority": "Always the same answer", "untrained": "Before training"}
BASELINES_SHORT = {"majority": "always the same answer", "untrained": "the model before training"}
ROLES = {
    "adapter": "Adapter to start from",
    "data/train": "Training data",
    "data/eval": "Validation data",
    "data/test": "Test data",
}
PROBLEMS = {"single_label": "one label of {}", "multi_label": "any of {} labels", "regression": "a number"}


def headline(bundle: ReportBundle) -> dict[str, Any]:
    """Title line, result with interval and baselines, and the facts of the run as (name, value) pairs."""
    return {
        "result": result(bundle),
        "comparison": _comparison(bundle),
        "facts": [(name, value) for name, value in facts(bundle) if value],
    }


def metric_name(key: str) -> str:
    """A metric as one reads it: ``f1_macro`` → ``F1 macro``."""
    words = {
        "f1": "F1",
        "roc": "ROC",
        "auc": "AUC",
        "mcc": "MCC",
        "ece": "ECE",
        "mse": "MSE",
        "rmse": "RMSE",
        "mae": "MAE",
        "r2": "R²",
        "rouge": "ROUGE",
        "l": "L",
        "bleu": "BLEU",
        "chrf": "chrF",
    }
    return " ".join(words.get(word, word) for word in key.split("_"))


def estimates(bundle: ReportBundle) -> list[Estimate]:
    """The result with its interval, then the baselines that have the main metric."""
    metric, interval = bundle.main_metric, bundle.evaluation.get("interval", {})
    value = bundle.evaluation.get("metrics", {}).get(metric)
    if not isinstance(value, int | float):
        return []
    own = interval if interval.get("metric") == metric else {}
    found = [Estimate("This model", value, own.get("low"), own.get("high"))]
    for key, label in BASELINES.items():
        baseline = bundle.evaluation.get("baselines", {}).get(key, {}).get(metric)
        if isinstance(baseline, int | float):
            found.append(Estimate(label, baseline))
    return found


def result(bundle: ReportBundle) -> dict[str, str]:
    """The main metric in figures and in a sentence; empty without an evaluation."""
    found = estimates(bundle)
    if not found:
        return {}
    own, level = found[0], bundle.evaluation.get("interval", {}).get("level")
    interval = f"{formats.metric(own.low)} to {formats.metric(own.high)}" if own.low is not None else ""
    split = "test" if bundle.evaluation.get("split") == "test" else "validation"
    return {
        "metric": metric_name(bundle.main_metric),
        "value": formats.metric(own.value),
        "interval": interval,
        "level": f"{100 * level:g} %" if level else "",
        "examples": f"{formats.count(bundle.evaluation.get('num_examples'))} {split} examples",
        "baselines": ", ".join(f"{_short(one)} {formats.metric(one.value)}" for one in found[1:]),
    }


def _short(one: Estimate) -> str:
    return next(BASELINES_SHORT[key] for key, label in BASELINES.items() if label == one.label)


def _comparison(bundle: ReportBundle) -> Any:
    found, metric = estimates(bundle), bundle.main_metric
    bounded = metric.startswith(BOUNDED) or metric.endswith("accuracy")
    described = ", ".join(f"{one.label} {formats.metric(one.value)}" for one in found)
    words = Words(f"{metric_name(metric)} beside its baselines", described)
    return comparison(words, found, (0.0, 1.0) if bounded else None)


def facts(bundle: ReportBundle) -> list[tuple[str, str]]:
    """What was run on what, in short; a value is empty where nothing is known."""
    model = bundle.sources.get("model", {})
    parameters = bundle.train.get("num_parameters")
    return [
        ("Model", _source(model)),
        ("Parameters", formats.count(parameters) + tuning.trained_share(bundle) if parameters else ""),
        ("Task", _task(bundle)),
        *((ROLES.get(role, role), _source(source)) for role, source in bundle.sources.items() if role != "model"),
        ("Examples", _examples(bundle)),
        ("Method", _method(bundle)),
        ("Engine", _engine(bundle.train.get("engine", {}))),
        ("Training", _training(bundle)),
        ("Published", _published(bundle)),
        ("Time", formats.duration(sum(bundle.timings.values())) if bundle.timings else ""),
    ]


def _source(source: dict[str, Any]) -> str:
    """An input with its revision or, where there is none, the hash of its bytes, and its size."""
    if not source:
        return ""
    revision, digest = source.get("revision"), source.get("sha256")
    identity = f"revision {revision[:12]}" if revision else f"sha256 {digest[:12]}" if digest else ""
    return ", ".join(filter(None, [_shortened(str(source.get("uri", ""))), identity, formats.size(source.get("size_bytes"))]))


def _shortened(uri: str) -> str:
    """Local paths by their last two parts: the folders above are this machine's own business."""
    path = PurePosixPath(uri.removeprefix("file://"))
    return uri if not path.is_absolute() or len(path.parts) <= 3 else "…/" + "/".join(path.parts[-2:])


def _task(bundle: ReportBundle) -> str:
    labels = bundle.prepared.get("labels", [])
    task = str(bundle.settings.get("task", "")).replace("-", " ")
    return ": ".join(filter(None, [task, PROBLEMS.get(bundle.problem, "").format(len(labels))]))


def _examples(bundle: ReportBundle) -> str:
    names = {"train": "training", "eval": "validation", "test": "test"}
    return ", ".join(
        f"{formats.count(number)} {names.get(split, split)}" for split, number in bundle.prepared.get("num_examples", {}).items()
    )


def _method(bundle: ReportBundle) -> str:
    train = bundle.settings.get("train", {})
    if not train:
        return str(bundle.settings.get("tuning", {}).get("method", ""))
    weights = tuning.method(bundle)
    rate = (
        f"learning rate {formats.compact(train['learning_rate'])}, {train.get('schedule', '')}" if "learning_rate" in train else ""
    )
    batch = f"{formats.count(train['global_batch_size'])} examples a step" if "global_batch_size" in train else ""
    return ", ".join(filter(None, [weights, rate, batch]))


def _engine(engine: dict[str, Any]) -> str:
    processes = engine.get("world_size")
    number = f"{processes} process{'es' if processes != 1 else ''}" if processes else ""
    return ", ".join(str(part) for part in (engine.get("kind"), number, engine.get("device"), engine.get("precision")) if part)


def _training(bundle: ReportBundle) -> str:
    if "step" not in bundle.train:
        return ""
    return f"{formats.count(bundle.train['step'])} steps, {bundle.train.get('epoch', 0):.3g} epochs"


def _published(bundle: ReportBundle) -> str:
    """Which step's weights were published, and why."""
    train = bundle.train
    if "best_step" not in train:
        return ""
    chosen = train.get("best_metric", "none")
    why = (
        f", best validation {metric_name(chosen)} {formats.metric(train.get('best_value'))}"
        if chosen != "none"
        else ", the last one"
    )
    return f"step {formats.count(train['best_step'])}{why}{tuning.published(bundle)}"
