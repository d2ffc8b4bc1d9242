"""The heaviest micro-batches, tried before the first step: what does not fit shows now, and not after hours of training.

Forward, backward and scoring, beside room for the optimizer's state.  Nothing of it stays: no update is made, gradients are
thrown away, and the draws of every step begin with its own seed.  Saving takes no memory of the device; for its disk room is asked.
"""

from __future__ import annotations

import torch

from job.workers.loop import Loop
from job.workers.scoring import Examples, heaviest_piece, measure


def rehearse(loop: Loop, model: torch.nn.Module, held_out: Examples) -> None:
    """Try the heaviest micro-batches of training and of the validation split, and cut training smaller until they fit.

    Where a step cannot be taken again, its first shortage ends the run anyhow, and there is nothing to rehearse.

    Args:
        loop: about to run.
        model: the plain model.
        held_out: the validation split, as it will be scored.

    Raises:
        HopelessError: when one example does not fit.
    """
    if not loop.memory.recovers:
        return
    while not _fits(loop):
        loop.memory.halve(loop.parts.feed.heaviest())
    was_training = model.training
    model.eval()
    measure(loop.engine, model, held_out, heaviest_piece(held_out, loop.engine.device))
    model.train(was_training)


def _fits(loop: Loop) -> bool:
    """Whether training's heaviest micro-batches fit on all ranks; a collective."""
    engine, parts, memory = loop.engine, loop.parts, loop.memory
    for piece in parts.feed.heaviest():
        with memory.watched(len(piece.indices)):
            room = _future_moments(parts.optimizer)
            (batch,) = parts.task.foresee(parts.wrapped, [parts.feed.batch(piece)], engine)
            loop.pass_over(batch, 1.0, last=False)
            del room
        memory.forget(parts.optimizer)
    return not memory.given_up()


def _future_moments(optimizer: torch.optim.Optimizer) -> list[torch.Tensor]:
    """As much memory as AdamW will take with its first update, where it has not taken it yet."""
    weights = [weight for group in optimizer.param_groups for weight in group["params"] if weight not in optimizer.state]
    return [torch.empty_like(weight) for weight in weights for _ in range(2)]
