"""Hashes of what a kept result was made from, by which it is found again and by nothing else."""

from __future__ import annotations

import hashlib

import numpy as np
import torch

_HASHED_BYTES = 1 << 26


def digest_of_model(model: torch.nn.Module) -> bytes:
    """sha256 over the names and bytes of a model's weights and buffers."""
    together = hashlib.sha256()
    for name, tensor in model.state_dict().items():
        together.update(name.encode())
        flat = tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy()
        for first in range(0, len(flat), _HASHED_BYTES):
            together.update(np.ascontiguousarray(flat[first : first + _HASHED_BYTES]).data)
    return together.digest()
