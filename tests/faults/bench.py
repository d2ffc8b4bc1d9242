"""Real runs to disturb: a small model, two gloo ranks, a local store; started, watched and killed from outside."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from job.cluster import launch
from tests.faults.store import TroubledS3, troubled_s3
from tests.support import jobs, tiny

NAME = "tiny"
CANARY = "canary7f3aSecret"
"""In every secret of a run's environment; no byte that is stored or logged may hold it."""
BALLAST = "ballast"
"""The file that a row fills a disk with: none of the job's."""
SAVE_EVERY, STEPS_MAX = 8, 64
TIMEOUT_S = 300.0
STEPS = {
    "TRAIN__MAX_STEPS": str(STEPS_MAX),
    "TRAIN__LOG_EVERY_STEPS": "1",
    "CHECKPOINT__EVERY_STEPS": str(SAVE_EVERY),
    "PARALLEL__WORKERS_PER_NODE": "2",
    # A kill may come before every commit; here the starts are counted by the driver.
    "LIMITS__MAX_FRUITLESS_ATTEMPTS": "0",
}


@dataclass(frozen=True)
class Inputs:
    """Model and data that all runs of a session share."""

    folder: Path

    @classmethod
    def make(cls, folder: Path) -> Inputs:
        tiny.write_model(folder / "model", dim=64, hidden_dim=256)  # a hundred thousand weights
        plain = dict.fromkeys(("dropout", "attention_dropout", "seq_classif_dropout"), 0.0)
        tiny.write_model(folder / "model-plain", dim=64, hidden_dim=256, **plain)
        tiny.write_csv(folder / "train.csv", tiny.sentences(300))
        return cls(folder)

    @property
    def plain(self) -> dict[str, str]:
        """Settings of a run whose result depends on how it is cut by rounding alone: no dropout, and no choice of a best step."""
        return {"MODEL__URI": str(self.folder / "model-plain"), "EVAL__BEST_METRIC": "none"}


@dataclass
class Subject:
    """One run, over as many starts as it takes.  ``place`` is its machine: another place has another run directory."""

    inputs: Inputs
    folder: Path
    changes: Mapping[str, str] = field(default_factory=dict)
    variables: Mapping[str, str] = field(default_factory=dict)
    """Further variables by their whole names, over all others."""
    variant: Mapping[str, str] = field(default_factory=dict)
    """Settings that make it another run: it is compared with an undisturbed one that has them too."""
    starts: int = 0
    seed: int = 0
    lacking: Counter[str] = field(default_factory=Counter)
    """How many faults of a kind its row still wants."""
    started: list[tuple[str, subprocess.Popen[bytes]]] = field(default_factory=list)
    """Every start: its place, and the process."""
    unsaid: int = 0
    """Starts that came after an end with 0 and found no entry ``complete``: they may write it, and nobody would see that it was missing."""
    tolerance: float = 0.0
    """How far its weights may be from those of an undisturbed run; 0: not a bit."""
    finish_with: Callable[[Subject], int] | None = None
    """How its last start is made, where one process does not do."""
    cold: bool = False
    """Whether every program is started by an interpreter of its own (`tests.support.warm`)."""
    server: TroubledS3 | None = None
    """The store, where it is not a folder."""
    _servers: contextlib.ExitStack = field(default_factory=contextlib.ExitStack)

    def serve(self) -> TroubledS3:
        """Put a server that can fail before the store; it ends with this subject."""
        if self.server is None:
            self.server = self._servers.enter_context(troubled_s3(self.store))
        return self.server

    def close(self) -> None:
        self._servers.close()

    @property
    def store(self) -> Path:
        return self.folder / "store"

    def run_dir(self, place: str = "here") -> Path:
        return self.folder / place / NAME

    def log(self, number: int | None = None) -> Path:
        return self.folder / f"log-{number or self.starts}"

    def environ(self, place: str = "here") -> dict[str, str]:
        chosen = {name: value for name, value in {**STEPS, **self.variant, **self.changes}.items() if value}
        chosen = {"OUTPUT__URI": str(self.store), **chosen}
        settings = tiny.environ(self.inputs.folder, RUN__DIR=str(self.folder / place), **chosen)
        reached = self.server.endpoint.environment() if self.server else {}
        return {**settings, **reached, "AWS_SECRET_ACCESS_KEY": CANARY, "HF_TOKEN": CANARY, **self.variables}

    def start(self, place: str = "here", *, fault: str = "") -> subprocess.Popen[bytes]:
        """Start the job; ``fault`` names a failpoint of `tests.faults.node`."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self.starts += 1
        self.unsaid += self.ended_without_a_word()
        module, failpoint = ("tests.faults.node", {"FAULT": fault}) if fault else ("job", {})
        process = jobs.start({**self.environ(place), **failpoint}, self.log(), module=module, cold=self.cold)
        self.started.append((place, process))
        return process

    def finish(self, place: str = "here") -> int:
        """Start, and wait for the end; the exit code."""
        if self.finish_with:
            return self.finish_with(self)
        return wait(self.start(place))

    def entries(self) -> list[dict[str, Any]]:
        return jobs.log_entries(self.store, NAME)

    def committed_steps(self) -> list[int]:
        return [entry["fields"]["step"] for entry in self.entries() if entry["kind"] == "committed"]

    def weights(self) -> str:
        """sha256 of the published weights."""
        return hashlib.sha256(self.model().read_bytes()).hexdigest()

    def model(self) -> Path:
        return jobs.published(self.store, NAME) / "model.safetensors"

    def stage(self) -> str:
        """What the newest start last said it is doing; empty before the first word."""
        found = ""
        with contextlib.suppress(FileNotFoundError):
            for line in self.log().read_bytes().splitlines():
                with contextlib.suppress(ValueError):
                    found = str(json.loads(line).get("stage", found))
        return found

    def staged(self, place: str = "here") -> bool:
        """Whether a checkpoint is being written or uploaded."""
        folder = self.run_dir(place) / "checkpoints"
        return folder.is_dir() and any(folder.iterdir())

    def last_step(self, place: str = "here") -> int:
        """The last step that this place's record of metrics shows; 0 before the first."""
        with contextlib.suppress(FileNotFoundError):
            lines = (self.run_dir(place) / "metrics.jsonl").read_bytes().splitlines()
            steps = [found for line in lines if (found := _step(line)) is not None]
            return max(steps, default=0)
        return 0

    def ended_without_a_word(self) -> bool:
        """Whether a start ended with 0, and the log has no entry ``complete``."""
        ended = any(process.returncode == 0 for _, process in self.started)
        return ended and not any(entry["kind"] == "complete" for entry in self.entries())

    def next_kind(self, kinds: Sequence[str], turn: int) -> str:
        """Of these kinds the one that the row lacks most; of equals the one whose turn it is."""
        first = turn % len(kinds)
        return max([*kinds[first:], *kinds[:first]], key=lambda kind: self.lacking[kind])

    def local_bytes(self) -> int:
        """What the fullest of the run's places holds now."""
        return max((bytes_below(self.folder / place) for place in {place for place, _ in [*self.started]}), default=0)

    def workers(self, place: str = "here") -> list[int]:
        return launch.workers_of(self.run_dir(place))


