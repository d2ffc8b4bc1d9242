"""Sequence to sequence: an encoder reads a text, a decoder writes its target: a translation, a summary, an answer.

The decoder's inputs are the targets shifted by the model's own rule, which knows the token that it begins with.

Shapes: B records, T tokens of the longest text, U tokens of the longest target, N records of a split.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from transformers import AutoModelForSeq2SeqLM

from job.errors import SettingsError
from job.records import PreparedData
from job.settings.deepspeed import DEFAULT_STAGE
from job.settings.limits import LimitsSettings
from job.settings.root import Settings
from job.workers.ledger import Described
from job.workers.metrics import generation, language, table
from job.workers.model import first_line
from job.workers.padding import Padding
from job.workers.receipt import Receipt, receipts
from job.workers.selection import Count, Selection, check_filled, check_limit, select_filled
from job.workers.splits import Strata
from job.workers.tables import Source
from job.workers.targets import TARGETED, TargetEncoder, target_frame
from job.workers.tasks.appraisal import Findings
from job.workers.tasks.base import NOT_TRAINING, Batch, Scores
from job.workers.tasks.language import NOT_A_TARGET, LanguageAppraisal, LanguageTask
from job.workers.tasks.raw_text import first_records
from job.workers.text_encoding import check_texts
from job.workers.tokenization import Encoder, TokenizedSplit, TokenizerSetup
from job.workers.weights import Head

PROBLEM = "seq2seq"
NUM_MISTAKES = 20


class TextsWithTargets:
    """The `Preparation`: texts and targets, each as its side of the tokenizer makes it."""

    roles = TARGETED

    def __init__(self, settings: Settings, setup: TokenizerSetup) -> None:
        if settings.data.text_column == settings.data.target_column:
            raise SettingsError(
                "JOB_DATA__TEXT_COLUMN and JOB_DATA__TARGET_COLUMN name the same column.",
                "Name the column of the texts to be written.",
            )
        self._tokenizer = setup.tokenizer
        self._frame = target_frame(settings, setup)
        self._prefix = f"{settings.data.text_prefix} " if settings.data.text_prefix else ""
        self._encoders = {split: TargetEncoder(setup, self._frame, self._prefix) for split in ("train", "eval", "test")}
        self._num_samples = settings.eval.num_samples
        self._prompts: list[dict[str, Any]] = []

    def recognise(self, train: Source) -> list[str]:
        begin, end = ("".join(self._tokenizer.convert_ids_to_tokens(ids)) for ids in (self._frame.begin, self._frame.end))
        notes = [f"Each target stands between {begin or 'nothing'} and {end}, and is at most {self._frame.longest:,} tokens long."]
        return [*notes, f"{self._prefix!r} stands before every text."] if self._prefix else notes

    def select(self, source: Source, limits: LimitsSettings) -> Selection:
        selection = select_filled(source, ["text", "target"])
        check_filled(source, selection, "text and target", limits)
        return selection

    def strata(self, train: Source) -> Strata | None:
        return None

    def encoder(self, split: str) -> Encoder:
        return self._encoders[split]

    def check(self, name: str, split: TokenizedSplit, limits: LimitsSettings) -> None:
        nothing, cut = split.without_targets, self._encoders[name].cut_targets
        total = split.num_examples + len(nothing)
        check_limit(Count(name, "a target without a token", len(nothing), total, nothing[:3]), "max_masked_share", limits)
        what = f"a target over {self._frame.longest:,} tokens, which loses its end"
        check_limit(Count(name, what, len(cut), split.num_examples, cut[:3]), "max_cut_target_share", limits)

    def describe(self, tokenized: Mapping[str, TokenizedSplit], records: Mapping[str, Any]) -> Described:
        shown = [(row["id"], row["input_ids"], row["target_ids"]) for row in first_records(records["train"])]
        rows = [Receipt(name, [*ids, *target], [0] * len(ids) + [1] * len(target)) for name, ids, target in shown]
        some = records["eval"].select(range(min(self._num_samples, len(records["eval"]))))
        self._prompts = [{"text": row["text"], "ids": row["input_ids"], "target": row["target"]} for row in some]
        return Described({"problem": PROBLEM}, samples=receipts(self._tokenizer, rows))

    def facts(self, tokenized: Mapping[str, TokenizedSplit]) -> dict[str, Any]:
        details = {"prompts": self._prompts, "prefix": self._prefix, "most_written": self._frame.most_written}
        return {"problem": PROBLEM, "labels": [], "label_counts": [], "details": details}


class Seq2Seq(LanguageTask):
    """The `Task`: cross entropy of the targets' tokens; an evaluation also lets the model write, and compares what it wrote."""

    head = Head(auto=AutoModelForSeq2SeqLM, name="sequence-to-sequence")

    def __init__(self, settings: Settings, prepared: PreparedData, tokenizer: Any) -> None:
        super().__init__(settings, prepared, tokenizer)
        self._sides = Padding.of(settings, tokenizer)
        stage = settings.parallel.zero_stage or DEFAULT_STAGE
        self._spread = settings.parallel.engine == "deepspeed" and stage == 3
        """A forward pass is a collective: ranks that have finished their texts go on until all have."""

    def greater_is_better(self, metric: str) -> bool:
        if metric in generation.NAMES and not self.settings.eval.generate:
            raise SettingsError(
                f"JOB_EVAL__BEST_METRIC={metric} compares written texts, and JOB_EVAL__GENERATE=false leaves writing out.",
                "Set JOB_EVAL__GENERATE=true, or JOB_EVAL__BEST_METRIC to loss or token_accuracy.",
            )
        return table.greater_is_better(PROBLEM, metric)

    def load_model(self, folder: str, *, from_config: bool) -> torch.nn.Module:
        model: Any = super().load_model(folder, from_config=from_config)
        closing, own = self.tokenizer.eos_token_id, model.generation_config.eos_token_id
        stops = own if isinstance(own, list) else [] if own is None else [own]
        if closing not in stops:  # the model would write on after it has learned to stop
            model.generation_config.eos_token_id = [*stops, closing] if stops else closing
        model.generation_config.pad_token_id = self.tokenizer.pad_token_id
        _try_out(model, torch.tensor([[closing]]))
        loaded: torch.nn.Module = model
        return loaded

    def collate(self, rows: Sequence[Mapping[str, Any]], epoch: int = NOT_TRAINING) -> Batch:
        ids = [row["input_ids"] for row in rows]
        labels = self._padding.pad([row["target_ids"] for row in rows], NOT_A_TARGET)
        inputs = {
            "input_ids": self._sides.pad(ids, self.tokenizer.pad_token_id),
            "attention_mask": self._sides.pad([np.ones(len(each), np.int64) for each in ids], 0),
            "labels": labels,  # for the model to shift; its own loss is not looked at
        }
        extras = {"num_bytes": torch.zeros(len(rows), dtype=torch.int64)}
        if epoch == NOT_TRAINING and self.settings.eval.generate:
            # What was wanted is compared whole, and as it was given: tokens are cut, and may not give the text again.
            extras["wanted"] = Padding("right", 1).pad([[*row["target"].encode(), 0] for row in rows], 0, np.uint8)
        return Batch(inputs, labels, (labels != NOT_A_TARGET).float(), extras)

    def measure(self, model: torch.nn.Module, batch: Batch) -> Mapping[str, Any]:
        found = super().measure(model, batch)
        if "wanted" not in batch.extras:
            return found
        wanted = [bytes(row).rstrip(b"\0").decode() for row in batch.extras["wanted"].cpu().numpy()]
        written = self.write(model, batch.inputs["input_ids"], batch.inputs["attention_mask"])
        return {**found, "written": written, "wanted": wanted}

    def write(self, model: Any, ids: torch.Tensor, mask: torch.Tensor) -> list[str]:
        """What the model writes for B texts (ids and mask [B, T]), without special tokens; the same for the same texts."""
        made = model.generate(
            input_ids=ids,
            attention_mask=mask,
            max_new_tokens=self.prepared.details["most_written"],
            num_beams=self.settings.eval.num_beams,
            do_sample=False,
            synced_gpus=self._spread,
        )
        texts: list[str] = self.tokenizer.batch_decode(made, skip_special_tokens=True, clean_up_tokenization_spaces=False)
        return [text.strip() for text in texts]

    def metrics(self, scores: Scores) -> dict[str, Any]:
        found = language.compute(scores["losses"], scores["tokens"], scores["correct"], scores["num_bytes"])
        return found | (generation.compute(scores["written"], scores["wanted"]) if "written" in scores else {})

    def samples(self, model: torch.nn.Module) -> list[dict[str, str]]:
        device = next(model.parameters()).device
        found = []
        for number, prompt in enumerate(self.prepared.details["prompts"], 1):
            ids = torch.tensor([prompt["ids"]], device=device)
            (written,) = self.write(model, ids, torch.ones_like(ids))
            found.append({"title": f"Text {number}", "text": f"{prompt['text']}\n→ {written}\nwanted: {prompt['target']}"})
        return found


