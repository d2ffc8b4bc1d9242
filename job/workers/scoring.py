"""Scores of every example of a split, each exactly once, whatever the number of ranks."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from job.workers.batching import Cut, MicroBatch, plan_step
from job.workers.engine import Engine
from job.workers.tasks.base import Batch, Task

ROUND_TOKENS = 8192
"""Tokens that each rank scores between two looks at whether to go on, or one micro-batch if that is more."""
Part = tuple[tuple[int, ...], npt.NDArray[np.float32], npt.NDArray[Any]]
"""Indices, logits and labels of one micro-batch."""


@dataclass(frozen=True)
class Scores:
    """Logits [N, C] float32 and labels [N] or [N, C] in the order of the split."""

    logits: npt.NDArray[np.float32]
    labels: npt.NDArray[Any]


@dataclass(frozen=True)
class Examples:
    """What is scored: a prepared split of N examples, the task that makes batches of it, padded tokens one rank holds at once."""

    task: Task
    dataset: Any
    max_tokens: int


def score(
    engine: Engine, model: torch.nn.Module, examples: Examples, keep_going: Callable[[], bool] = lambda: True
) -> Scores | None:
    """Score a split.

    Args:
        engine: the group.
        model: the plain model, on the engine's device; it is put in evaluation mode and back.
        examples: the split.
        keep_going: asked on every rank between rounds; must answer the same on all of them.

    Returns:
        The scores on rank 0, None elsewhere, and None everywhere when ``keep_going`` said no.
    """
    lengths = np.asarray(examples.dataset["length"], dtype=np.int64)
    by_length = np.argsort(-lengths, kind="stable")
    cut = Cut(max_tokens=min(examples.max_tokens, ROUND_TOKENS) if engine.device.type == "cpu" else examples.max_tokens)
    size = engine.world_size * max(1, cut.max_tokens // max(1, int(lengths.max(initial=1))))
    found: list[Part] = []
    was_training = model.training
    model.eval()
    for start in range(0, len(by_length), size):
        if not keep_going():
            model.train(was_training)
            return None
        plan = plan_step(by_length[start : start + size], lengths, engine.world_size, cut)
        # Where a forward pass is a collective, every rank makes as many, and what fillers answer is dropped.
        mine = [piece for piece in plan[engine.rank] if engine.lockstep or not piece.filler]
        scored = [(piece, _forward(engine, model, examples, piece)) for piece in mine]
        found += [part for piece, part in scored if not piece.filler]
    model.train(was_training)
    gathered = engine.gather(found)
    return None if gathered is None else _in_order([item for rank in gathered for item in rank], len(lengths))


def _forward(engine: Engine, model: torch.nn.Module, examples: Examples, piece: MicroBatch) -> Part:
    batch = examples.task.collate([examples.dataset[index] for index in piece.indices])
    labels = batch.labels.numpy()
    with torch.no_grad(), engine.autocast():
        logits = model(**batch.to(engine.device).inputs).logits
    return piece.indices, logits.float().cpu().numpy(), labels


def _in_order(found: Sequence[Part], count: int) -> Scores:
    order = np.concatenate([np.asarray(indices) for indices, _, _ in found])
    if not np.array_equal(np.sort(order), np.arange(count)):
        raise AssertionError("an example was scored twice or not at all")
    position = np.argsort(order)
    return Scores(
        np.concatenate([logits for _, logits, _ in found])[position],
        np.concatenate([labels for _, _, labels in found])[position],
    )


def batches(task: Task, dataset: Any, pieces: Sequence[MicroBatch]) -> Iterator[Batch]:
    """Collated micro-batches; fillers carry weight 0."""
    for piece in pieces:
        batch = task.collate([dataset[index] for index in piece.indices])
        yield Batch(batch.inputs, batch.labels, batch.weights * 0) if piece.filler else batch
