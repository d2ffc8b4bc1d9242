"""Several documents in one row of a batch: positions that begin anew, attention that ends with the document.

Shapes: B rows, T tokens of the longest, D documents of a row.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from job.errors import SettingsError

_TOLERANCE = 1e-3
"""Largest share of the largest output by which a packed document may differ from the same document alone."""


def numbers(pieces: Sequence[Sequence[int]], length: int) -> torch.Tensor:
    """Number of the document [B, T] that each token belongs to, from 0; -1 for padding, which is on the right."""
    found = np.full((len(pieces), length), -1, dtype=np.int64)
    for row, lengths in enumerate(pieces):
        found[row, : sum(lengths)] = np.repeat(np.arange(len(lengths)), lengths)
    return torch.from_numpy(found)


def positions(pieces: Sequence[Sequence[int]], length: int) -> torch.Tensor:
    """Position [B, T] of each token in its own document; 0 for padding."""
    found = np.zeros((len(pieces), length), dtype=np.int64)
    for row, lengths in enumerate(pieces):
        found[row, : sum(lengths)] = np.concatenate([np.arange(each) for each in lengths])
    return torch.from_numpy(found)


def model_inputs(pieces: Sequence[Sequence[int]], length: int, *, causal: bool, first_position: int = 0) -> dict[str, torch.Tensor]:
    """`packed_inputs` where some row holds several documents; else nothing but a mask [B, T] of what is no padding."""
    if any(len(lengths) > 1 for lengths in pieces):
        return packed_inputs(pieces, length, causal=causal, first_position=first_position)
    return {"attention_mask": (numbers(pieces, length) >= 0).long()}


def packed_inputs(
    pieces: Sequence[Sequence[int]], length: int, *, causal: bool, first_position: int = 0
) -> dict[str, torch.Tensor]:
    """What keeps the documents of a row apart, as keywords for the model.

    Decoders of transformers make the mask themselves from positions that begin anew, in the form that their kind of attention
    wants.  Encoders take a mask [B, 1, T, T] as it is.

    Args:
        pieces: lengths of each row's documents.
        length: T.
        causal: whether the model reads from left to right only.
        first_position: number of a document's first position, which is not 0 in models of RoBERTa's kind.
    """
    places = positions(pieces, length)
    if causal:
        return {"position_ids": places}
    number = numbers(pieces, length)
    # Padding sees padding, because a row of a mask without anything to see becomes NaN.
    mask = number[:, None, :, None] == number[:, None, None, :]
    return {"position_ids": places + first_position, "attention_mask": mask}


def outputs(model: Any, inputs: dict[str, torch.Tensor], *, causal: bool) -> torch.Tensor:
    """Logits [B, T, V] of a model for `model_inputs`.

    A decoder is asked for no cache: with one, transformers takes positions that begin anew for nothing special, and packed
    documents would see each other.
    """
    logits: torch.Tensor = model(**inputs, **({"use_cache": False} if causal else {})).logits
    return logits


@torch.no_grad()
def check_packing(model: Any, *, causal: bool, first_position: int = 0) -> None:
    """Try out whether this model keeps packed documents apart: two together have to give what each gives alone.

    Raises:
        SettingsError: when it does not.
    """
    rows = model.get_input_embeddings().num_embeddings
    tokens = torch.arange(3, 3 + 11)[None] % rows
    lengths = [6, 5]
    was_training = model.training
    model.eval()
    try:
        packed = packed_inputs([lengths], 11, causal=causal, first_position=first_position)
        together = outputs(model, {"input_ids": tokens, **packed}, causal=causal)
        alone = [model(input_ids=part, attention_mask=torch.ones_like(part)).logits for part in tokens.split(lengths, dim=1)]
    except (TypeError, ValueError, RuntimeError, IndexError) as error:
        raise _cannot_pack(model, f"it fails on them ({str(error).splitlines()[0][:200]})") from error
    finally:
        model.train(was_training)
    apart = torch.cat(alone, dim=1)
    if (together - apart).abs().max() > _TOLERANCE * apart.abs().max():
        raise _cannot_pack(model, "it lets one document see another")


def _cannot_pack(model: Any, why: str) -> SettingsError:
    return SettingsError(
        f"Models of type {model.config.model_type!r} cannot be trained on packed documents: {why}.", "Set JOB_DATA__PACKING=off."
    )
