"""How the model was tuned, in words: what was trained, and what was published of it."""

from __future__ import annotations

from typing import Any

from job.reporting import formats
from job.reporting.bundle import ReportBundle

_RANK = 8
_PUBLISHED = {
    "adapter": ", the adapter alone",
    "merged": ", merged into the base",
    "both": ", merged into the base, and the adapter",
}


def method(bundle: ReportBundle) -> str:
    """Which weights were trained."""
    settings = bundle.settings.get("tuning", {})
    name = str(settings.get("method", ""))
    if name == "full":
        return "all weights"
    if name == "freeze":
        layers = settings.get("train_last_layers") or 0
        return f"the head and the last {formats.count(layers)} layers" if layers else "the head alone"
    return _adapter_words(bundle) if name else ""


def trained_share(bundle: ReportBundle) -> str:
    """How many of the parameters were trained, where it was not all of them."""
    trained, parameters = bundle.train.get("num_trained_parameters"), bundle.train.get("num_parameters")
    if not trained or not parameters or trained == parameters:
        return ""
    return f", of which {formats.count(trained)} trained ({100 * trained / parameters:.2g} %)"


def published(bundle: ReportBundle) -> str:
    """What was published of an adapter."""
    return _PUBLISHED.get(str(bundle.train.get("published", "")), "")


def adapter(bundle: ReportBundle) -> dict[str, Any]:
    """What the card of an adapter says of it; empty for a whole model."""
    if bundle.train.get("published") != "adapter":
        return {}
    labels = bundle.prepared.get("labels") or ["LABEL_0"]
    return {"words": _adapter_words(bundle), "labels": repr(dict(enumerate(labels)))}


def merge(bundle: ReportBundle) -> dict[str, Any]:
    """What the card of a merged model says of its adapter; empty for any other."""
    found = bundle.evaluation.get("merge") or {}
    if not found:
        return {}
    return {
        "words": _adapter_words(bundle),
        "examples": formats.count(found["num_examples"]),
        "difference": f"{found['max_abs_difference']:.2g}",
        "largest": f"{found['max_abs_output']:.2g}",
        "both": bundle.train.get("published") == "both",
    }


def relation(bundle: ReportBundle) -> str:
    """What the model is to its base, in the Hub's words."""
    return "adapter" if bundle.train.get("published") == "adapter" else "finetune"


def tags(bundle: ReportBundle) -> list[str]:
    """The method, as the Hub's tags have it."""
    name = str(bundle.settings.get("tuning", {}).get("method", ""))
    return ["lora"] if name in ("lora", "qlora") else []


def _adapter_words(bundle: ReportBundle) -> str:
    settings = bundle.settings.get("tuning", {})
    on = " on a base in 4 bits" if settings.get("method") == "qlora" else ""
    if "adapter" in bundle.sources:
        return f"the adapter that it started from{on}"
    kind = "DoRA" if settings.get("lora_dora") else "LoRA"
    targets = ", ".join(settings.get("lora_targets") or ["all-linear"])
    return f"an adapter ({kind}) of rank {settings.get('lora_rank') or _RANK} on {targets}{on}"
