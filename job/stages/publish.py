"""Publish: the evaluated model with its card, report and records goes to the store; then the run is complete."""

from __future__ import annotations

import importlib.metadata
import platform
import shutil
from typing import Any

from job import run_dir as run_dirs
from job.records import EvalReport, FetchedInputs, PublishedRun, TrainResult
from job.reporting import bundle, card, report
from job.run_dir import TEMPORARY_PREFIX
from job.settings import resolved
from job.stages.context import RunContext

PACKAGES = (
    "torch",
    "transformers",
    "datasets",
    "accelerate",
    "tokenizers",
    "safetensors",
    "scikit-learn",
    "numpy",
    "boto3",
    "huggingface_hub",
)


def publish(context: RunContext, fetched: FetchedInputs, scored: EvalReport, timings: dict[str, float]) -> PublishedRun:
    """Put the model folder in the store and mark the run complete.

    Args:
        context: the attempt.
        fetched: where the inputs came from.
        scored: the scores of ``model/``.
        timings: seconds of the stages so far.
    """
    run_dir, attempt = context.run_dir, context.attempt
    parts = bundle.ReportBundle(
        name=context.settings.run.name,
        settings=resolved.dump(context.settings),
        sources=fetched.sources,
        prepared=run_dirs.read_json(run_dir.prepared / "prepared.json"),
        ledger=run_dirs.read_json(run_dir.ledger),
        train=TrainResult.read(run_dir.root / "train.json").as_dict(),
        evaluation=scored.as_dict(),
        mistakes=run_dirs.read_json(run_dir.evaluation / "mistakes.json"),
        metrics=bundle.read_metrics(run_dir.metrics),
        timings=timings,
        attempts=attempt.history(),
        versions=versions(),
    )
    _write_report(context, parts)
    with context.stop.interruptible():
        identity = {"step": parts.train["best_step"], **run_dirs.read_json(run_dir.identity)}
        result = {"metric": scored.main_metric, "value": scored.interval.get("value")}
        entry = attempt.publish_model(run_dir.model, identity, result)
    published = PublishedRun(
        model_uri=attempt.uri_of(entry),
        report_path=str(run_dir.report / "report.html"),
        step=parts.train["best_step"],
        main_metric=scored.main_metric,
        value=float(scored.metrics[scored.main_metric]),
        manifest_sha256=entry["manifest_sha256"],
    )
    attempt.complete(result)
    return published


def versions() -> dict[str, str]:
    """Versions of what made the result; read from package metadata, so nothing heavy is imported."""
    return {"python": platform.python_version(), **{name: importlib.metadata.version(name) for name in PACKAGES}}


def _write_report(context: RunContext, parts: bundle.ReportBundle) -> None:
    """The report folder, beside the model and inside what is published; the card is the model folder's README."""
    run_dir = context.run_dir
    folder = run_dir.report.with_name(TEMPORARY_PREFIX + run_dir.report.name)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    run_dirs.write_bytes(folder / "report.html", report.render(parts).encode())
    documents: dict[str, Any] = {
        "metrics.json": parts.evaluation,
        "settings.json": parts.settings,
        "versions.json": parts.versions,
        "ledger.json": parts.ledger,
        "sources.json": parts.sources,
        "training.json": parts.train,
        "timings.json": parts.timings,
    }
    for name, value in documents.items():
        run_dirs.write_json(folder / name, value)
    shutil.copyfile(run_dir.metrics, folder / "metrics.jsonl")
    shutil.copyfile(run_dir.evaluation / "predictions.parquet", folder / "predictions.parquet")
    shutil.rmtree(run_dir.report, ignore_errors=True)
    folder.rename(run_dir.report)
    run_dirs.write_bytes(run_dir.model / "README.md", card.render(parts).encode())
    shutil.rmtree(run_dir.model / "report", ignore_errors=True)
    shutil.copytree(run_dir.report, run_dir.model / "report")
