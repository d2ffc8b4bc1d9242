"""What the run needs of memory by the estimate that chose its engine, and beside it what the other engines would need."""

from __future__ import annotations

from typing import Any

from job.reporting import formats
from job.reporting.bundle import ReportBundle
from job.reporting.sections.table import Table

_TOTAL = "total"


def memory(bundle: ReportBundle) -> Table:
    """A row for each engine that was considered; empty where nothing was estimated."""
    choice: dict[str, Any] = bundle.train.get("engine", {}).get("choice", {})
    needs: dict[str, dict[str, int]] = choice.get("needs", {})
    if not needs:
        return Table("", (), ())
    parts = [part for part in next(iter(needs.values())) if part != _TOTAL]
    activations = choice["activation_bytes_per_token"] * choice["micro_batch_tokens"]
    room = choice["bytes_each"]
    rows = [
        (
            f"{mode} (used)" if mode == choice["mode"] else mode,
            *(formats.size(need[part]) for part in parts),
            formats.size(activations),
            formats.size(need[_TOTAL] + activations),
            formats.share(need[_TOTAL] + activations, room),
        )
        for mode, need in needs.items()
    ]
    tokens = formats.count(choice["micro_batch_tokens"])
    caption = f"Memory of one process by the engine's estimate, of {formats.size(room)} each, {tokens} tokens at once"
    return Table(caption, ("Engine", *(part.capitalize() for part in parts), "Activations", "In all", "Share"), rows)
