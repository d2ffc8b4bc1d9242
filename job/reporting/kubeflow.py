"""Progress for Kubeflow Trainer, which shows it as the TrainJob's own status: its controller says by variables where to and as whom."""

from __future__ import annotations

import json
import logging
import ssl
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from http.client import HTTPException
from pathlib import Path
from typing import Any

from job.reporting.status import Status

logger = logging.getLogger(__name__)
EVERY_S = 5.0
"""Kubeflow asks for no more than one message in this time."""
TIMEOUT_S = 5.0
PREFIXES = ("KUBEFLOW_TRAINER_SERVER_", "KUBEFLOW_TRAINER_STATUS_")
"""The name changed between versions."""


@dataclass(frozen=True)
class Trainer:
    """Where progress is told: the endpoint of this TrainJob, and the files with the authority's certificate and the token."""

    url: str
    certificate: Path | None
    token: Path | None

    @classmethod
    def of(cls, environ: Mapping[str, str]) -> Trainer | None:
        """From the variables that the controller sets; None outside of Kubeflow."""
        for prefix in PREFIXES:
            if url := environ.get(f"{prefix}URL"):
                certificate, token = environ.get(f"{prefix}CA_CERT"), environ.get(f"{prefix}TOKEN")
                return cls(url, Path(certificate) if certificate else None, Path(token) if token else None)
        return None

    def send(self, message: Mapping[str, Any]) -> None:
        """Post a message.  The token is read anew each time, because it is replaced before it expires."""
        headers = {"Content-Type": "application/json"}
        if self.token is not None:
            token = self.token.read_text(encoding="utf-8").strip()
            if not token.isprintable():
                raise ValueError("the token is no header's value")
            headers["Authorization"] = f"Bearer {token}"
        request = urllib.request.Request(self.url, json.dumps(message).encode(), headers, method="POST")  # noqa: S310
        context = ssl.create_default_context(cafile=self.certificate) if self.url.startswith("https:") else None
        try:
            urllib.request.urlopen(request, timeout=TIMEOUT_S, context=context).close()  # noqa: S310 - the controller named it
        except urllib.error.HTTPError as error:
            error.close()  # a reply too, whose connection nobody else would end
            raise


@contextmanager
def told(trainer: Trainer | None, status: Status, thread_name: str, every_s: float = EVERY_S) -> Iterator[None]:
    """Tell Kubeflow of the status while inside and once more at the end.  That it does not listen is a warning and ends nothing."""
    if trainer is None:
        yield
        return
    over = threading.Event()
    thread = threading.Thread(target=_tell_until, args=(trainer, status, over, every_s), name=thread_name, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def message(status: Status) -> dict[str, Any]:
    """What Kubeflow takes: percentage, seconds left, metrics as text."""
    share, remaining = status.share_done, status.remaining_s(time.monotonic())
    told: dict[str, Any] = {"lastUpdatedTime": datetime.now(UTC).isoformat(timespec="seconds")}
    if status.exit_code == 0:
        share, remaining = 1.0, 0.0
    if share is not None:
        # 100 is for what is published.
        told["progressPercentage"] = 100 if status.exit_code == 0 else min(99, int(100 * share))
    if remaining is not None:
        told["estimatedRemainingSeconds"] = int(remaining)
    if status.values:
        told["metrics"] = [{"name": name.replace("/", "_"), "value": f"{value:g}"} for name, value in sorted(status.values.items())]
    return {"trainerStatus": told}


def _tell_until(trainer: Trainer, status: Status, over: threading.Event, every_s: float) -> None:
    failed, last = False, False
    while not last:
        last = over.wait(every_s)
        try:
            trainer.send(message(status))
        except (OSError, ValueError, HTTPException) as error:
            if not failed:
                # Other errors may quote what was sent, the token too.
                said = error if isinstance(error, OSError) else type(error).__name__
                logger.warning("Kubeflow does not take this job's progress: %s", said)
            failed = True
