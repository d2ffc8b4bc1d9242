"""bitsandbytes on a processor, where the job itself would not use it."""

from __future__ import annotations


def use_plain_kernels() -> None:
    """Keep bitsandbytes from its inference kernels for processors with AVX-512 BF16.

    At an evaluation it would repack the base's weights for them, and training that goes on has no gradient through them
    (bitsandbytes 0.50 warns of silently incorrect results); on a GPU, where the job uses it, there is no such step.
    """
    from bitsandbytes.nn import modules

    modules.has_avx512bf16 = lambda: False
