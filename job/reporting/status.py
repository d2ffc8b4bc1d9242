"""Where the attempt stands, for whoever asks: the progress line, Prometheus, Kubeflow.

Written by the node process's own threads, read by those that serve others: what is read is replaced, never changed in place.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from job.errors import COMPLETE, as_job_error


@dataclass
class Status:
    """Stage, newest metrics, commits and uploads of one attempt on this node."""

    stage: str = "start"
    values: Mapping[str, float] = field(default_factory=dict)
    """The newest number under each metric's name, such as ``train/loss``; with ``step`` and ``num_steps``."""
    num_uploads: int = 0
    num_failed_uploads: int = 0
    upload_s: float | None = None
    """Seconds that the newest upload of a checkpoint took."""
    committed_step: int | None = None
    committed_at: float | None = None
    """Seconds since 1970."""
    exit_code: int | None = None
    """Once the attempt is over."""
    _first: tuple[float, float] | None = None

    def begin(self, stage: str) -> None:
        """A stage begins; what the one before measured last stays."""
        self.stage, self._first = stage, None

    @contextmanager
    def noting_the_end(self) -> Iterator[None]:
        """Around all that the attempt does: notes the exit code that it will end with."""
        try:
            yield
        except BaseException as error:
            self.exit_code = as_job_error(error).exit_code
            raise
        self.exit_code = COMPLETE

    def update(self, record: Mapping[str, Any], now: float) -> None:
        """Take over a metric record.

        Args:
            record: numbers by name; what is no number is left out.
            now: monotonic seconds, for the time left.
        """
        numbers = {name: float(value) for name, value in record.items() if isinstance(value, int | float)}
        self.values = {**self.values, **numbers}
        if self._first is None and "step" in numbers:
            self._first = (now, numbers["step"])

    def committed(self, step: int, upload_s: float) -> None:
        """A checkpoint was uploaded and committed."""
        self.num_uploads += 1
        self.committed_step, self.committed_at, self.upload_s = step, time.time(), upload_s

    def upload_failed(self) -> None:
        self.num_failed_uploads += 1

    @property
    def share_done(self) -> float | None:
        """Of the steps of training, from 0 to 1; None where nothing is counted."""
        values = self.values
        return values["step"] / values["num_steps"] if values.get("num_steps") and "step" in values else None

    def remaining_s(self, now: float) -> float | None:
        """Seconds to the last step by the pace since this stage's first record."""
        values = self.values
        if self._first is None or "num_steps" not in values:
            return None
        since, first_step = self._first
        steps = values["step"] - first_step
        if steps <= 0 or now <= since:
            return None
        return (values["num_steps"] - values["step"]) * (now - since) / steps
