"""Where metrics go: a file of JSON lines in the run directory, which everything else reads from.

Append-only and flushed line by line, so that a killed worker loses at most the line it was writing.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

from job.run_dir import write_bytes


class MetricsFile:
    """Appends one JSON line per record.  Nothing is touched before the first one, so every rank may hold such an object.

    Args:
        path: the file; made when it is not there, together with its folder.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._whole = False

    def append(self, record: dict[str, Any]) -> None:
        """Append a record; numbers that are not finite become null, which is what JSON can hold.

        A line that an earlier kill tore apart is removed first.
        """
        if not self._whole:
            self._keep(lambda _: True)
        line = json.dumps(_finite(record), ensure_ascii=False, allow_nan=False)
        with self.path.open("a", encoding="utf-8") as file:
            file.write(line + "\n")

    def truncate_after(self, step: int) -> None:
        """Forget every record after ``step``: the run continues from there and will write them again."""
        self._keep(lambda line: int(json.loads(line).get("step", 0)) <= step)

    def _keep(self, wanted: Callable[[str], bool]) -> None:
        """Rewrite the file, whole or not at all, with the complete lines that are ``wanted``, if that changes it."""
        self._whole = True
        if not self.path.exists():
            self.path.parent.mkdir(parents=True, exist_ok=True)
            return
        content = self.path.read_text(encoding="utf-8", errors="replace")
        complete, _, _ = content.rpartition("\n")
        kept = "".join(f"{line}\n" for line in complete.splitlines() if line and wanted(line))
        if kept != content:
            write_bytes(self.path, kept.encode())


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
