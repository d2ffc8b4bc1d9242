"""Evaluate: a fresh process group loads exactly the files that will be published and scores the test data."""

from __future__ import annotations

from job.cluster import supervise
from job.records import EvalReport, TrainResult
from job.stages.context import RunContext


def evaluate(context: RunContext, trained: TrainResult) -> EvalReport:
    """Score ``model/``, on the main node, where it lies.  Always anew: a score belongs to the bytes that were loaded for it."""
    context.progress.stage(f"evaluate step {trained.best_step}")
    supervise.run(context.crew.alone(), "evaluate")
    return EvalReport.read(context.run_dir.evaluation / "report.json")
