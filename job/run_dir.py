"""Every path of the run directory, and the two ways to write in it: write-then-rename, and stage markers.

The run directory is where the node process (no torch) and the worker programs (no network) meet::

    settings.json                resolved settings, secrets masked
    inputs/model/                model and tokenizer as fetched        inputs/data/{train,eval,test}/   data as fetched
    inputs/checkpoint/           the checkpoint to continue from, verified     inputs/adapter/   the adapter to start from
    prepared/                    tokenized Arrow, tokenizer, ledger.json
    checkpoints/step-0000000120/ a finished checkpoint waiting for upload (written as .tmp-*, then renamed)
    model/                       the model as it will be published     evaluation/   its scores and predictions
    report/                      report.html, README.md (model card), metrics.json ...
    adapter/                     the adapter of a model that is published merged
    markers/<stage>.json         a stage's completion record
    outcomes/<program>-<rank>.json  why a worker ended                 heartbeats/<program>-<rank>  touched on progress
    metrics.jsonl                the run's metrics so far              stop         the stop request
    failure.json                 how the run failed, when it did   identity.json  fingerprints that a checkpoint must share
    attempt.json                 number and nonce of this attempt   plan.json     steps to do, for the progress line
    alive                        touched while the node process works
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from job.errors import FencedError, LocalIOError, SettingsError

TEMPORARY_PREFIX = ".tmp-"
PROBE_BYTES = 1 << 20
"""More than any outcome or log line needs."""
_NO_FOLDER = {errno.EEXIST, errno.ENOTDIR, errno.ENAMETOOLONG, errno.ELOOP}


def write_bytes(path: Path, data: bytes) -> None:
    """Write a file so that a reader, or a crash, sees all of it or none: temporary name, fsync, rename."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f"{TEMPORARY_PREFIX}{os.getpid()}-{path.name}")
    try:
        with temporary.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def write_json(path: Path, value: Any) -> None:
    """Write ``value`` as indented JSON, whole or not at all."""
    write_bytes(path, json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False, default=str).encode() + b"\n")


def require_room(folder: Path, needed_bytes: int) -> None:
    """See that a disk has room.

    Raises:
        LocalIOError: when fewer than ``needed_bytes`` are free.
    """
    free = shutil.disk_usage(folder).free
    if free < needed_bytes:
        raise LocalIOError(
            f"The disk of {folder} has {free:,} bytes free, and {needed_bytes:,} are needed.",
            "Free space or point JOB_RUN__DIR at a larger disk; the run continues from its last commit.",
        )


def refused_write(folder: Path) -> str:
    """Why a folder's disk takes no further file of `PROBE_BYTES`; empty where it does."""
    try:
        with tempfile.TemporaryFile(dir=folder, buffering=0) as file:
            os.posix_fallocate(file.fileno(), 0, PROBE_BYTES)
    except OSError as error:
        return error.strerror or type(error).__name__
    return ""


def read_json(path: Path) -> Any:
    """Read a JSON file written by `write_json`.

    Raises:
        FileNotFoundError: when it is not there.
    """
    return json.loads(path.read_bytes())


class _Below:
    """A path of the run directory that needs no argument."""

    def __init__(self, *parts: str) -> None:
        self.parts = parts

    def __get__(self, run_dir: RunDir, owner: type[RunDir]) -> Path:
        return run_dir.root.joinpath(*self.parts)


@contextlib.contextmanager
def exclusive(run_dir: RunDir) -> Iterator[None]:
    """Hold the run directory for this process; two jobs in one folder would write over each other.

    Raises:
        FencedError: another process on this machine holds it.
        SettingsError: there can be no such folder.
    """
    try:
        run_dir.root.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        if error.errno not in _NO_FOLDER:
            raise
        raise SettingsError(
            f"JOB_RUN__DIR cannot hold the run directory {run_dir.root}: {error.strerror}.",
            "Give a folder, or a path where one can be made.",
        ) from error
    with run_dir.lock.open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise FencedError(
                f"Another process is running this job in {run_dir.root}.",
                "Wait for it, end it, or use another JOB_RUN__DIR or JOB_RUN__NAME.",
            ) from error
        yield


def path_of(folder: Path, run_name: str, node_rank: int = 0) -> Path:
    """The run directory of a node: each has its own, also where several nodes share a file system."""
    return folder.resolve() / (f"{run_name}.node-{node_rank}" if node_rank else run_name)


@dataclass(frozen=True)
class RunDir:
    """The paths below one run directory.  Nothing else in the job spells a path of it."""

    root: Path

    settings = _Below("settings.json")
    inputs = _Below("inputs")
    input_model = _Below("inputs", "model")
    input_adapter = _Below("inputs", "adapter")
    input_checkpoint = _Below("inputs", "checkpoint")
    prepared = _Below("prepared")
    ledger = _Below("prepared", "ledger.json")
    checkpoints = _Below("checkpoints")
    model = _Below("model")
    adapter = _Below("adapter")
    evaluation = _Below("evaluation")
    report = _Below("report")
    metrics = _Below("metrics.jsonl")
    stop = _Below("stop")
    failure = _Below("failure.json")
    lock = _Below("lock")
    identity = _Below("identity.json")
    attempt = _Below("attempt.json")
    plan = _Below("plan.json")
    alive = _Below("alive")

    def input_data(self, split: str) -> Path:
        return self.inputs / "data" / split

    def marker(self, stage: str) -> Path:
        return self.root / "markers" / f"{stage}.json"

    def outcome(self, program: str, rank: int) -> Path:
        return self.root / "outcomes" / f"{program}-{rank}.json"

    def heartbeat(self, program: str, rank: int) -> Path:
        return self.root / "heartbeats" / f"{program}-{rank}"

    def log(self, program: str) -> Path:
        return self.root / "logs" / f"{program}.log"

    def checkpoint(self, step: int) -> Path:
        return self.checkpoints / f"step-{step:010d}"

    def finished_checkpoints(self) -> list[tuple[int, Path]]:
        """(step, folder) of every checkpoint that was written to its end, oldest first."""
        if not self.checkpoints.is_dir():
            return []
        found = (path for path in self.checkpoints.iterdir() if path.name.startswith("step-"))
        return sorted((int(path.name.removeprefix("step-")), path) for path in found)

    def outcomes(self, program: str) -> Iterator[Any]:
        """The outcome records that the workers of ``program`` left, in rank order."""
        folder = self.root / "outcomes"
        for path in sorted(folder.glob(f"{program}-*.json"), key=lambda found: int(found.stem.rpartition("-")[2])):
            yield read_json(path)

    def clear_program(self, program: str) -> None:
        """Remove what an earlier start of ``program`` left: outcomes and heartbeats."""
        for folder in ("outcomes", "heartbeats"):
            for path in (self.root / folder).glob(f"{program}-*"):
                path.unlink()

    def clear_temporary(self) -> None:
        """Remove half-written files and folders of processes that are gone."""
        for path in sorted(self.root.rglob(f"{TEMPORARY_PREFIX}*"), reverse=True):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
