"""How an attempt ends badly: one record for the machine, in every place where one looks, and plain words for the person."""

from __future__ import annotations

import bisect
import contextlib
import json
import logging
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from job import run_dir as run_dirs
from job.cluster.group import NodeGroup
from job.cluster.stop import StopRequest
from job.errors import COMPLETE, JobError, StopRequested
from job.reporting.masking import Masker
from job.run_dir import RunDir
from job.stages.context import RunContext
from job.stages.logs import AttemptLogs
from job.storage.commit import Attempt

logger = logging.getLogger(__name__)
TERMINATION_LOG = Path("/dev/termination-log")
"""Where Kubernetes looks for a container's last words; there only when Kubernetes put it there."""
MAX_BYTES = 4096
CUT = " ..."
LEAST_S, MARGIN_S = 2.0, 5.0
"""Seconds for the store's last words at least, and what is left for everything else."""
FENCED = 76
"""After this outcome the store is not written: the run belongs to another attempt."""


@dataclass
class Scene:
    """Where the attempt is: stage, run directory once it is ours, attempt in the store, seconds of every finished stage."""

    name: str
    run_dir: RunDir | None = None
    attempt: Attempt | None = None
    logs: AttemptLogs | None = None
    group: NodeGroup = field(default_factory=NodeGroup)
    stop: StopRequest | None = None
    grace_s: float = 0.0
    timings: dict[str, float] = field(default_factory=dict)
    masker: Masker = field(default_factory=Masker)
    termination_log: Path | None = None
    """Where the settings say; None for Kubernetes' own."""

    def begun(self, attempt: Attempt) -> None:
        """The run's history has this attempt."""
        self.attempt = attempt

    @contextlib.contextmanager
    def stage(self, context: RunContext, name: str) -> Iterator[None]:
        """Around one stage: names it, times it, looks for a stop request before it."""
        self.name = name
        context.stop.check()
        context.progress.stage(name)
        started = time.monotonic()
        try:
            yield
        finally:
            self.timings[name] = round(time.monotonic() - started, 3)


def finish(scene: Scene) -> None:
    """The attempt ended well: its logs go to the store, and the other nodes may end too."""
    upload_logs(scene, last=True)
    scene.group.end(COMPLETE)


def upload_logs(scene: Scene, *, last: bool = False) -> None:
    """Send what the attempt said since the last time to the store, if there is an attempt."""
    if scene.attempt is not None and scene.logs is not None:
        scene.logs.upload(scene.attempt, scene.group.node_rank, scene.masker.mask, last=last)


def report(error: JobError, scene: Scene) -> int:
    """Tell the other nodes, leave the failure record everywhere and return the exit code.

    Of several nodes' failures the first one that this node knew of counts: the later ones follow from it.
    """
    error = scene.group.verdict(error)
    scene.group.end(error.exit_code, scene.masker.mask(error.message), scene.masker.mask(error.hint))
    if error.exit_code == 70:
        logger.error("unexpected error", exc_info=error.__cause__)
    record = _record(error, scene)
    line = json.dumps(record, ensure_ascii=False)
    if scene.run_dir is not None:
        with contextlib.suppress(OSError):  # the disk may be what failed
            run_dirs.write_bytes(scene.run_dir.failure, line.encode())
    with contextlib.suppress(OSError):
        if scene.termination_log is not None or TERMINATION_LOG.exists():
            (scene.termination_log or TERMINATION_LOG).write_bytes(line.encode())
    _within(_patience_s(scene), lambda: _to_store(error, scene, record))
    with contextlib.suppress(OSError):  # nobody may be listening any more
        sys.stderr.write(f"\njob: {record['message']}\n{record['hint']}\n{line}\n")
        sys.stderr.flush()
    return error.exit_code


def _patience_s(scene: Scene) -> float | None:
    """Seconds that the store may take: after a stop request the process is killed once the grace is over, and its exit code with it."""
    if scene.stop is None or scene.stop.requested_at is None:
        return None
    return max(LEAST_S, scene.grace_s - MARGIN_S - (time.monotonic() - scene.stop.requested_at))


def _within(seconds: float | None, action: Callable[[], None]) -> None:
    """Do it, and go on when it takes longer than ``seconds`` (None: it may)."""
    if seconds is None:
        action()
        return
    thread = threading.Thread(target=action, name="last words", daemon=True)
    thread.start()
    thread.join(seconds)
    if thread.is_alive():
        logger.warning("the store does not answer: how this attempt ended is not in the run's log")


def _record(error: JobError, scene: Scene) -> dict[str, Any]:
    """At most MAX_BYTES as JSON: message and hint are cut where they must be, the longer one first."""
    attempt = scene.attempt
    record: dict[str, Any] = {
        "code": error.exit_code,
        "name": error.name,
        "message": "",
        "hint": "",
        "stage": scene.name,
        "step": attempt.last_step if attempt else None,
        "last_commit": attempt.last_commit if attempt else None,
        "attempt": attempt.number if attempt else None,
    }
    texts = {"message": _writable(scene.masker.mask(error.message)), "hint": _writable(scene.masker.mask(error.hint))}
    room = MAX_BYTES - len(json.dumps(record, ensure_ascii=False).encode())
    shorter, longer = sorted(texts, key=lambda name: _size(texts[name]))
    record[shorter] = _cut(texts[shorter], room // 2)
    record[longer] = _cut(texts[longer], room - _size(record[shorter]))
    return record


def _size(text: str) -> int:
    """Bytes of a text within JSON."""
    return len(json.dumps(text, ensure_ascii=False).encode()) - len('""')


def _cut(text: str, room: int) -> str:
    """As much of a text as fits into ``room`` bytes of JSON."""
    if _size(text) <= room:
        return text
    return text[: bisect.bisect_right(range(len(text)), room - len(CUT), key=lambda end: _size(text[:end])) - 1] + CUT


def _writable(text: str) -> str:
    """Text that UTF-8 can hold: a file name that is no text comes from the system with parts that it cannot."""
    return text.encode(errors="backslashreplace").decode()


def _to_store(error: JobError, scene: Scene, record: dict[str, Any]) -> None:
    """The run's history says how the attempt ended; where even that fails, the outcome stays what it was."""
    attempt = scene.attempt
    if attempt is None or error.exit_code == FENCED:
        return
    upload_logs(scene, last=True)
    try:
        if not scene.group.is_main:
            attempt.write_part(f"failure-node-{scene.group.node_rank}.json", json.dumps(record, ensure_ascii=False).encode())
        elif isinstance(error, StopRequested):
            attempt.stopped(record)
        else:
            attempt.failed(record)
    except JobError as second:
        logger.warning("the end of this attempt could not be written to the store: %s", second)
