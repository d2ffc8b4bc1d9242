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
from job.errors import JobError, UnavailableError, as_job_error
from job.stages.context import RunContext

logger = logging.getLogger(__name__)
FATAL = {76, 77, 64}
"""Outcomes of an upload that trying again cannot change: fenced, denied, a wrong setting."""


class Uploader:
    """Commits the checkpoints of one attempt, oldest first."""

    def __init__(self, context: RunContext) -> None:
        self._context = context
        self._thread: threading.Thread | None = None
        self._error: JobError | None = None
        self._failures = 0

    def tick(self) -> None:
        """Look for work; raise what the last upload ended with when it is final."""
        if self._thread is not None and self._thread.is_alive():
            return
        self._judge()
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

    def _left(self) -> bool:
        return bool(self._context.run_dir.finished_checkpoints())

    def _judge(self) -> None:
        error, self._error = self._error, None
        if error is None:
            return
        self._failures += 1
        if error.exit_code in FATAL:
            raise error
        limit = self._context.settings.checkpoint.max_failed_uploads
        logger.warning("upload of a checkpoint failed (%d of %d allowed): %s", self._failures, limit, error)
        if self._failures >= limit:
            raise UnavailableError(
                f"{self._failures} uploads of checkpoints failed in a row, the last with: {error.message}", error.hint
            )

    def _upload(self, step: int, folder: Path) -> None:
        started = time.monotonic()
        try:
            self._commit(step, folder)
        except Exception as error:  # noqa: BLE001 - handed to the main thread, which decides
            self._error = as_job_error(error)
            return
        self._failures = 0
        seconds = time.monotonic() - started
        self._context.stop.lead_s = max(self._context.stop.lead_s, 2 * seconds)
        logger.info("checkpoint of step %d committed", step, extra={"step": step, "upload_s": round(seconds, 3)})

    def _commit(self, step: int, folder: Path) -> None:
        context, attempt = self._context, self._context.attempt
        state = run_dirs.read_json(folder / "state.json")
        fields = {"step": step, "sources": run_dirs.read_json(context.run_dir.marker("fetch"))["sources"]}
        attempt.commit_checkpoint(folder, {**fields, **run_dirs.read_json(context.run_dir.identity)}, state["metric"])
        metrics = folder / "metrics.jsonl"
        if metrics.exists():
            attempt.write_part(f"metrics-{step:010d}.jsonl", metrics.read_bytes())
        attempt.retain(context.settings.checkpoint.keep)
        shutil.rmtree(folder)
