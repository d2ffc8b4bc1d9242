"""Supervised fine-tuning: of conversations, or of prompts with a completion, the answers are learned and the rest is read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch

from job.records import PreparedData
from job.settings.limits import LimitsSettings
from job.settings.root import Settings
from job.workers.chat import Rendered
from job.workers.conversations import as_text
from job.workers.exchanges import Exchanges, parse
from job.workers.ledger import Described
from job.workers.packing import Piece
from job.workers.preference import NOT_TRAINED
from job.workers.readers.base import ID_ROLE, Role, Roles
from job.workers.receipt import Receipt, receipts
from job.workers.selection import Count, Selection, check_filled, check_limit, select_filled
from job.workers.splits import Strata
from job.workers.tables import Source
from job.workers.tasks.base import Tensors
from job.workers.tasks.causal_lm import CausalLM
from job.workers.tasks.language import LanguageAppraisal
from job.workers.tasks.raw_text import first_records
from job.workers.token_records import TokenEncoder, TokenizedExample
from job.workers.tokenization import Encoder, TokenizedSplit, TokenizerSetup

_MESSAGES: Roles = {"id": ID_ROLE, "messages": Role("messages_column", "json")}
_PAIRS: Roles = {"id": ID_ROLE, "prompt": Role("prompt_column", "json"), "completion": Role("completion_column", "json")}


class Conversations:
    """The `Preparation`: conversations are rendered by the chat template, plain pairs are joined and closed by the end-of-text token."""

    def __init__(self, settings: Settings, setup: TokenizerSetup) -> None:
        self._settings = settings
        self._setup = setup
        self._tokenizer = setup.tokenizer
        self._exchanges = Exchanges(settings, setup.tokenizer)
        self._packed = settings.data.packing == "on"
        self.roles = _PAIRS if settings.data.prompt_column else _MESSAGES
        self._columns = [name for name in self.roles if name != "id"]
        self._stops: set[int] = set()
        self._prompts: list[dict[str, Any]] = []

    def recognise(self, train: Source) -> list[str]:
        filled = select_filled(train, self._columns).kept
        if not len(filled):
            return []
        return self._exchanges.notes(
            {name: train.table[name][int(filled[0])].as_py() for name in self.roles}, train.place(filled[0])
        )

    def select(self, source: Source, limits: LimitsSettings) -> Selection:
        selection = select_filled(source, self._columns)
        check_filled(source, selection, " and ".join(self._columns), limits)
        for row in selection.kept.tolist():
            parse({name: source.table[name][row].as_py() for name in self._columns}, source.place(row))
        return selection

    def strata(self, train: Source) -> Strata | None:
        return None

    def encoder(self, split: str) -> Encoder:
        room = self._setup.max_length if self._packed and split == "train" else None
        return TokenEncoder(lambda rows: [self._example(row, split) for row in rows.to_pylist()], room)

    def check(self, name: str, split: TokenizedSplit, limits: LimitsSettings) -> None:
        total = split.num_examples + len(split.without_targets)
        count = Count(name, "nothing that is trained on", len(split.without_targets), total, split.without_targets[:3])
        check_limit(count, "max_masked_share", limits)

    def describe(self, tokenized: Mapping[str, TokenizedSplit], records: Mapping[str, Any]) -> Described:
        ends = ", ".join(repr(token) for token in self._tokenizer.convert_ids_to_tokens(sorted(self._stops)))
        rows = [Receipt(row["id"], row["input_ids"], row["targets"]) for row in first_records(records["train"])]
        return Described({}, notes={"train": [f"The assistant's turns end with {ends}."]}, samples=receipts(self._tokenizer, rows))

    def facts(self, tokenized: Mapping[str, TokenizedSplit]) -> dict[str, Any]:
        details = {"packed": self._packed, "tokenized": self._prompts, "stops": sorted(self._stops)}
        return {"problem": "", "labels": [], "label_counts": [], "details": details}

    def _example(self, row: Mapping[str, Any], split: str) -> TokenizedExample:
        """A row as one piece, cut at the right to the longest input."""
        exchange = parse(row, row["id"])
        rendered = self._exchanges.render(exchange, row["id"])
        self._stops |= rendered.stops
        self._keep_prompt(split, rendered)
        longest = self._setup.max_length
        piece = Piece(row["id"], rendered.input_ids[:longest], rendered.targets[:longest])
        shown = "\n".join(exchange) if isinstance(exchange, tuple) else as_text(exchange)
        return TokenizedExample(row["id"], shown, len(rendered.input_ids), [piece])

    def _keep_prompt(self, split: str, rendered: Rendered) -> None:
        """The first prompts of the validation data are answered at each evaluation."""
        if split != "eval" or len(self._prompts) >= self._settings.eval.num_samples or not any(rendered.targets):
            return
        ids = rendered.input_ids[: rendered.targets.index(1)]
        text = self._tokenizer.decode(ids, skip_special_tokens=False, clean_up_tokenization_spaces=False)
        if ids and self._tokenizer(text, add_special_tokens=False)["input_ids"] == ids:
            self._prompts.append({"text": text, "ids": ids})


class SupervisedLM(CausalLM):
    """The `Task`: causal language modelling of the answers alone, with answers to fixed prompts to read."""

    def __init__(self, settings: Settings, prepared: PreparedData, tokenizer: Any) -> None:
        super().__init__(settings, prepared, tokenizer)
        self._stops: list[int] = prepared.details.get("stops", [])

    def load_model(self, folder: str, *, from_config: bool) -> torch.nn.Module:
        model: Any = super().load_model(folder, from_config=from_config)
        own = model.generation_config.eos_token_id
        already = own if isinstance(own, list) else [] if own is None else [own]
        # A model that never meets its end of turn in its configuration talks on after it has learned to stop.
        model.generation_config.eos_token_id = sorted({*already, *self._stops})
        model.generation_config.pad_token_id = self.tokenizer.pad_token_id
        loaded: torch.nn.Module = model
        return loaded

    def sides(self, rows: Sequence[Mapping[str, Any]], sides: Sequence[str]) -> tuple[Tensors, torch.Tensor]:
        """Several answers of each of B records: inputs and labels, the first answers of all records before the second ones.

        Args:
            rows: records with ``<side>_ids`` [T] and ``<side>_targets`` [T] for each side.
            sides: their names.
        """
        ids = [np.asarray(row[f"{side}_ids"]) for side in sides for row in rows]
        targets = [np.asarray(row[f"{side}_targets"]) for side in sides for row in rows]
        pad = self._padding.pad
        inputs: Tensors = {
            "input_ids": pad(ids, self.tokenizer.pad_token_id),
            "attention_mask": pad([np.ones(len(each), np.int64) for each in ids], 0),
        }
        labels = pad([np.where(target, each, NOT_TRAINED) for each, target in zip(ids, targets, strict=True)], NOT_TRAINED)
        return inputs, labels

    def samples(self, model: torch.nn.Module) -> list[dict[str, str]]:
        prompts: Sequence[Mapping[str, Any]] = self.prepared.details.get("tokenized", [])
        return [{"title": f"Prompt {number}", "text": self._answer(model, prompt)} for number, prompt in enumerate(prompts, 1)]

    def _answer(self, model: Any, prompt: Mapping[str, Any]) -> str:
        device = next(model.parameters()).device
        ids = torch.tensor([prompt["ids"]], device=device)
        room = self.prepared.max_seq_length - ids.shape[1]
        if room < 1:
            return f"{prompt['text']}\n→ (no room for an answer)"
        made = model.generate(
            input_ids=ids,
            attention_mask=torch.ones_like(ids),
            max_new_tokens=min(self.settings.eval.sample_tokens, room),
            do_sample=False,
            eos_token_id=self._stops,
            pad_token_id=self.tokenizer.pad_token_id,
        )
        answer = self.tokenizer.decode(made[0, ids.shape[1] :], skip_special_tokens=False, clean_up_tokenization_spaces=False)
        return f"{prompt['text']}\n→ {answer}"


class SupervisedAppraisal(LanguageAppraisal):
    """The `Appraisal` of a model that answers."""

    usage = (
        "from transformers import pipeline\n\n"
        'answer = pipeline("text-generation", model="{model}")\n'
        'answer([{"role": "user", "content": "A question"}], max_new_tokens=200)'
    )
