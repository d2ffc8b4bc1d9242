"""What the worker programs of an attempt logged on this node goes to the store when the attempt ends, however it ends."""

from __future__ import annotations

import logging
from collections.abc import Callable

from job.errors import JobError
from job.run_dir import RunDir
from job.storage.commit import Attempt

logger = logging.getLogger(__name__)
MAX_BYTES = 4 << 20
"""Of each program; of a longer log the end counts."""


class AttemptLogs:
    """The programs' logs from now on: the files themselves go on from attempt to attempt."""

    def __init__(self, run_dir: RunDir) -> None:
        self._folder = run_dir.log("any").parent
        self._starts = {path.name: path.stat().st_size for path in self._folder.glob("*.log")}

    def upload(self, attempt: Attempt, node_rank: int, mask: Callable[[str], str]) -> None:
        """Write a part for each program that logged something; that it fails is no reason to end otherwise."""
        try:
            for path in sorted(self._folder.glob("*.log")):
                with path.open("rb") as file:
                    file.seek(max(self._starts.get(path.name, 0), path.stat().st_size - MAX_BYTES))
                    text = file.read().decode(errors="replace")
                if text:
                    attempt.write_part(f"logs-node-{node_rank}-{path.stem}.jsonl", mask(text).encode())
        except (JobError, OSError) as error:
            logger.warning("the logs of this attempt could not be written to the store: %s", error)
