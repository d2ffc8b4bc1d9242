"""Scores of every example of a split, each exactly once, whatever the number of ranks."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from job.workers.batching import Cut, MicroBatch, heaviest, plan_step
from job.workers.engine import Engine
from job.workers.engine.shortage import too_large
from job.workers.tasks.base import Batch, Scores, Task

logger = logging.getLogger(__name__)
ROUND_TOKENS = 8192
"""Tokens that each rank scores between two looks at whether to go on, or one micro-batch if that is more."""
Part = tuple[tuple[int, ...], Mapping[str, Any]]
"""Indices of one micro-batch, and what the task measured of them."""


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
    cut = _cut(examples, engine.device)
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
        scored = [(piece, measure(engine, model, examples, piece)) for piece in mine]
        found += [part for piece, parts in scored if not piece.filler for part in parts]
    model.train(was_training)
    gathered = engine.gather(found)
    return None if gathered is None else _in_order([item for rank in gathered for item in rank], len(lengths))


def measure(engine: Engine, model: torch.nn.Module, examples: Examples, piece: MicroBatch) -> list[Part]:
    """What the task measures of a micro-batch: in one part, or in smaller ones where the device has no memory for it.

    Raises:
        HopelessError: when one example does not fit, or where a forward pass is a collective that the others would wait in.
    """
    try:
        batch = examples.task.collate([examples.dataset[index] for index in piece.indices])
        with torch.no_grad(), engine.autocast():
            return [(piece.indices, examples.task.measure(model, batch.to(engine.device)))]
    except Exception as error:
        if not engine.out_of_memory(error):
            raise
        if len(piece.indices) == 1 or engine.lockstep:
            raise too_large(f"scoring {len(piece.indices)} example(s) at once", error) from error
    # Out here the error is gone, and with it what its frames kept on the device.
    engine.free_memory()
    logger.warning("out of memory scoring %d examples at once; going on with half of them", len(piece.indices))
    middle = len(piece.indices) // 2
    halves = MicroBatch(piece.indices[:middle], piece.filler), MicroBatch(piece.indices[middle:], piece.filler)
    return [part for half in halves for part in measure(engine, model, examples, half)]


def heaviest_piece(examples: Examples, device: torch.device) -> MicroBatch:
    """The micro-batch of a split that needs the most memory, as one rank would score it."""
    lengths = np.asarray(examples.dataset["length"], dtype=np.int64)
    return heaviest(lengths, len(lengths), _cut(examples, device))[0]


def _cut(examples: Examples, device: torch.device) -> Cut:
    return Cut(max_tokens=min(examples.max_tokens, ROUND_TOKENS) if device.type == "cpu" else examples.max_tokens)


def _in_order(found: Sequence[Part], count: int) -> Scores:
    order = np.concatenate([np.asarray(indices) for indices, _ in found])
    if not np.array_equal(np.sort(order), np.arange(count)):
        raise AssertionError("an example was scored twice or not at all")
    position = np.argsort(order)
    return {name: _joined([measured[name] for _, measured in found], position) for name in found[0][1]}


def _joined(parts: Sequence[Any], position: npt.NDArray[np.int64]) -> Any:
    """Arrays or lists of the micro-batches as one, in the order of the split."""
    if isinstance(parts[0], np.ndarray):
        return np.concatenate(parts)[position]
    together = [value for part in parts for value in part]
    return [together[at] for at in position]


def read_samples(engine: Engine, task: Task, model: torch.nn.Module) -> list[dict[str, str]]:
    """The task's texts to read, from the plain model on the engine's device; a collective."""
    was_training = model.training
    model.eval()
    with torch.no_grad(), engine.autocast():
        samples = task.samples(model)
    model.train(was_training)
    return samples


def batches(task: Task, dataset: Any, pieces: Sequence[MicroBatch], epoch: int) -> Iterator[Batch]:
    """Collated micro-batches of an epoch; fillers carry weight 0."""
    for piece in pieces:
        batch = task.collate([dataset[index] for index in piece.indices], epoch)
        yield dataclasses.replace(batch, weights=batch.weights * 0) if piece.filler else batch
