"""One vector for a text, from the hidden states of its tokens.

Shapes: B texts, T tokens of the longest, D the hidden size.
"""

from __future__ import annotations

from collections.abc import Callable

import torch

Tensor = torch.Tensor


def _mean(hidden: Tensor, mask: Tensor) -> Tensor:
    share = mask.unsqueeze(-1).to(hidden.dtype)
    return (hidden * share).sum(dim=1) / share.sum(dim=1).clamp(min=1e-9)


def _cls(hidden: Tensor, mask: Tensor) -> Tensor:
    """The first token that is no padding, which stands further right where padding is on the left."""
    first = mask.to(torch.int64).argmax(dim=1)
    return hidden[torch.arange(len(hidden), device=hidden.device), first]


def _last(hidden: Tensor, mask: Tensor) -> Tensor:
    positions = torch.arange(mask.shape[1], device=mask.device)
    last = (mask * positions).argmax(dim=1)
    return hidden[torch.arange(len(hidden), device=hidden.device), last]


def _max(hidden: Tensor, mask: Tensor) -> Tensor:
    hidden = hidden.masked_fill(~mask.unsqueeze(-1).bool(), torch.finfo(hidden.dtype).min)
    return hidden.max(dim=1).values


POOLINGS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {"mean": _mean, "cls": _cls, "last": _last, "max": _max}


def pool(how: str, hidden_BTD: Tensor, mask_BT: Tensor) -> Tensor:  # noqa: N803 - shapes
    """Vectors [B, D] of texts.

    Args:
        how: ``mean`` over the tokens, the first (``cls``) or ``last`` of them, or the ``max`` of each dimension.
        hidden_BTD: last hidden states.
        mask_BT: 1 for a token, 0 for padding.
    """
    return POOLINGS[how](hidden_BTD, mask_BT)
