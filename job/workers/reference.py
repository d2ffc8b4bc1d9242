"""What the model of the start says of both answers of every record: computed once, in a pass of its own, and kept by content.

The file lies beside the prepared split and is named by a hash of the pairs' tokens, the start model's weights, and the
arithmetic, so that an attempt on the same node that starts anew, or the evaluation after training, reads it, and nothing else can.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from job import run_dir as run_dirs
from job.workers.content import digest_of_model
from job.workers.tasks.base import Task

if TYPE_CHECKING:
    from job.workers.engine import Engine

PAIR = ("chosen", "rejected")


def columns(sides: Sequence[str]) -> tuple[str, ...]:
    """The columns of reference values, for the sides of a record."""
    return tuple(f"reference_{side}" for side in sides)


COLUMNS = columns(PAIR)


@dataclass(frozen=True)
class ReferencePass:
    """How the reference is computed.

    Attributes:
        task: whose `measure` gives by side the summed log-probabilities [B].
        start: the model of the start.
        engine: the group.
        max_tokens: padded tokens that one rank holds at once.
        beat: called between batches, as often on every rank; may raise `StopRequested` on all of them.
        sides: of a record, each with ``*_ids`` and ``*_targets``.
    """

    task: Task
    start: Callable[[], torch.nn.Module]
    engine: Engine
    max_tokens: int
    beat: Callable[[], None]
    sides: Sequence[str] = PAIR


def with_reference(dataset: Any, work: ReferencePass) -> Any:
    """The split with the columns that `columns` names, float32; a collective."""
    model = work.start()
    path = _path(dataset, model, work)
    found = work.engine.broadcast(_read(path) if work.engine.is_main else None)
    if found is None:
        found = _compute(dataset, model, work)
        if work.engine.is_main and path is not None:
            run_dirs.write_json(path, found)
    for name in columns(work.sides):
        dataset = dataset.add_column(name, np.array(found[name], dtype=np.float32))
    return dataset


def _compute(dataset: Any, model: torch.nn.Module, work: ReferencePass) -> dict[str, list[float]]:
    from job.workers.scoring import Examples, score  # the prepare program, which imports all tasks, has no engine

    def going() -> bool:
        work.beat()
        return True

    examples = Examples(work.task, dataset, work.max_tokens)
    scores = score(work.engine, model.to(work.engine.device), examples, going)
    told = (
        None
        if scores is None
        else {name: scores[side].tolist() for name, side in zip(columns(work.sides), work.sides, strict=True)}
    )
    found: dict[str, list[float]] = work.engine.broadcast(told)
    return found


def _path(dataset: Any, model: torch.nn.Module, work: ReferencePass) -> Path | None:
    """Where the values are kept; None for a data set that lies on no disk."""
    if not work.engine.is_main or not dataset.cache_files:
        return None
    together = hashlib.sha256(work.engine.precision.encode())
    for name in (f"{side}_{part}" for side in work.sides for part in ("ids", "targets")):
        for chunk in dataset.data.column(name).chunks:
            together.update(np.ascontiguousarray(chunk.flatten().to_numpy()).data)
            together.update(np.ascontiguousarray(chunk.value_lengths().to_numpy()).data)
    together.update(digest_of_model(model))
    folder = Path(dataset.cache_files[0]["filename"]).parent
    return folder.with_name(f"{folder.name}-reference-{together.hexdigest()[:32]}.json")


def _read(path: Path | None) -> Any:
    return run_dirs.read_json(path) if path is not None and path.is_file() else None
