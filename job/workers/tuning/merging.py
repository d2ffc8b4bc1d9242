"""Whether a merged model gives what its adapter gives on the base: the same examples through both, in float32."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch

from job.errors import CrashError
from job.workers.tasks.base import Batch

BOUND = 1e-3
"""Largest difference allowed, in shares of the largest output.  Rounding makes about 1e-6; a merge gone wrong, about 1."""
NUM_EXAMPLES = 64


def difference(merged: torch.nn.Module, tuned: torch.nn.Module, batches: Iterable[Batch]) -> dict[str, Any]:
    """Compare the outputs of two models, example by example.

    Args:
        merged: the merged model.
        tuned: the base with the adapter, on the same device.
        batches: examples, on that device.

    Returns:
        ``max_abs_difference`` and ``max_abs_output`` of the outputs, ``bound`` on the first in shares of the second, ``num_examples``.

    Raises:
        CrashError: when they differ by more than `BOUND`.
    """
    largest, furthest, count = torch.zeros(()), torch.zeros(()), 0
    for model in (merged, tuned):
        model.eval()
    with torch.no_grad():
        for batch in batches:
            ours, theirs = (_output(model(**batch.inputs)).float().cpu() for model in (merged, tuned))
            # torch's maximum keeps what is no number; Python's may lose it.
            largest = torch.maximum(largest, theirs.abs().max())
            furthest = torch.maximum(furthest, (ours - theirs).abs().max())
            count += len(batch.weights)
    if not furthest <= BOUND * largest:
        raise CrashError(
            f"The merged model gives other outputs than its adapter: up to {furthest:.3g} apart, where outputs go up to {largest:.3g}.",
            "Nothing was published. JOB_TUNING__PUBLISH=adapter publishes the adapter alone, which is what was trained.",
        )
    return {"max_abs_difference": float(furthest), "max_abs_output": float(largest), "bound": BOUND, "num_examples": count}


def _output(answer: Any) -> torch.Tensor:
    """A head's logits, or the hidden states of a model that has none."""
    found: torch.Tensor = answer.logits if hasattr(answer, "logits") else answer.last_hidden_state
    return found
