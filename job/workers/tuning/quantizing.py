"""The base in 4 bits under an adapter (QLoRA), by bitsandbytes.  The only importer of bitsandbytes.

The linear maps of the body are replaced after loading, in float32 on the CPU, and become 4-bit when they move to the device: the
host holds the whole model for a moment, and nothing of how models are loaded and accounted for is different.
"""

from __future__ import annotations

import importlib
from typing import Any

import torch

from job.errors import SettingsError
from job.workers.tuning import anatomy


def quantize(model: Any, compute_dtype: torch.dtype) -> None:
    """Replace the linear maps of the body, in place, by ones of 4 bits (NormalFloat, with quantized constants).

    Args:
        model: in float32 on the CPU.
        compute_dtype: of the products.

    Raises:
        SettingsError: when the model has none: GPT-2's are stored the other way round, which there is no kernel for.
    """
    bnb: Any = importlib.import_module("bitsandbytes")

    names = [name for name in anatomy.linear_modules(model) if isinstance(model.get_submodule(name), torch.nn.Linear)]
    if not names:
        raise SettingsError(
            f"This {type(model).__name__} has no linear layers that bitsandbytes can hold in 4 bits.",
            "Use JOB_TUNING__METHOD=lora, which trains the same adapter on the base as it is.",
        )
    for name in names:
        old = model.get_submodule(name)
        new = bnb.nn.Linear4bit(
            old.in_features, old.out_features, old.bias is not None, compute_dtype, compress_statistics=True, quant_type="nf4"
        )
        new.weight = bnb.nn.Params4bit(old.weight.detach(), requires_grad=False, quant_type="nf4", compress_statistics=True)
        new.bias = old.bias
        model.set_submodule(name, new)
    model.is_loaded_in_4bit = True
