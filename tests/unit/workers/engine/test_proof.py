import dataclasses

import pytest
import torch

from job.errors import CrashError
from job.workers.engine import proof
from job.workers.engine.proof import Facts
from tests.support.training import OneRank

N = 1_000_000
DDP = Facts("ddp", 0, 2, "DistributedDataParallel", "MULTI_CPU", (N, N), (N, N))
ZERO2 = Facts("zero2", 0, 2, "DeepSpeedEngine", "ZeRO-2", (N, N), (N // 2, N))
ZERO3 = Facts("zero3", 0, 2, "DeepSpeedEngine", "ZeRO-3", (N, N), (N // 2, N // 2))
SINGLE = Facts("single", 0, 1, "Linear", "NO", (N, N), (N, N))


def group(fact, world_size=2):
    return [dataclasses.replace(fact, rank=rank) for rank in range(world_size)]


@pytest.mark.parametrize("fact", [DDP, ZERO2, ZERO3])
def test_what_is_as_it_should_be(fact):
    assert proof.engine_problems(group(fact), 2) == []
    assert proof.engine_problems([SINGLE], 1) == []


@pytest.mark.parametrize(
    ("fact", "change", "says"),
    [
        (DDP, {"wrapped_class": "Linear"}, "the model is a Linear"),
        (DDP, {"backend": "NO"}, "rank 1 runs as NO"),
        (DDP, {"world_size": 1}, "rank 1 believes to be one of 1"),
        (DDP, {"rank": 0}, r"the ranks call themselves \[0, 0\]"),
        (ZERO2, {"wrapped_class": "DistilBert", "backend": "ZeRO-0", "held": (N, N)}, "the model is a DistilBert"),
        (ZERO2, {"backend": "ZeRO-0"}, "rank 1 runs ZeRO-0"),
        (ZERO2, {"held": (N, N)}, "holds 1000000 of 1000000 elements of the optimizer state"),
        (ZERO3, {"held": (N // 2, N)}, "holds 1000000 of 1000000 elements of the weights"),
        (ZERO3, {"elements": (N // 10, N), "held": (N // 20, N)}, "holds 1000000 of 1000000 elements of the weights"),
        (ZERO2, {"elements": (N // 10, N), "held": (N // 10, N)}, "holds 100000 of 100000 elements of the optimizer state"),
    ],
)
def test_one_rank_that_differs_is_enough(fact, change, says):
    engine = OneRank(0, 2)
    first = group(fact)[0]
    engine.gather = lambda _: [first, dataclasses.replace(first, **{"rank": 1, **change})]
    with pytest.raises(CrashError, match=says):
        proof.check_engine(engine, first)


def test_single_on_several_processes():
    assert proof.engine_problems(group(dataclasses.replace(SINGLE, world_size=2)), 2)
    assert proof.engine_problems([dataclasses.replace(SINGLE, wrapped_class="DistributedDataParallel")], 1)


@pytest.mark.parametrize(
    ("by_rank", "says"),
    [
        ([[1, 2], [3]], ""),
        ([[1, 2, 3], []], ""),
        ([[1, 2, 3], [1, 2, 3]], r"3 examples were trained on more than once, on ranks \[0, 1\]"),
        ([[1, 2], []], "1 examples were on no rank"),
    ],
)
def test_examples(by_rank, says):
    engine = OneRank(0, 2)
    engine.gather = lambda _: by_rank
    if says:
        with pytest.raises(CrashError, match=says):
            proof.check_examples(engine, by_rank[0], [1, 2, 3])
    else:
        proof.check_examples(engine, by_rank[0], [1, 2, 3])


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16, torch.float16])
def test_any_other_bit_gives_another_fingerprint(dtype):
    tensors = [torch.randn(5, dtype=dtype), torch.randn(3, 2, dtype=dtype).t()]
    before = proof.fingerprint(tensors)
    assert proof.fingerprint([tensor.clone() for tensor in tensors]) == before
    words = tensors[0].view(torch.uint8)
    for bit in range(8):
        words[3] ^= 1 << bit
        assert proof.fingerprint(tensors) != before
        words[3] ^= 1 << bit
    assert proof.fingerprint(tensors) == before


def test_the_ranks_that_differ_are_named():
    assert proof.differing(["a", "a"]) == []
    assert proof.differing(["a", "b", "a", "a"]) == [1]
    assert proof.differing(["a", "b"]) == [1]
    engine = OneRank(0, 3)
    engine.gather = lambda mine: [mine, mine, "other"]
    with pytest.raises(CrashError, match="weights on rank 2 differ"):
        proof.check_replicas(engine, [torch.ones(3)])


def test_frozen_weights_that_changed_are_noticed_wherever_they_lie():
    engine, model = OneRank(0, 3), torch.nn.Linear(3, 2)
    model.weight.requires_grad_(False)
    before = proof.frozen_fingerprint(model.parameters())
    with torch.no_grad():
        model.bias.add_(1)
    engine.gather = lambda mine: [mine, False, False]
    proof.check_frozen(engine, before, model.parameters())
    model.weight.ds_tensor = torch.ones(3)
    parted = proof.frozen_fingerprint(model.parameters())
    assert parted != before
    model.weight.ds_tensor[1] = 2
    with pytest.raises(CrashError, match="not to be trained have changed on rank 0"):
        proof.check_frozen(engine, parted, model.parameters())
    engine.gather = lambda _: [False, False, True]
    with pytest.raises(CrashError, match="changed on rank 2"):
        proof.check_frozen(engine, parted, model.parameters())