class Seq2SeqAppraisal(LanguageAppraisal):
    """The `Appraisal`: the loss of each record, what was written for it, and the records where that is farthest from the target."""

    pipeline_tag = "text2text-generation"

    def __init__(self, task: Seq2Seq) -> None:
        super().__init__(task)
        prefix, most = (task.prepared.details[name] for name in ("prefix", "most_written"))
        self.usage = (
            "from transformers import AutoModelForSeq2SeqLM, AutoTokenizer\n\n"
            'tokenizer = AutoTokenizer.from_pretrained("{model}")\n'
            'model = AutoModelForSeq2SeqLM.from_pretrained("{model}")\n'
            f'text = tokenizer({prefix + "A text."!r}, truncation=True, return_tensors="pt")\n'
            f"tokenizer.batch_decode(model.generate(**text, max_new_tokens={most}), skip_special_tokens=True)"
        )

    def check_tokenizer(self, tokenizer: Any, dataset: Any) -> None:
        check_texts(tokenizer, dataset)

    def predictions(self, scores: Scores, dataset: Any) -> Findings:
        found = super().predictions(scores, dataset).table
        if "written" not in scores:
            return Findings(found)
        written, wanted = scores["written"], scores["wanted"]
        rouge = generation.rouge(written, wanted)
        for name, values in (("written", written), ("wanted", wanted), ("rouge_l", rouge)):
            found = found.append_column(name, pa.array(values))
        worst = [int(at) for at in np.argsort(rouge, kind="stable")[:NUM_MISTAKES] if rouge[at] < 1]
        mistakes = [
            {
                "id": dataset[at]["id"],
                "text": dataset[at]["text"][:1000],
                "label": wanted[at][:1000],
                "prediction": written[at][:1000],
                "score": float(rouge[at]),
            }
            for at in worst
        ]
        return Findings(found, mistakes)


@torch.no_grad()
def _try_out(model: Any, tokens: torch.Tensor) -> None:
    """Let the model shift a target and write a token once, before anything is trained.

    Raises:
        SettingsError: when it does not know how, such as without a token that its decoder begins with.
    """
    try:
        model(input_ids=tokens, labels=tokens)
        model.generate(input_ids=tokens, attention_mask=torch.ones_like(tokens), max_new_tokens=1, do_sample=False)
    except (TypeError, ValueError, RuntimeError, IndexError, AttributeError) as error:
        raise SettingsError(
            f"The model (type {model.config.model_type!r}) cannot write targets: {first_line(error)}",
            "Its config.json has to name decoder_start_token_id, eos_token_id and pad_token_id; save_pretrained of a trained model writes them.",
        ) from error
