"""Runs of a sweep: as a comparison is given them, and as they lie in a store."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from job.reporting.comparison import Variant
from job.storage.base import Store
from job.storage.commit import Attempt, RunLog

RATES = (1e-5, 3e-5, 1e-4)
SCORES = (0.871, 0.912, 0.903)


def evaluation(value: float, half: float = 0.014) -> dict[str, Any]:
    """An `EvalReport` as a dict."""
    return {
        "split": "test",
        "num_examples": 2000,
        "main_metric": "accuracy",
        "metrics": {"accuracy": value},
        "interval": {"metric": "accuracy", "value": value, "low": value - half, "high": value + half, "level": 0.95},
        "greater_is_better": True,
    }


def variants() -> list[Variant]:
    """Three runs with scores, one that failed, one under way."""
    found = [
        Variant(
            f"reviews-{at}",
            "complete",
            {"JOB_TRAIN__LEARNING_RATE": rate, "JOB_TUNING__METHOD": "lora" if at else "full", "JOB_RUN__SEED": 42},
            1000.0 + 400 * at,
            evaluation(score),
            model_uri=f"s3://bucket/runs/reviews-{at}/attempts/0123456789abcdef/model",
        )
        for at, (rate, score) in enumerate(zip(RATES, SCORES, strict=True))
    ]
    settings = {"JOB_TRAIN__LEARNING_RATE": 1e-2, "JOB_TUNING__METHOD": "full", "JOB_RUN__SEED": 42}
    reason = "failed with 93 (hopeless) at 2026-11-27 12:00:00: Loss or gradients were not finite at step 8: training diverged. No update was made."
    under_way = "last commit at step 400, validation accuracy 0.871"
    return [
        *found,
        Variant("reviews-3", "failed", settings, 95.0, note=reason),
        Variant("reviews-4", "running, or ended without a word", {**settings, "JOB_RUN__SEED": 7}, 700.0, note=under_way),
    ]


def begin(store: Store, name: str, **settings: Any) -> Attempt:
    """The first attempt at a run, with settings as `job.settings.resolved` names them."""
    return RunLog(store, name).start("fingerprint", {"settings": settings, "places": {"model.uri": "org/model"}})


def publish(attempt: Attempt, folder: Path, about: dict[str, Any]) -> None:
    """Publish a model with these scores, and end the run."""
    (folder / "report").mkdir(parents=True)
    (folder / "report/metrics.json").write_text(json.dumps(about))
    (folder / "config.json").write_text("{}")
    attempt.publish_model(folder, {"step": 40})
    attempt.complete({"metric": about["main_metric"]})
