"""What a device says that has no memory left, and what to tell people then."""

from __future__ import annotations

import torch

from job.errors import HopelessError

WORDS = ("out of memory", "can't allocate memory", "CUBLAS_STATUS_ALLOC_FAILED", "CUDNN_STATUS_ALLOC_FAILED")
"""Of torch's allocators and the libraries under it, where they do not use torch's own class of error."""
REMEDY = (
    "Lower JOB_TRAIN__MICRO_BATCH_TOKENS, which leaves the update as it is, or JOB_TRAIN__MAX_SEQ_LENGTH; or take less memory for the "
    "rest: JOB_TUNING__METHOD=lora, JOB_PARALLEL__ENGINE=deepspeed, a larger device."
)


def no_memory_left(error: BaseException) -> bool:
    """Whether an error says that a device has no memory left."""
    if isinstance(error, torch.OutOfMemoryError):
        return True
    return isinstance(error, RuntimeError) and any(words in str(error) for words in WORDS)


def too_large(what: str, error: BaseException | None = None) -> HopelessError:
    """The outcome of what does not fit, however it is cut."""
    said = f": {str(error).splitlines()[0]}" if error and str(error) else ""
    return HopelessError(f"Out of memory {what}".rstrip() + said, REMEDY)
