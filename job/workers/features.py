"""What a frozen body makes of every example of training and validation: computed once and kept on disk, so that steps train the head alone.

Asked for by ``JOB_TUNING__CACHE_FEATURES``.  The body is in evaluation mode then, because with dropout it would answer otherwise every
time.  What it answers in its last bits depends on the examples beside it; here they are the same ones whatever the order of training,
the number of ranks or the step a run continues from, so a run that was killed ends with the weights of one that was not.

The body's ``forward`` is replaced on the instance, and nothing else of the model: names of weights, what is published and how a head
asks its body stay as they are, whichever model it is.  Examples are known by their tokens.
"""

from __future__ import annotations

import contextlib
import hashlib
import inspect
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from job.cluster import topology
from job.errors import SettingsError
from job.run_dir import RunDir
from job.workers.content import digest_of_model
from job.workers.feature_store import KINDS, TOKENS, Examples, Store, key_of
from job.workers.tasks.base import Task, Tensors
from job.workers.tuning import anatomy

if TYPE_CHECKING:
    from job.workers.engine import Engine

SETTING = "JOB_TUNING__CACHE_FEATURES"
MASK = "attention_mask"
PREFIX = "features-"
TOKENS_AT_ONCE = 8192
"""Padded tokens that the body is asked with at once.  No setting, because the last bits of the features follow from it, and a run may
be continued with another memory limit."""


@dataclass(frozen=True)
class FeaturePass:
    """How the features are computed.

    Attributes:
        run_dir: where they are kept, beside the prepared data.
        task: whose batches the model is asked with.
        engine: the group.
        spare_bytes: that must stay free on the disk.
        beat: called between batches, as often on every rank; may raise `StopRequested` on all of them.
        max_tokens: padded tokens that the body is asked with at once.
    """

    run_dir: RunDir
    task: Task
    engine: Engine
    spare_bytes: int
    beat: Callable[[], None]
    max_tokens: int = TOKENS_AT_ONCE


def remember(model: torch.nn.Module, splits: Sequence[Any], work: FeaturePass) -> None:
    """Let the model's body answer from what it made of the splits' examples; a collective.

    Args:
        model: the plain model, on its device, with everything but its head frozen.
        splits: prepared splits, `datasets.Dataset` with ``input_ids``, ``token_type_ids`` where the model wants them.
        work: how.

    Raises:
        SettingsError: when this model's body is not frozen as a whole, or is asked with more than tokens.
        LocalIOError: when the disk has no room for the features.
    """
    body = _frozen_body(model)
    examples = Examples.of(splits)
    store, asks = Store(_folder(body, examples, work), examples), _Asks(body, examples, work)
    _fill(store, asks, work)
    store.open()
    shortest = range(len(examples.records) - 1, len(examples.records))
    body.forward = _Remembering(body, store, type(asks.answer(shortest)[1]))


def _frozen_body(model: Any) -> Any:
    name = anatomy.body_name(model)
    if getattr(model.config, "is_encoder_decoder", False):
        raise SettingsError(
            f"{SETTING} is not for encoder-decoders: the head reads what the decoder makes.", f"Leave {SETTING} out."
        )
    body = model.get_submodule(name)
    trained = [part for part, parameter in body.named_parameters() if parameter.requires_grad]
    if trained:
        raise SettingsError(
            f"{SETTING} needs a body that is frozen as a whole, and {name}.{trained[0]} is trained: the start model lacks it.",
            f"Leave {SETTING} out, or start from a model that has these weights.",
        )
    return body


class _Remembering:
    """The body's ``forward``: from the store where all examples of a batch are there, else by the body in evaluation mode."""

    def __init__(self, body: Any, store: Store, answer: type) -> None:
        self._signature = inspect.signature(body.forward)
        self._compute = body.forward
        self._body = body
        self._store = store
        self._answer = answer

    def __call__(self, *positional: Any, **named: Any) -> Any:
        given = self._signature.bind(*positional, **named).arguments
        rows = self._rows(given)
        if rows is not None:
            return self._answer(**self._store.read(rows, given[MASK]))
        with _evaluating(self._body):
            return self._compute(*positional, **named)

    def _rows(self, given: Mapping[str, Any]) -> list[int] | None:
        """Rows of a batch in the store; None when one of them is not there."""
        tokens, mask = given[TOKENS].cpu().numpy(), given[MASK].cpu().numpy().astype(bool)
        kinds = None if given.get(KINDS) is None else given[KINDS].cpu().numpy()
        keys = self._store.examples.keys
        found = [
            keys.get(key_of(tokens[at][mask[at]], None if kinds is None else kinds[at][mask[at]])) for at in range(len(tokens))
        ]
        return None if None in found else [row for row in found if row is not None]


@contextlib.contextmanager
def _evaluating(body: torch.nn.Module) -> Iterator[None]:
    """The body without dropout; of a frozen one no gradient is wanted either."""
    was_training = body.training
    body.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        body.train(was_training)


def _folder(body: torch.nn.Module, examples: Examples, work: FeaturePass) -> Path:
    """Named by everything that the features depend on."""
    together = hashlib.sha256(f"{work.engine.precision} {work.engine.device.type} {work.max_tokens}".encode())
    together.update(digest_of_model(body))
    together.update(examples.digest())
    return work.run_dir.prepared.with_name(f"{PREFIX}{together.hexdigest()[:32]}")


def _fill(store: Store, asks: _Asks, work: FeaturePass) -> None:
    """Compute all features where a node lacks them, its ranks among themselves; a collective."""
    engine, is_there = work.engine, store.folder.is_dir()
    if engine.sum([float(is_there)])[0] == engine.world_size:
        return
    place, num_local = topology.worker_place(), topology.local_world_size()
    chunks = store.examples.chunks(work.max_tokens)
    if not is_there and place.local_rank == 0:
        for other in store.folder.parent.glob(f"{PREFIX}*"):  # of other settings, under which this run has no checkpoint
            shutil.rmtree(other)
        store.create(asks.fields(chunks[0])[1], work.spare_bytes)
    engine.barrier()
    if not is_there:
        store.open(unfinished=True)
    for first in range(0, len(chunks), num_local):
        number = first + place.local_rank
        if not is_there and number < len(chunks):
            store.write(chunks[number], *asks.fields(chunks[number]))
        work.beat()
    store.flush()
    engine.barrier()
    if not is_there and place.local_rank == 0:
        store.unfinished.rename(store.folder)
    engine.barrier()


@dataclass(frozen=True)
class _Asks:
    """Asks a body for its answer to rows of the store."""

    body: Any
    examples: Examples
    work: FeaturePass

    def answer(self, rows: range) -> tuple[torch.Tensor, Any]:
        """The mask of some rows, and what the body makes of them."""
        records = [split[number] for split, number in self.examples.records[rows.start : rows.stop]]
        batch = self.work.task.collate(records).to(self.work.engine.device)
        with _evaluating(self.body), self.work.engine.autocast():
            return batch.inputs[MASK], self.body(**batch.inputs)

    def fields(self, rows: range) -> tuple[torch.Tensor, Tensors]:
        """The mask [B, T] of some rows, and the tensors of the answer by name."""
        mask, answer = self.answer(rows)
        if not mask[:, 0].all():
            raise SettingsError(
                f"{SETTING} needs a tokenizer that pads at the right: padding at the left moves the positions of an example's tokens.",
                f"Leave {SETTING} out.",
            )
        return mask, {name: value for name, value in answer.items() if isinstance(value, torch.Tensor)}
