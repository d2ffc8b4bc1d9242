"""Masked language modelling on raw text: some tokens are hidden, and found from what stands on both sides.

Which ones are hidden is drawn from (seed, epoch, record) alone, anew in each epoch; in evaluation always the same ones.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import numpy as np
from transformers import AutoModelForMaskedLM

from job.errors import SettingsError
from job.records import PreparedData
from job.settings.root import Settings
from job.settings.train import TrainSettings
from job.workers.framing import special_frame
from job.workers.receipt import Receipt
from job.workers.tasks.base import NOT_TRAINING
from job.workers.tasks.language import NOT_A_TARGET, LanguageAppraisal, LanguageTask, Tokens
from job.workers.tasks.raw_text import RawText
from job.workers.tokenization import TokenizerSetup
from job.workers.weights import Head


class MaskedDocuments(RawText):
    """The `Preparation`: each window stands between the tokenizer's special tokens."""

    whole_windows = True

    def __init__(self, settings: Settings, setup: TokenizerSetup) -> None:
        super().__init__(settings, setup)
        self._masks = Masks(settings, setup.tokenizer)

    def frame(self) -> tuple[list[int], list[int]]:
        return special_frame(self._setup.tokenizer)

    def marked(self, row: Mapping[str, Any]) -> Receipt:
        _, sought = self._masks.draw(row, 0)
        return Receipt(f"{row['id']}, first epoch", row["input_ids"], (sought != NOT_A_TARGET).astype(int).tolist())


class Masks:
    """Draws which tokens of a record are hidden, and by what."""

    def __init__(self, settings: Settings, tokenizer: Any) -> None:
        if tokenizer.mask_token_id is None:
            raise SettingsError(
                "The model's tokenizer has no mask token, which JOB_TASK=masked-lm needs.",
                "Choose a model that was pretrained with masks, such as a BERT or RoBERTa one, or JOB_TASK=causal-lm.",
            )
        self._train: TrainSettings = settings.train
        self._seed = settings.run.seed
        self._mask = tokenizer.mask_token_id
        self._words = np.setdiff1d(np.arange(len(tokenizer)), tokenizer.all_special_ids)

    def draw(self, row: Mapping[str, Any], epoch: int) -> tuple[Tokens, Tokens]:
        """Tokens that are read [T], and those to be found [T], `NOT_A_TARGET` elsewhere; at least one is."""
        place = int.from_bytes(hashlib.sha256(row["id"].encode()).digest()[:8], "little")
        generator = np.random.default_rng([self._seed, epoch - NOT_TRAINING, place])
        ids = np.asarray(row["input_ids"], dtype=np.int64)
        open_to = np.flatnonzero(row["targets"])
        hidden = open_to[generator.random(len(open_to)) < self._train.masked_share]
        if not len(hidden):
            hidden = open_to[[generator.integers(len(open_to))]]
        sought = np.full_like(ids, NOT_A_TARGET)
        sought[hidden] = ids[hidden]
        kind = generator.random(len(hidden))
        words = generator.choice(self._words, len(hidden))
        masked, random = self._train.mask_token_share, self._train.random_token_share
        read = ids.copy()
        read[hidden[kind < masked]] = self._mask
        at_random = (kind >= masked) & (kind < masked + random)
        read[hidden[at_random]] = words[at_random]
        return read, sought


class MaskedLM(LanguageTask):
    """The `Task`: what is sought at a place is the token that was hidden there."""

    head = Head(auto=AutoModelForMaskedLM, name="masked language")
    causal = False

    def __init__(self, settings: Settings, prepared: PreparedData, tokenizer: Any) -> None:
        super().__init__(settings, prepared, tokenizer)
        self._masks = Masks(settings, tokenizer)

    def targets_of(self, row: Mapping[str, Any], epoch: int) -> tuple[Tokens, Tokens]:
        return self._masks.draw(row, epoch)


class MaskedAppraisal(LanguageAppraisal):
    """The `Appraisal` of a masked language model."""

    pipeline_tag = "fill-mask"
    usage = (
        "from transformers import pipeline\n\n"
        'fill = pipeline("fill-mask", model="{model}")\n'
        'fill(f"A word is {fill.tokenizer.mask_token} here.")'
    )