def files_below(folder: Path) -> Iterator[Path]:
    """All files of a folder in which processes may still write and delete."""
    for place, _, names in os.walk(folder):
        yield from (Path(place) / name for name in names)


def bytes_below(folder: Path) -> int:
    """The size of a folder's files but for ballast; a link counts as such."""
    total = 0
    for path in files_below(folder):
        with contextlib.suppress(OSError):
            total += path.lstat().st_size if path.name != BALLAST else 0
    return total


def descendants(pid: int) -> list[int]:
    """Processes that this one started, and theirs."""
    found = []
    for path in Path(f"/proc/{pid}/task").glob("*/children"):
        with contextlib.suppress(OSError):
            for child in map(int, path.read_text().split()):
                found += [child, *descendants(child)]
    return found


def _step(line: bytes) -> int | None:
    with contextlib.suppress(ValueError):
        return int(json.loads(line)["step"])
    return None  # the last line of a file that is being written


def wait(process: subprocess.Popen[bytes]) -> int:
    try:
        return process.wait(TIMEOUT_S)
    finally:
        process.kill()


def wait_for_any(conditions: Any, process: subprocess.Popen[bytes]) -> bool:
    """Wait until the condition holds (true) or the process ended (false)."""
    end = time.monotonic() + TIMEOUT_S
    while process.poll() is None:
        if conditions():
            return True
        assert time.monotonic() < end, "timed out"
        time.sleep(0.02)
    return False


def send(pids: list[int], number: signal.Signals) -> None:
    """Signal processes; those that are gone by now do not matter."""
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)


def leave_commits(subject: Subject) -> bool:
    """Stop a run after its third commit and take its machine away, so that the copies in the store are the only ones; false when it ended before."""
    process = subject.start()
    if not wait_for_any(lambda: len(subject.committed_steps()) >= 3, process):
        return False
    process.terminate()
    if wait(process) != 75:
        return False
    shutil.rmtree(subject.folder / "here")
    return True
