"""Uploads finished checkpoints while training goes on: one is staged, one is uploading, in order, in a thread of its own.

A failed upload is counted and tried again; it ends the run only at the count in settings.  A fence ends it at once.
"""

from __future__ import annotations

import logging
import shutil
import threading
import time
from pathlib import Path

from job import run_dir as run_dirs
from job.errors import JobError, LocalIOError, UnavailableError, as_job_error
from job.run_dir import TEMPORARY_PREFIX
from job.stages.context import RunContext

logger = logging.getLogger(__name__)
POLL_S = 0.1
FIRST_PAUSE_S, MAX_PAUSE_S = 0.5, 60.0
"""Pause before a failed upload is tried again: doubled from one failure to the next."""
FATAL = {76, 77, 64}
"""Outcomes of an upload that trying again cannot change: fenced, denied, a wrong setting."""


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
            UnavailableError: the store does not take it.
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
        if error.exit_code in FATAL:
            raise error
        limit = self._context.settings.checkpoint.max_failed_uploads
        logger.warning("upload of a checkpoint failed (%d of %d allowed): %s", self._failures, limit, error)
        if self._failures >= limit:
            outcome = LocalIOError if isinstance(error, LocalIOError) else UnavailableError
            raise outcome(f"{self._failures} uploads of checkpoints failed in a row, the last with: {error.message}", error.hint)
        self._retry_at = time.monotonic() + min(MAX_PAUSE_S, FIRST_PAUSE_S * 2**self._failures)

    def _upload(self, step: int, folder: Path) -> None:
        started = time.monotonic()
        try:
            self._commit(step, folder)
        except Exception as error:  # noqa: BLE001 - handed to the main thread, which decides
            self._error = as_job_error(error)
            return
        self._failures = 0
        seconds = time.monotonic() - started
        pace = self._context.stop.pace
        pace.upload_s = max(pace.upload_s, seconds)
        self._context.progress.status.committed(step, seconds)
        logger.info("checkpoint of step %d committed", step, extra={"step": step, "upload_s": round(seconds, 3)})

    def _commit(self, step: int, folder: Path) -> None:
        context, attempt = self._context, self._context.attempt
        state = run_dirs.read_json(folder / "state.json")
        fields = {"step": step, "sources": run_dirs.read_json(context.run_dir.marker("fetch"))["sources"]}
        # What failed last time may have come after the commit, which is never made twice.
        if not any(
            entry.kind == "committed" and entry.nonce == attempt.nonce and entry["step"] == step for entry in attempt.entries
        ):
            attempt.commit_checkpoint(folder, {**fields, **run_dirs.read_json(context.run_dir.identity)}, state["metric"])
        metrics = folder / "metrics.jsonl"
        if metrics.exists():
            attempt.write_part(f"metrics-{step:010d}.jsonl", metrics.read_bytes())
        attempt.retain(context.settings.checkpoint.keep)
        gone = folder.with_name(TEMPORARY_PREFIX + folder.name)
        folder.rename(gone)  # first: half a folder must not look like a checkpoint that waits
        shutil.rmtree(gone)
