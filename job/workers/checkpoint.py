"""Checkpoints, to continue from: safetensors and JSON only, so that opening one can run no code.

    state.json             progress, versions, fingerprints
    model.safetensors      weights that are trained, fp32     optimizer.safetensors   AdamW's moments by parameter name
    best.safetensors       the best weights so far, when they are not the current ones
    metrics.jsonl          the run's metrics up to this step

A checkpoint is written under a temporary name, flushed to disk and renamed; the node process uploads what has its final name.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from job import run_dir as run_dirs
from job.errors import UnusableError
from job.run_dir import TEMPORARY_PREFIX, RunDir
from job.workers.state import BestMetric, TrainState
from job.workers.tuning import trained

FORMAT = 1
MAX_WAITING = 2
"""Finished checkpoints that may wait for upload: one staged, one uploading.  Training waits rather than filling the disk."""
WEIGHTS_EACH = 3
"""A checkpoint's size in sizes of the weights: the weights and AdamW's two moments; the best weights are a link."""


def write_weights(model: torch.nn.Module, path: Path) -> None:
    """Write the weights that training changes, whole or not at all."""
    temporary = path.with_name(TEMPORARY_PREFIX + path.name)
    path.parent.mkdir(parents=True, exist_ok=True)
    with _disk_errors(path):
        trained.save(model, temporary)
    _flush(temporary)
    temporary.replace(path)


def read_weights(model: torch.nn.Module, path: Path) -> None:
    """Read weights into the model; every one that training changes or an error."""
    trained.load(model, path)


class Checkpointer:
    """Writes and reads the checkpoints of one run directory.  Only the main process writes."""

    def __init__(self, run_dir: RunDir, model: torch.nn.Module, optimizer: torch.optim.Optimizer, best: BestMetric) -> None:
        self._run_dir = run_dir
        self._model = model
        self._optimizer = optimizer
        self._best_metric = best
        self._identity: dict[str, Any] = run_dirs.read_json(run_dir.identity)

    @property
    def best(self) -> Path:
        """The best weights so far, on this node."""
        return self._run_dir.root / "best.safetensors"

    def must_wait(self) -> bool:
        """Whether the node process has to upload a finished checkpoint before another one may be staged."""
        return len(self._run_dir.finished_checkpoints()) >= MAX_WAITING

    def write(self, state: TrainState, spare_bytes: int = 0) -> Path:
        """Write a checkpoint of this step and give it its final name.

        Raises:
            LocalIOError: when it would leave less than ``spare_bytes`` free; nothing is written then.
        """
        weights = trained.size_bytes(self._model)
        run_dirs.require_room(self._run_dir.root, WEIGHTS_EACH * weights + spare_bytes)
        final = self._run_dir.checkpoint(state.step)
        folder = final.with_name(TEMPORARY_PREFIX + final.name)
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        write_weights(self._model, folder / "model.safetensors")
        with _disk_errors(folder):
            save_file(self._moments(), str(folder / "optimizer.safetensors"))
        if 0 <= state.best_step < state.step:
            os.link(self.best, folder / "best.safetensors")
        if self._run_dir.metrics.exists():
            shutil.copyfile(self._run_dir.metrics, folder / "metrics.jsonl")
        record = {"format": FORMAT, **self._identity, "state": state.as_dict(), "metric": self._metric(state)}
        run_dirs.write_json(folder / "state.json", record)
        for path in folder.iterdir():
            _flush(path)
        _flush(folder)
        folder.rename(final)
        _flush(final.parent)
        return final

    def read(self, folder: Path, *, is_main: bool) -> TrainState:
        """Continue from a verified checkpoint: weights, moments, progress.

        Raises:
            UnusableError: when it was made from other data, another model or by another version's format.
        """
        record = run_dirs.read_json(folder / "state.json")
        self._check(record)
        read_weights(self._model, folder / "model.safetensors")
        self._restore_moments(load_file(str(folder / "optimizer.safetensors")))
        state = TrainState.from_dict(record["state"])
        if is_main:
            self._restore_files(folder, state)
        return state

    def _restore_files(self, folder: Path, state: TrainState) -> None:
        if state.best_step >= 0:
            source = "best.safetensors" if state.best_step < state.step else "model.safetensors"
            shutil.copyfile(folder / source, self.best)
        if (folder / "metrics.jsonl").exists():
            shutil.copyfile(folder / "metrics.jsonl", self._run_dir.metrics)

    def _check(self, record: dict[str, Any]) -> None:
        differing = [name for name, value in {"format": FORMAT, **self._identity}.items() if record.get(name) != value]
        if differing:
            raise UnusableError(
                f"The checkpoint was made with other {', '.join(name.replace('_', ' ') for name in differing)}: "
                "model or data changed since this run was started.",
                "Restore the former inputs, or start a new run under another JOB_RUN__NAME.",
            )

    def _metric(self, state: TrainState) -> dict[str, Any] | None:
        """The best metric's value at this very step, which decides whether retention keeps the checkpoint; None without one."""
        if self._best_metric.name is None or state.evaluated_step != state.step or state.last_value is None:
            return None
        return {"name": self._best_metric.name, "value": state.last_value, "greater_is_better": self._best_metric.greater_is_better}

    def _moments(self) -> dict[str, torch.Tensor]:
        moments: dict[str, torch.Tensor] = {}
        for name, parameter in self._model.named_parameters():
            for key, value in self._optimizer.state.get(parameter, {}).items():
                moments[f"{name}/{key}"] = value.detach().contiguous().cpu()
        return moments

    def _restore_moments(self, moments: dict[str, torch.Tensor]) -> None:
        for name, parameter in self._model.named_parameters():
            keys = {key.rpartition("/")[2]: key for key in moments if key.rpartition("/")[0] == name}
            if keys:
                # AdamW keeps its step counter on the CPU unless fused on a GPU; it follows the parameter there.
                self._optimizer.state[parameter] = {key: moments[full].to(parameter.device) for key, full in keys.items()}


@contextlib.contextmanager
def _disk_errors(path: Path) -> Iterator[None]:
    """Takes out what safetensors hides in its message: what the disk said.  A full disk is no bug."""
    try:
        yield
    except SafetensorError as error:
        number = re.search(r"os error (\d+)", str(error))
        if number is None:
            raise
        raise OSError(int(number[1]), os.strerror(int(number[1])), str(path)) from error


def _flush(path: Path) -> None:
    """Wait until a file or a folder's entries are on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
