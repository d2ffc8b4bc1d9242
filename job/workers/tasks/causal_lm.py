"""Causal language modelling on raw text: each token is predicted from those before it in its document."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from transformers import AutoModelForCausalLM

from job.workers.framing import special_frame
from job.workers.tasks.language import NOT_A_TARGET, LanguageAppraisal, LanguageTask, Tokens
from job.workers.tasks.raw_text import RawText
from job.workers.weights import Head


class Documents(RawText):
    """The `Preparation`: what the tokenizer puts before a text, the text, and the end-of-text token."""

    def frame(self) -> tuple[list[int], list[int]]:
        begin, end = special_frame(self._setup.tokenizer)
        closing = self._setup.tokenizer.eos_token_id
        return begin, end or ([] if closing is None else [closing])


class CausalLM(LanguageTask):
    """The `Task`: what is sought at a place is the token after it, where that one is a target."""

    head = Head(auto=AutoModelForCausalLM, name="causal language")

    def targets_of(self, row: Mapping[str, Any], epoch: int) -> tuple[Tokens, Tokens]:
        ids = np.asarray(row["input_ids"], dtype=np.int64)
        sought = np.full_like(ids, NOT_A_TARGET)
        wanted = np.asarray(row["targets"][1:], dtype=bool)
        sought[:-1][wanted] = ids[1:][wanted]
        return ids, sought


class CausalAppraisal(LanguageAppraisal):
    """The `Appraisal` of a causal language model."""
