import pytest
import torch

from job.workers.engine.shortage import no_memory_left, too_large


def test_what_torch_itself_says_on_this_device():
    with pytest.raises(RuntimeError) as caught:
        torch.empty(2**50)  # a thousand terabytes: asked for in earnest, and refused
    assert no_memory_left(caught.value)


@pytest.mark.parametrize(
    ("error", "short"),
    [
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."), True),
        (RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"), True),
        (RuntimeError("CUDA error: an illegal memory access was encountered"), False),
        (ValueError("out of memory"), False),
    ],
)
def test_other_devices(error, short):
    assert no_memory_left(error) == short


def test_the_outcome_names_the_setting_to_lower():
    outcome = too_large("on rank 3", RuntimeError("first line\nand 40 more"))
    assert (outcome.exit_code, outcome.message) == (93, "Out of memory on rank 3: first line")
    assert "JOB_TRAIN__MICRO_BATCH_TOKENS" in outcome.hint
