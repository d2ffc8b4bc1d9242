"""What goes wrong in silence under an engine, done on purpose: each is a context in which training has to notice.

The first two are what accelerate makes of DeepSpeed on a CPU: its CPU branch never engages it; without that branch each process
believes to be the only one.
"""

import contextlib
from unittest import mock

import torch
import torch.distributed as dist

from job.workers import feed
from job.workers.engine.replicas import Replicas
from job.workers.engine.zero import Zero
from job.workers.loop import Loop


@contextlib.contextmanager
def disengaged():
    """DeepSpeed is never reached: the model comes back as it was."""
    with mock.patch.object(Zero, "_initialize", lambda _, model, optimizer, __: (model, optimizer)):
        yield


@contextlib.contextmanager
def lonely():
    """Each process believes to be number 0 of 1."""
    with mock.patch.object(dist, "get_rank", lambda *_: 0), mock.patch.object(dist, "get_world_size", lambda *_: 1):
        yield


@contextlib.contextmanager
def unreplicated():
    """No DDP around the model: every rank would train its own."""
    with mock.patch("accelerate.Accelerator.prepare_model", lambda _, model, **__: model):
        yield


@contextlib.contextmanager
def stageless():
    """DeepSpeed runs, with another stage than the one asked for."""
    from job.workers.engine import zero_config

    build = zero_config.build

    def other(settings, stage, *more):
        return build(settings, 1, *more)

    with mock.patch.object(zero_config, "build", other):
        yield


@contextlib.contextmanager
def unsharded():
    """Every rank is given the whole step's examples."""
    plan = feed.plan_step

    def whole(examples, lengths, world_size, cut):
        return plan(examples, lengths, 1, cut) * world_size

    with mock.patch.object(feed, "plan_step", whole):
        yield


@contextlib.contextmanager
def unsynchronised():
    """Gradients are never exchanged."""
    accumulating = Replicas.accumulating

    def never(self, wrapped, *, last):
        return accumulating(self, wrapped, last=False)

    with mock.patch.object(Replicas, "accumulating", never):
        yield


@contextlib.contextmanager
def bitflip():
    """One bit of one weight flips on rank 1, after the third step."""
    take_step = Loop.take_step

    def and_flip(self, step):
        result = take_step(self, step)
        if step.number == 2 and self.engine.rank == 1:
            next(self.parts.wrapped.parameters()).data.view(torch.int32).view(-1)[5] ^= 1 << 3
        return result

    with mock.patch.object(Loop, "take_step", and_flip):
        yield


@contextlib.contextmanager
def scarce():
    """Rank 1 is out of memory in the tenth step, with what a GPU would raise; a CPU's process would be killed.  No harm may come of it."""
    pass_over = Loop.pass_over
    ran_out = []

    def and_run_out(self, batch, weight, *, last):
        loss = pass_over(self, batch, weight, last=last)
        if self.state.step == 9 and self.engine.rank == 1 and not last and not ran_out:
            ran_out.append(1)
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return loss

    with mock.patch.object(Loop, "pass_over", and_run_out):
        yield
    assert len(ran_out) == dist.get_rank()


@contextlib.contextmanager
def thawed():
    """A frozen weight moves with the first step, on all ranks alike."""
    take_step = Loop.take_step

    def and_move(self, step):
        result = take_step(self, step)
        frozen = next(each for each in self.parts.wrapped.parameters() if not each.requires_grad)
        getattr(frozen, "ds_tensor", frozen).data.view(-1)[0] += 0.01
        return result

    with mock.patch.object(Loop, "take_step", and_move):
        yield


@contextlib.contextmanager
def untrained():
    """The optimizer changes nothing, under any engine."""
    with mock.patch.object(torch.optim.AdamW, "step", lambda *_, **__: None):
        yield


SABOTAGES = {
    sabotage.__name__: sabotage
    for sabotage in (disengaged, lonely, unreplicated, stageless, unsharded, unsynchronised, bitflip, scarce, thawed, untrained)
}
