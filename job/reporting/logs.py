"""Logging of both halves of the job: text for people, JSON lines for machines, secrets masked in either.

Secrets are masked last, after arguments, ``extra`` and the traceback are in, because a secret may come by any of them.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Iterable, Mapping
from typing import Any, Literal, TextIO

from job.reporting.masking import Masker

LogFormat = Literal["auto", "text", "json"]
CLEAR_LINE = "\r\x1b[2K"
"""To the start of the terminal's line, and empty it."""
_STANDARD = frozenset({*logging.makeLogRecord({}).__dict__, "message", "asctime", "taskName"})
"""Attributes that every log record has; whatever else one carries came by ``extra``."""


def setup(log_format: LogFormat, stream: TextIO, context: Mapping[str, Any], secrets: Iterable[str] = ()) -> logging.Handler:
    """Send the log to ``stream``, and nowhere else.

    Args:
        log_format: ``auto`` is text on a terminal, else JSON lines.
        stream: where lines go.
        context: fields of every line: run, attempt, node, rank ...
        secrets: values to be masked.

    Returns:
        the handler, now the root logger's only one.
    """
    handler = logging.StreamHandler(stream)
    masker = Masker.of(secrets)
    if resolve(log_format, stream) == "text":
        handler.setFormatter(TextFormatter(context, masker, CLEAR_LINE if stream.isatty() else ""))
    else:
        handler.setFormatter(JsonFormatter(context, masker))
    root = logging.getLogger()
    for earlier in [*root.handlers]:
        root.removeHandler(earlier)
    root.addHandler(handler)
    root.setLevel(logging.INFO)
    for chatty in ("botocore", "boto3", "urllib3", "s3transfer", "httpx2", "httpcore2", "filelock", "fsspec"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
    logging.captureWarnings(capture=True)
    return handler


def add_context(**fields: Any) -> None:
    """From now on every line of the log has these fields as well."""
    for handler in logging.getLogger().handlers:
        if isinstance(handler.formatter, _Formatter):
            handler.formatter.context |= fields


def resolve(log_format: LogFormat, stream: TextIO) -> Literal["text", "json"]:
    """What ``auto`` means on this stream."""
    if log_format == "auto":
        return "text" if stream.isatty() else "json"
    return log_format


class _Formatter(logging.Formatter):
    def __init__(self, context: Mapping[str, Any], masker: Masker) -> None:
        super().__init__()
        self.context = dict(context)
        self.masker = masker

    def stack(self, record: logging.LogRecord) -> str:
        """Traceback and stack of the record; empty when it has none."""
        parts = [self.formatException(record.exc_info)] if record.exc_info and record.exc_info[0] else []
        return "\n".join([*parts, *([record.stack_info] if record.stack_info else [])])


class TextFormatter(_Formatter):
    """``12:04:31  message``; level and rank are said where they matter.

    Args:
        context: fields of every line.
        masker: takes secrets out.
        start: put before each line; on a terminal what clears a progress line.
    """

    def __init__(self, context: Mapping[str, Any], masker: Masker, start: str = "") -> None:
        super().__init__(context, masker)
        self.start = start

    def format(self, record: logging.LogRecord) -> str:
        """The line, with the traceback below it."""
        clock = time.strftime("%H:%M:%S", time.localtime(record.created))
        level = "" if record.levelno == logging.INFO else f"{record.levelname.lower()}: "
        rank = f"[rank {self.context['rank']}] " if self.context.get("rank") else ""
        line = "\n".join(filter(None, [f"{clock}  {rank}{level}{record.getMessage()}", self.stack(record)]))
        return self.start + self.masker.mask(line)


class JsonFormatter(_Formatter):
    """One JSON object a line: time (UTC, ISO 8601), level, logger, message, then context and ``extra``."""

    def format(self, record: logging.LogRecord) -> str:
        """The record as JSON."""
        fields = {
            "time": f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(record.created))}.{int(record.msecs):03d}Z",
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **self.context,
            **{key: value for key, value in record.__dict__.items() if key not in _STANDARD},
        }
        if stack := self.stack(record):
            fields["stack"] = stack
        # Value by value, not on the line: JSON spells a secret with a quote in it differently.
        return json.dumps(self.masker.mask_all(fields), ensure_ascii=False, default=lambda value: self.masker.mask(str(value)))
