"""Rows of tensors from all ranks, where ranks hold unlike numbers of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
import torch.distributed as dist

if TYPE_CHECKING:  # for annotations alone: the engine brings accelerate
    from job.workers.engine import Engine


def gather_rows(engine: Engine, rows: torch.Tensor) -> tuple[torch.Tensor, slice]:
    """All ranks' rows [N, ...] in the order of the ranks, the same on each, and where among them this rank's own [n, ...] are.

    No gradient flows through it.
    """
    if engine.world_size == 1:
        return rows.detach(), slice(0, len(rows))
    counts = torch.zeros(engine.world_size, dtype=torch.int64, device=rows.device)
    counts[engine.rank] = len(rows)
    dist.all_reduce(counts)
    sizes = [int(count) for count in counts.tolist()]
    mine = torch.zeros((max(sizes), *rows.shape[1:]), dtype=rows.dtype, device=rows.device)
    mine[: len(rows)] = rows.detach()
    parts = [torch.empty_like(mine) for _ in sizes]
    dist.all_gather(parts, mine)
    first = sum(sizes[: engine.rank])
    return torch.cat([part[:size] for part, size in zip(parts, sizes, strict=True)]), slice(first, first + len(rows))
