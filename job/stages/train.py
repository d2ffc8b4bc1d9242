"""Train: run the training program while its finished checkpoints are uploaded and committed beside it."""

from __future__ import annotations

import json
import logging
import os
from pathlib import Path
from typing import Any

from job import run_dir as run_dirs
from job.cluster import supervise
from job.cluster.stop import Pace
from job.errors import FencedError, JobError, StopRequested, as_job_error
from job.records import PreparedData, TrainResult
from job.stages.context import RunContext
from job.stages.uploader import DELIVERED, Uploader

logger = logging.getLogger(__name__)


def train(context: RunContext, prepared: PreparedData) -> TrainResult | None:
    """Train to the end and commit the last checkpoint; the result on the main node.

    Raises:
        StopRequested: after a stop request, when everything trained is committed.
        FencedError: a newer attempt owns the run.
        HopelessError: training diverged.
    """
    run_dir = context.run_dir
    uploader = Uploader(context)
    tail = MetricsTail(run_dir.metrics)

    def tick() -> None:
        uploader.tick()
        # Those of earlier attempts come with the checkpoint: they say nothing of how far or how fast this one is.
        for record in (each for each in tail.new() if each.get("attempt") == context.attempt.number):
            context.progress.update({**_plan(run_dir.plan), **record})
            context.stop.pace.learn(record)

    run_dir.plan.unlink(missing_ok=True)
    try:
        supervise.run(context.crew, "train", tick, saves=True)
    except Exception as outcome:
        _save_what_is_there(context, uploader, as_job_error(outcome))
        raise
    uploader.drain()
    context.group.exchange(DELIVERED, value=True)
    # All of it is committed: what is left may be dropped at any instant, so the deadline needs no lead for another save.
    context.stop.pace = Pace()
    context.progress.done(f"trained {prepared.num_examples['train']} examples")
    # Written where the model lies.
    return TrainResult.read(run_dir.root / "train.json") if context.group.is_main else None


def _save_what_is_there(context: RunContext, uploader: Uploader, outcome: JobError) -> None:
    """Upload what was finished before training ended badly; only a stop's promise depends on it."""
    if isinstance(outcome, FencedError):
        return
    try:
        uploader.drain()
        if isinstance(outcome, StopRequested):
            # Nobody ends as stopped before the main node has committed.
            context.group.exchange(DELIVERED, value=True)
    except JobError as error:
        if isinstance(outcome, StopRequested):
            raise
        logger.warning("the last checkpoints could not be uploaded: %s", error)


def _plan(path: Path) -> dict[str, Any]:
    return dict(run_dirs.read_json(path)) if path.exists() else {}


class MetricsTail:
    """The records that were appended to a metrics file since the last look."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._offset = 0
        self._inode = 0

    def new(self) -> list[dict[str, Any]]:
        """Whole new lines only; a file that was replaced, as a checkpoint's is when a run continues, or became shorter, is read anew."""
        if not self._path.exists():
            return []
        with self._path.open("rb") as file:
            status = os.fstat(file.fileno())
            if status.st_ino != self._inode or status.st_size < self._offset:
                self._offset, self._inode = 0, status.st_ino
            file.seek(self._offset)
            content = file.read()
        whole = content[: content.rfind(b"\n") + 1]
        self._offset += len(whole)
        return [json.loads(line) for line in whole.splitlines()]
