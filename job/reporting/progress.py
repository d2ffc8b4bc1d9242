"""How far the run is: on a terminal one line per stage, rewritten in place; elsewhere a log record now and then."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable
from typing import Any, TextIO

from job.reporting import formats
from job.reporting.logs import CLEAR_LINE, LogFormat
from job.reporting.status import Status

logger = logging.getLogger(__name__)

LOG_EVERY_S = 30.0
"""Shortest time between two records of one stage in the log."""
PASSING_S = 0.1
"""A stage that is renamed within this time leaves no line of its own."""
SHOWN_SCORES = ("accuracy", "f1_macro", "subset_accuracy", "pearson", "rmse", "loss")
"""Evaluation scores worth a place on the line; the first one there is, is shown."""


class Progress:
    """Shows how far the current stage is.

    Args:
        stream: the terminal, or whatever standard error is.
        log_format: as in the settings; the line in place is for text on a terminal only.
        clock: seconds, for tests.
    """

    def __init__(self, stream: TextIO, log_format: LogFormat, clock: Callable[[], float] = time.monotonic) -> None:
        self._stream, self._clock = stream, clock
        self._in_place = log_format != "json" and stream.isatty()
        self._name = ""
        self._started = self._logged = 0.0
        self.status = Status()
        self._record: dict[str, Any] = {}

    def stage(self, name: str) -> None:
        """A stage begins; the one before, if it was not `done`, is over."""
        now = self._clock()
        if self._name and now - self._started >= PASSING_S:
            self.done("")
        self._name, self._started, self._logged = name, now, now
        self._record = {}
        self.status.begin(name)
        if self._in_place:
            self._show(f"{name} ...")
        else:
            logger.info("%s", name, extra={"stage": name})

    def update(self, record: dict[str, Any]) -> None:
        """Take over a metric record; ``num_steps`` beside ``step`` gives the time left."""
        self._record |= {key: value for key, value in record.items() if value is not None}
        now = self._clock()
        self.status.update(record, now)
        if self._in_place:
            self._show(f"{self._name}  {self._line(now)}")
        elif now - self._logged >= LOG_EVERY_S:
            self._logged = now
            logger.info("%s  %s", self._name, self._line(now), extra={"stage": self._name, **self._record})

    def done(self, summary: str) -> None:
        """The stage is over; ``summary`` says what came of it."""
        seconds = self._clock() - self._started
        line = "  ".join(filter(None, [self._name, formats.duration(seconds), summary]))
        if self._in_place:
            self._show(f"{line}\n")
        else:
            logger.info("%s", line, extra={"stage": self._name, "seconds": round(seconds, 3)})
        self._name = ""

    def _show(self, text: str) -> None:
        width = _width(self._stream)
        if not text.endswith("\n") and len(text) >= width:
            text = f"{text[: width - 2]}…"
        self._stream.write(CLEAR_LINE + text)
        self._stream.flush()

    def _line(self, now: float) -> str:
        record = self._record
        steps = f"step {record['step']}/{record['num_steps']}" if "num_steps" in record else f"step {record.get('step', 0)}"
        loss = f"loss {formats.metric(record['train/loss'])}" if "train/loss" in record else ""
        speed = f"{formats.count(record['perf/tokens_per_second'])} tokens/s" if "perf/tokens_per_second" in record else ""
        return "  ".join(filter(None, [steps, loss, self._score(), speed, self._time_left(now)]))

    def _score(self) -> str:
        shown = next((name for name in SHOWN_SCORES if f"eval/{name}" in self._record), None)
        return f"validation {shown.replace('_', ' ')} {formats.metric(self._record[f'eval/{shown}'])}" if shown else ""

    def _time_left(self, now: float) -> str:
        remaining_s = self.status.remaining_s(now)
        return "" if remaining_s is None else f"{formats.duration(remaining_s)} left"


def _width(stream: TextIO) -> int:
    try:
        return max(20, os.get_terminal_size(stream.fileno()).columns)
    except (OSError, ValueError):
        return 80
