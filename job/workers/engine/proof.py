"""Proof of engagement: what every rank really holds, against what was asked for.

The usual stack falls back without a word: to no engine at all, or to as many processes as there are, each of which believes to
be the only one and trains on everything.  Looked at after the model is wrapped, and once more after the first step.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
import torch.distributed as dist

from job.errors import CrashError
from job.workers.engine.group import Group

PADDING_ELEMENTS = 4096
"""What alignment may add to a rank's part of a parameter group."""


@dataclass(frozen=True)
class Facts:
    """What one rank holds.

    Attributes:
        kind: the engine asked for.
        rank, world_size: as torch's process group says.
        wrapped_class, backend: of the wrapped model; accelerate's name of the distributed type, or DeepSpeed's ZeRO stage.
        elements: of the whole model: the trained ones, for each of which the optimizer has a state, and all.
        held: elements of the optimizer's state, and of the weights, on this rank.
    """

    kind: str
    rank: int
    world_size: int
    wrapped_class: str
    backend: str
    elements: tuple[int, int]
    held: tuple[int, int]


def place() -> tuple[int, int]:
    """Rank and world size, from torch itself."""
    return (dist.get_rank(), dist.get_world_size()) if dist.is_initialized() else (0, 1)


def check_engine(group: Group, facts: Facts) -> None:
    """Hold all ranks' facts against what was asked for.

    Raises:
        CrashError: on every rank, saying what is not as it should be.
    """
    gathered = group.gather(facts)
    problems = group.broadcast(None if gathered is None else engine_problems(gathered, group.world_size))
    if problems:
        raise CrashError(
            f"JOB_PARALLEL__ENGINE asked for {facts.kind} on {group.world_size} process(es), and that is not what runs: {'; '.join(problems)}.",
            "Nothing was trained. This is a bug in the job or in a library under it, or a library was replaced by another version.",
        )


_CLASSES = {"ddp": "DistributedDataParallel", "zero1": "DeepSpeedEngine", "zero2": "DeepSpeedEngine", "zero3": "DeepSpeedEngine"}


def engine_problems(facts: Sequence[Facts], world_size: int) -> list[str]:
    """What is wrong, as phrases; empty when the engine is there on every rank."""
    found = []
    for fact in facts:
        wanted = _CLASSES.get(fact.kind)
        is_wrapped = fact.wrapped_class in _CLASSES.values()
        if (wanted is None and is_wrapped) or (wanted is not None and fact.wrapped_class != wanted):
            found.append(f"on rank {fact.rank} the model is a {fact.wrapped_class}")
        if fact.world_size != world_size:
            found.append(f"rank {fact.rank} believes to be one of {fact.world_size}")
        found += _backend_problems(fact, world_size)
    if sorted(fact.rank for fact in facts) != list(range(world_size)):
        found.append(f"the ranks call themselves {[fact.rank for fact in facts]}")
    return found


def _backend_problems(fact: Facts, world_size: int) -> list[str]:
    if fact.kind == "single":
        return [] if world_size == 1 else ["one process was asked for"]
    if fact.kind == "ddp":
        fits = world_size > 1 and fact.backend.startswith("MULTI_")
        return [] if fits else [f"rank {fact.rank} runs as {fact.backend}"]
    stage = int(fact.kind.removeprefix("zero"))
    found = [] if fact.backend == f"ZeRO-{stage}" else [f"rank {fact.rank} runs {fact.backend}"]
    kinds = (("optimizer state", True), ("weights", stage == 3))
    for (what, spread), held, elements in zip(kinds, fact.held, fact.elements, strict=True):
        if spread and held > elements / world_size + PADDING_ELEMENTS:
            found.append(f"rank {fact.rank} holds {held} of {elements} elements of the {what}")
    return found


def check_examples(group: Group, mine: Sequence[int], step: Sequence[int]) -> None:
    """See that the ranks trained on different examples, and together on all of the step's.

    Args:
        group: the group.
        mine: indices of the examples that this rank gave to the model, fillers left out.
        step: indices of the step's examples.

    Raises:
        CrashError: on every rank.
    """
    gathered = group.gather(list(mine))
    problem = group.broadcast(None if gathered is None else examples_problem(gathered, step))
    if problem:
        raise CrashError(f"The first step was not shared out as it should be: {problem}.", "This is a bug in the job.")


def examples_problem(by_rank: Sequence[Sequence[int]], step: Sequence[int]) -> str:
    """A phrase about examples trained on twice or not at all; empty when every one was trained on once."""
    counts = Counter(index for mine in by_rank for index in mine)
    expected = Counter(int(index) for index in step)
    twice, missing = counts - expected, expected - counts
    if twice:
        ranks = [rank for rank, mine in enumerate(by_rank) if set(mine) & set(twice)]
        return f"{sum(twice.values())} examples were trained on more than once, on ranks {ranks}"
    return f"{sum(missing.values())} examples were on no rank" if missing else ""


def fingerprint(tensors: Iterable[torch.Tensor]) -> str:
    """sha256 over an exact sum of each tensor's bits: another bit anywhere gives another one; cheap on a GPU as well."""
    sums = [_bits(tensor.detach()).sum(dtype=torch.int64) for tensor in tensors]
    numbers = torch.stack([each.to(sums[0].device) for each in sums]).cpu().numpy() if sums else b""
    return hashlib.sha256(bytes(numbers)).hexdigest()


def _bits(tensor: torch.Tensor) -> torch.Tensor:
    views = {1: torch.uint8, 2: torch.int16, 4: torch.int32, 8: torch.int64}
    return tensor.contiguous().view(views[tensor.element_size()])


def check_replicas(group: Group, tensors: Iterable[torch.Tensor]) -> None:
    """See that every rank's copy of the weights is the same.

    Raises:
        CrashError: on every rank, naming those that differ from most, or from rank 0.
    """
    gathered = group.gather(fingerprint(tensors))
    astray = group.broadcast(None if gathered is None else differing(gathered))
    if astray:
        raise CrashError(
            f"The weights on rank {', '.join(map(str, astray))} differ from those of the other ranks, which hold copies of the same model.",
            "Broken memory, a broken device or link, or a bug: look at that rank's machine. The run continues from its last commit.",
        )


def frozen_fingerprint(parameters: Iterable[torch.Tensor]) -> str:
    """Fingerprint of the weights that are not trained, as this rank holds them: whole, or its part of each."""
    return fingerprint(getattr(each, "ds_tensor", each) for each in parameters if not each.requires_grad)


def check_frozen(group: Group, before: str, parameters: Iterable[torch.Tensor]) -> None:
    """See that the weights which are not trained are as they were before training, on every rank.

    Raises:
        CrashError: on every rank, naming those where they are not.
    """
    gathered = group.gather(frozen_fingerprint(parameters) != before)
    astray = group.broadcast(None if gathered is None else [rank for rank, moved in enumerate(gathered) if moved])
    if astray:
        raise CrashError(
            f"Weights that are not to be trained have changed on rank {', '.join(map(str, astray))}.",
            "Broken memory, a broken device, or a bug: look at that rank's machine. The run continues from its last commit.",
        )


def differing(fingerprints: Sequence[str]) -> list[int]:
    """The ranks that differ from what most have; of several as frequent, what the lowest rank has counts."""
    most, _ = Counter(fingerprints).most_common(1)[0]
    return [rank for rank, each in enumerate(fingerprints) if each != most]
