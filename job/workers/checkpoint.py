"""Checkpoints, to continue from: safetensors and JSON only, so that opening one can run no code.

    state.json             progress, versions, fingerprints
    model.safetensors      weights that are trained, fp32 (`job.workers.tuning.trained`)
    optimizer*.safetensors AdamW's moments by parameter name: one file, or one of each rank (`job.workers.engine.files`)
    best.safetensors       the best weights so far, when they are not the current ones
    metrics.jsonl          the run's metrics up to this step
    node-<rank>.json       on other nodes than the main one: that there is this checkpoint

A checkpoint is written under a temporary name, flushed to disk and renamed; the node process uploads what has its final name.
On several nodes each has a folder of its own with what its ranks wrote; only rank 0's holds ``state.json``.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError

from job import run_dir as run_dirs
from job.errors import UnusableError
from job.run_dir import TEMPORARY_PREFIX, RunDir
from job.workers.engine import loss_scale
from job.workers.engine.base import Tensors
from job.workers.engine.files import flush
from job.workers.engine.group import Group
from job.workers.engine.whole import read_weights
from job.workers.state import BestMetric, TrainState

FORMAT = 2
MAX_WAITING = 2
"""Finished checkpoints that may wait for upload: one staged, one uploading.  Training waits rather than filling the disk."""


def preload(run_dir: RunDir, model: torch.nn.Module) -> None:
    """Read the weights of the checkpoint to continue from, if there is one, into a model that no engine has yet.

    Raises:
        UnusableError: when it belongs to another run, or holds what no checkpoint holds.
    """
    if run_dir.input_checkpoint.is_dir():
        with _content():
            check_identity(run_dir, run_dirs.read_json(run_dir.input_checkpoint / "state.json"))
            read_weights(model, run_dir.input_checkpoint / "model.safetensors")


def check_identity(run_dir: RunDir, record: dict[str, Any]) -> None:
    """See that a checkpoint belongs to this run.

    Raises:
        UnusableError: when it was made from other data, another model or by another version's format.
    """
    identity = {"format": FORMAT, **run_dirs.read_json(run_dir.identity)}
    differing = [name for name, value in identity.items() if record.get(name) != value]
    if differing:
        raise UnusableError(
            f"The checkpoint was made with other {', '.join(name.replace('_', ' ') for name in differing)}: "
            "model or data changed since this run was started.",
            "Restore the former inputs, or start a new run under another JOB_RUN__NAME.",
        )


@contextlib.contextmanager
def _content() -> Iterator[None]:
    """Takes what is wrong inside of a checkpoint for what it is, not for a bug: its hashes are right, so that is how it was written."""
    try:
        yield
    except (SafetensorError, ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise UnusableError(
            f"The checkpoint holds something else than this program writes ({type(error).__name__}: {str(error)[:200]}).",
            "See who else writes to the store. When that commit's folder is removed there, the next start continues from the commit before.",
        ) from error


def write_node_marker(run_dir: RunDir, step: int, rank: int) -> Path:
    """Leave a checkpoint's folder on a node that has nothing else to add to it: so its node process knows that there is one.

    Args:
        run_dir: of this node.
        step: of the checkpoint.
        rank: of the first worker of this node.
    """
    final = run_dir.checkpoint(step)
    folder = final.with_name(TEMPORARY_PREFIX + final.name)
    shutil.rmtree(folder, ignore_errors=True)
    run_dirs.write_json(folder / f"node-{rank}.json", {"step": step, "rank": rank})
    folder.rename(final)
    return final


class Checkpointer:
    """Writes and reads the checkpoints of one run directory.  Everything but `must_wait` is called on every rank."""

    def __init__(self, run_dir: RunDir, tensors: Tensors, group: Group, best: BestMetric) -> None:
        self._run_dir = run_dir
        self.tensors = tensors
        self._group = group
        self._best_metric = best

    @property
    def best(self) -> Path:
        """The best weights so far, on this node."""
        return self._run_dir.root / "best.safetensors"

    def must_wait(self) -> bool:
        """Whether the node process has to upload a finished checkpoint before another one may be staged."""
        return len(self._run_dir.finished_checkpoints()) >= MAX_WAITING

    def keep_best(self) -> None:
        """Keep the current weights as the best so far."""
        self.tensors.write_weights(self.best)

    def write(self, state: TrainState, spare_bytes: int = 0) -> Path:
        """Write a checkpoint of this step and give it its final name, on every node that has a part of it.

        Raises:
            LocalIOError: when it would leave less than ``spare_bytes`` free; nothing is written then.
        """
        run_dirs.require_room(self._run_dir.root, self.tensors.num_bytes() + spare_bytes)
        final = self._run_dir.checkpoint(state.step)
        folder = final.with_name(TEMPORARY_PREFIX + final.name)
        if self._group.is_local_main:
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True)
        self._group.barrier()
        self.tensors.write_weights(folder / "model.safetensors")
        self.tensors.write_moments(folder)
        if self._group.is_main:
            self._write_files(folder, state)
        elif self._group.is_local_main:
            run_dirs.write_json(folder / f"node-{self._group.rank}.json", {"step": state.step, "rank": self._group.rank})
        self._group.barrier()
        if self._group.is_local_main:
            _finish(folder, final)
        self._group.barrier()
        return final

    def _write_files(self, folder: Path, state: TrainState) -> None:
        if 0 <= state.best_step < state.step:
            os.link(self.best, folder / "best.safetensors")
        if self._run_dir.metrics.exists():
            shutil.copyfile(self._run_dir.metrics, folder / "metrics.jsonl")
        identity = run_dirs.read_json(self._run_dir.identity)
        state.loss_scale = loss_scale.read(self.tensors.loss_scaler)
        record = {"format": FORMAT, **identity, "state": state.as_dict(), "metric": self._metric(state)}
        run_dirs.write_json(folder / "state.json", record)

    def read(self, folder: Path) -> TrainState:
        """Continue from a verified checkpoint: weights, moments, progress.

        Raises:
            UnusableError: when it was made from other data, another model or by another version's format, or holds what none holds.
        """
        with _content():
            record = run_dirs.read_json(folder / "state.json")
            check_identity(self._run_dir, record)
            self.tensors.read_weights(folder / "model.safetensors")
            self.tensors.read_moments(folder)
            state = TrainState.from_dict(record["state"])
            loss_scale.restore(self.tensors.loss_scaler, state.loss_scale)
        if self._group.is_main:
            self._restore_files(folder, state)
        return state

    def _restore_files(self, folder: Path, state: TrainState) -> None:
        if state.best_step >= 0:
            source = "best.safetensors" if state.best_step < state.step else "model.safetensors"
            shutil.copyfile(folder / source, self.best)
        if (folder / "metrics.jsonl").exists():
            # Replaced at once: the node process is reading the one that is there.
            run_dirs.write_bytes(self._run_dir.metrics, (folder / "metrics.jsonl").read_bytes())

    def _metric(self, state: TrainState) -> dict[str, Any] | None:
        """The best metric's value at this very step, which decides whether retention keeps the checkpoint; None without one."""
        if self._best_metric.name is None or state.evaluated_step != state.step or state.last_value is None:
            return None
        return {"name": self._best_metric.name, "value": state.last_value, "greater_is_better": self._best_metric.greater_is_better}


def _finish(folder: Path, final: Path) -> None:
    """Flush what this node's ranks wrote and give it its final name."""
    for path in folder.iterdir():
        flush(path)
    flush(folder)
    folder.rename(final)
    flush(final.parent)
