"""What every stage is given: the settings, the run directory, the attempt in the store, the workers' crew, the progress line."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from job.cluster.group import NodeGroup
from job.cluster.stop import StopRequest
from job.cluster.supervise import Crew
from job.reporting.progress import Progress
from job.run_dir import RunDir
from job.settings.root import Settings
from job.storage.commit import Attempt


@dataclass(frozen=True)
class RunContext:
    """One attempt at the run, on this node."""

    settings: Settings
    run_dir: RunDir
    attempt: Attempt
    crew: Crew
    progress: Progress
    ship: Callable[[], None] = lambda: None
    """Has the attempt's logs and metrics sent to the store; does not wait."""

    @property
    def group(self) -> NodeGroup:
        return self.crew.group

    @property
    def stop(self) -> StopRequest:
        return self.crew.stop


def digest(value: Any) -> str:
    """sha256 of a JSON value, the same for equal values."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=str).encode()).hexdigest()
