"""Uploads finished checkpoints while training goes on: one is staged, one is uploading, in order, in a thread of its own.

The main node commits them; the other nodes bring their parts, which the main node waits for.

A failed upload is counted and tried again; it ends the run only at the count in settings.  A fence ends it at once.
"""

from __future__ import annotations

import logging
import shutil
import threading
import time
from collections.abc import Callable
from pathlib import Path

from job import run_dir as run_dirs
from job.errors import JobError, UnavailableError, as_job_error
from job.run_dir import TEMPORARY_PREFIX
from job.stages.context import RunContext

logger = logging.getLogger(__name__)
POLL_S = 0.1
PART_POLL_S = 0.5
FIRST_PAUSE_S, MAX_PAUSE_S = 0.5, 60.0
"""Pause before a failed upload is tried again: doubled from one failure to the next."""
FATAL = {76, 77, 64}
"""Outcomes of an upload that trying again cannot change: fenced, denied, a wrong setting."""


DELIVERED = "delivered"
"""The exchange after a node has uploaded all it has of this attempt."""


class PartError(UnavailableError):
    """A checkpoint that another node has no part of: it ended while it was written."""


class Uploader:
    """Commits the checkpoints of one attempt, oldest first."""

    def __init__(self, context: RunContext) -> None:
        self._context = context
        self._thread: threading.Thread | None = None
        self._error: JobError | None = None
        self._failures = 0
        self._retry_at = 0.0

    def tick(self) -> None:
        """Look for work; raise what the last upload ended with when it is final."""
        if self._thread is not None and self._thread.is_alive():
            return
        self._judge()
        if time.monotonic() < self._retry_at:
            return
        waiting = self._context.run_dir.finished_checkpoints()
        if waiting:
            step, folder = waiting[0]
            self._thread = threading.Thread(target=self._upload, args=(step, folder), name="upload", daemon=True)
            self._thread.start()

    def drain(self) -> None:
        """Upload what is left; returns when nothing waits any more.

        Raises:
            UnavailableError: the store does not take it, or another node will not bring its part.
            FencedError, DeniedError: as met.
        """
        while True:
            self.tick()
            if self._thread is None or (not self._thread.is_alive() and self._error is None and not self._left()):
                return
            self._thread.join(timeout=1.0)
            time.sleep(POLL_S)

    def _left(self) -> bool:
        return bool(self._context.run_dir.finished_checkpoints())

    def _judge(self) -> None:
        error, self._error = self._error, None
        if error is None:
            return
        self._failures += 1
        self._context.progress.status.upload_failed()
        self._context.stop.raise_failure()
        if error.exit_code in FATAL or isinstance(error, PartError):
            raise error
        limit = self._context.settings.checkpoint.max_failed_uploads
        logger.warning("upload of a checkpoint failed (%d of %d allowed): %s", self._failures, limit, error)
        if self._failures >= limit:
            raise type(error)(
                f"{self._failures} uploads of checkpoints failed in a row, the last with: {error.message}", error.hint
            )
        self._retry_at = time.monotonic() + min(MAX_PAUSE_S, FIRST_PAUSE_S * 2**self._failures)

    def _upload(self, step: int, folder: Path) -> None:
        started = time.monotonic()
        try:
            self._deliver(step, folder)
        except Exception as error:  # noqa: BLE001 - handed to the main thread, which decides
            self._error = as_job_error(error)
            return
        self._failures = 0
        seconds = time.monotonic() - started
        pace = self._context.stop.pace
        pace.upload_s = max(pace.upload_s, seconds)
        self._context.progress.status.committed(step, seconds)
        logger.info(
            "checkpoint of step %d %s",
            step,
            "committed" if self._context.group.is_main else "delivered",
            extra={"step": step, "upload_s": round(seconds, 3)},
        )

    def _deliver(self, step: int, folder: Path) -> None:
        if self._context.group.is_main:
            self._commit(step, folder)
        else:
            self._context.attempt.put_part(step, folder, self._context.group.node_rank)
        gone = folder.with_name(TEMPORARY_PREFIX + folder.name)
        folder.rename(gone)  # first: half a folder must not look like a checkpoint that waits
        shutil.rmtree(gone)
        self._context.ship()

    def _wait_for_parts(self) -> Callable[[list[int]], None]:
        """What happens between two looks for the parts of other nodes; a limit of its own for each checkpoint."""
        context = self._context
        deadline = time.monotonic() + context.settings.checkpoint.parts_timeout_s
        late: set[int] = set()

        def wait(missing: list[int]) -> None:
            context.stop.raise_failure()
            names = " and ".join(context.group.name(node) for node in missing)
            if late & set(missing):
                raise PartError(f"The part of {names} is missing, and will not come any more.")
            if time.monotonic() > deadline:
                raise UnavailableError(
                    f"The part of {names} did not come within {context.settings.checkpoint.parts_timeout_s:.0f} s.",
                    "Raise JOB_CHECKPOINT__PARTS_TIMEOUT_S when a node may need longer to upload what its workers wrote.",
                )
            time.sleep(PART_POLL_S)
            late.update(context.group.given(DELIVERED))  # their parts may have come between the last look and now: one more

        return wait

    def _commit(self, step: int, folder: Path) -> None:
        context, attempt = self._context, self._context.attempt
        state = run_dirs.read_json(folder / "state.json")
        shape = context.crew.topology
        fields = {
            "step": step,
            "world_size": shape.world_size,
            "num_nodes": shape.num_nodes,
            "sources": run_dirs.read_json(context.run_dir.marker("fetch"))["sources"],
        }
        # What failed last time may have come after the commit, which is never made twice.
        if not any(
            entry.kind == "committed" and entry.nonce == attempt.nonce and entry["step"] == step for entry in attempt.entries
        ):
            attempt.commit_checkpoint(
                folder, {**fields, **run_dirs.read_json(context.run_dir.identity)}, state["metric"], self._wait_for_parts()
            )
        attempt.retain(context.settings.checkpoint.keep)
