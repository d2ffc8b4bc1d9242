"""DeepSpeed's configuration: what the job decides over what a user's own file says, over the job's defaults.  Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from job.settings.root import Settings

BUCKET_ELEMENTS = 50_000_000
"""Most elements of a communication buffer.  DeepSpeed's own default of 500 million takes 2 GB before anything is trained."""
LIVE_ELEMENTS = 4 * BUCKET_ELEMENTS
"""Most elements of weights that ZeRO-3 holds gathered at one time."""


def build(settings: Settings, stage: int, precision: str, world_size: int, user: Mapping[str, Any]) -> dict[str, Any]:
    """The configuration that DeepSpeed is given.

    A micro-batch of one and no accumulation are what DeepSpeed counts with; the job cuts every step for itself, says which
    micro-batch is the last, and hands over losses that are shares of the whole step's.

    Args:
        settings: of the job.
        stage: ZeRO's.
        precision: ``fp32``, ``bf16`` or ``fp16``.
        world_size: of the group.
        user: the user's own file, free of contradictions (`job.settings.deepspeed`).
    """
    merged = _over(_defaults(), _without_auto(user))
    return _over(merged, _owned(settings, stage, precision, world_size))


def _defaults() -> dict[str, Any]:
    return {
        "steps_per_print": None,
        "zero_optimization": {
            "reduce_bucket_size": BUCKET_ELEMENTS,
            "allgather_bucket_size": BUCKET_ELEMENTS,
            "stage3_prefetch_bucket_size": BUCKET_ELEMENTS,
            "stage3_max_live_parameters": LIVE_ELEMENTS,
            "stage3_max_reuse_distance": LIVE_ELEMENTS,
        },
    }


def _owned(settings: Settings, stage: int, precision: str, world_size: int) -> dict[str, Any]:
    parallel = settings.parallel
    zero: dict[str, Any] = {"stage": stage}
    zero["offload_optimizer"] = {"device": "cpu" if parallel.offload_optimizer else "none"}
    if stage == 3:
        zero["offload_param"] = {"device": "cpu" if parallel.offload_parameters else "none"}
    return {
        "train_micro_batch_size_per_gpu": 1,
        "gradient_accumulation_steps": 1,
        "train_batch_size": world_size,
        "gradient_clipping": settings.train.max_grad_norm,
        "zero_optimization": zero,
        "zero_allow_untested_optimizer": True,  # torch's own AdamW, the same as every other engine's
        "zero_force_ds_cpu_optimizer": False,  # DeepSpeed's is compiled on the spot, where there is a compiler
        # Like every other engine: a step whose gradients are not finite is no update.
        "bf16": {"enabled": precision == "bf16", "check_grad_overflow": True},
        "fp16": {"enabled": precision == "fp16"},
        "data_types": {"grad_accum_dtype": "fp32" if precision == "bf16" else None},
    }


def _without_auto(values: Mapping[str, Any]) -> dict[str, Any]:
    """``auto`` means: as the job's settings say."""
    return {
        name: _without_auto(value) if isinstance(value, Mapping) else value for name, value in values.items() if value != "auto"
    }


def _over(weak: Mapping[str, Any], strong: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(weak)
    for name, value in strong.items():
        below = merged.get(name)
        merged[name] = _over(below, value) if isinstance(below, Mapping) and isinstance(value, Mapping) else value
    return merged
