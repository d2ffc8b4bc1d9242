"""Rows of unlike length as one tensor."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, Self

import numpy as np
import torch

from job.settings.root import Settings

_GPU_MULTIPLE = 8
"""Tensor cores want sizes in multiples of this; a CPU computes every padded column for nothing."""


@dataclass(frozen=True)
class Padding:
    """At which side rows are filled up, and to a multiple of what."""

    side: Literal["right", "left"]
    multiple: int

    @classmethod
    def of(cls, settings: Settings, tokenizer: Any) -> Self:
        """At the tokenizer's side, to what the device likes."""
        on_gpu = settings.parallel.device != "cpu" and torch.cuda.is_available()
        return cls(getattr(tokenizer, "padding_side", "right"), _GPU_MULTIPLE if on_gpu else 1)

    def length(self, rows: Sequence[Any]) -> int:
        """T: the longest row, rounded up."""
        return -(-max(map(len, rows)) // self.multiple) * self.multiple

    def pad(self, rows: Sequence[Any], value: float, kind: type = np.int64) -> torch.Tensor:
        """B rows of numbers as [B, T], filled with ``value``; ``kind`` is numpy's type of the numbers."""
        longest = self.length(rows)
        padded: np.ndarray = np.full((len(rows), longest), value, dtype=kind)
        for at, row in enumerate(rows):
            start = 0 if self.side == "right" else longest - len(row)
            padded[at, start : start + len(row)] = row
        return torch.from_numpy(padded)
