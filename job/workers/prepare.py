"""The prepare program: fetched files in, tokenized Arrow and the token ledger out.

One process per node, before any process group exists, because collectives time out while one rank tokenizes.  Everything is
written to a temporary folder that becomes ``prepared/`` in one rename, so what is there is whole.  What is read and how it
becomes records is the task's business (`job.workers.tasks.preparation`).
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import datasets
import numpy as np
from transformers import PreTrainedTokenizerBase

from job import run_dir as run_dirs
from job.records import PreparedData
from job.run_dir import RunDir
from job.settings.root import Settings
from job.workers.ledger import PreparedSplits, make_ledger
from job.workers.model import load_config, load_tokenizer, max_length
from job.workers.overlap import check_not_empty, check_overlap, check_truncation, measure_overlap
from job.workers.program import Heartbeat, run_program
from job.workers.splits import SPLITS, Split, make_splits
from job.workers.tables import Progress, Reading, Source, read_source
from job.workers.tasks import make_preparation
from job.workers.tasks.preparation import Preparation
from job.workers.tokenization import TokenizedSplit, TokenizerSetup, write_split

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Work:
    """What the parts of the program share."""

    run_dir: RunDir
    settings: Settings
    scratch: Path
    preparation: Preparation
    progress: Progress


def main(run_dir: RunDir, settings: Settings) -> None:
    """Write ``prepared/``: a data set per split, the tokenizer, ``ledger.json`` and ``prepared.json``.

    Raises:
        DataError: when the data cannot be used as asked, or a limit is passed; nothing is left in ``prepared/`` then.
        SettingsError: when the model's tokenizer or the maximum length cannot be used.
    """
    datasets.disable_progress_bars()
    scratch = run_dir.root / f"{run_dirs.TEMPORARY_PREFIX}prepare-{os.getpid()}"
    try:
        finished = _prepare(run_dir, settings, scratch)
        if run_dir.prepared.exists():
            shutil.rmtree(run_dir.prepared)
        finished.rename(run_dir.prepared)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _prepare(run_dir: RunDir, settings: Settings, scratch: Path) -> Path:
    """Everything that `main` writes, in a folder below ``scratch``."""
    setup = _setup(run_dir, settings)
    preparation = make_preparation(settings, setup)
    work = Work(run_dir, settings, scratch, preparation, Heartbeat(run_dir, "prepare", 0).beat)
    splits, notes = _read(work)
    out = scratch / "prepared"
    tokenized = {name: _tokenize(work, split, out / name) for name, split in splits.items()}
    for name, split in tokenized.items():
        check_not_empty(name, split)
        check_truncation(name, split, settings.limits)
    overlap = measure_overlap(tokenized)
    check_overlap(tokenized, overlap, settings.limits)
    notes.append(padding_note(setup.tokenizer))
    described = preparation.describe(tokenized, {name: datasets.load_from_disk(str(out / name)) for name in tokenized})
    ledger = make_ledger(PreparedSplits(splits, tokenized, overlap, setup.max_length), described, notes)
    setup.tokenizer.save_pretrained(out / "tokenizer")
    run_dirs.write_json(out / "ledger.json", ledger)
    _record(tokenized, preparation.facts(tokenized), setup).write(out / "prepared.json")
    return out


def padding_note(tokenizer: PreTrainedTokenizerBase) -> str:
    """Which token fills short texts up, for the ledger: some models come without one of their own."""
    shared = ", which is the end-of-text token too" if tokenizer.pad_token_id == tokenizer.eos_token_id else ""
    return f"Texts are padded with {tokenizer.pad_token!r} (id {tokenizer.pad_token_id}){shared}."


def _setup(run_dir: RunDir, settings: Settings) -> TokenizerSetup:
    tokenizer = load_tokenizer(settings, run_dir.input_model, run_dir.input_adapter)
    config = load_config(run_dir.input_model)
    return TokenizerSetup(tokenizer, max_length(settings, tokenizer, config), config)


def _read(work: Work) -> tuple[dict[str, Split], list[str]]:
    """The splits with usable rows only, and sentences about what was read and recognised."""
    reading = Reading(work.settings.data, work.scratch / "rows", work.preparation.roles)
    present = [split for split in SPLITS if work.run_dir.input_data(split).with_name(f"{split}.json").exists()]
    sources: dict[str, Source] = {}
    for split in present:
        sources[split] = read_source(work.run_dir, split, reading, work.progress)
        logger.info("read %d %s rows", sources[split].table.num_rows, split)
    recognised = work.preparation.recognise(sources["train"])
    selections = {split: work.preparation.select(source, work.settings.limits) for split, source in sources.items()}
    splits = make_splits(sources, selections, work.preparation.strata(sources["train"]), work.settings.data)
    return splits, [note for source in sources.values() for note in source.notes] + recognised


def _tokenize(work: Work, split: Split, folder: Path) -> TokenizedSplit:
    tokenized = write_split(split, work.preparation.encoder(split.name), folder, work.progress)
    work.preparation.check(split.name, tokenized, work.settings.limits)
    logger.info("tokenized %d %s examples, %d tokens", tokenized.num_examples, split.name, tokenized.column("tokens_in").sum())
    return tokenized


def _record(tokenized: dict[str, TokenizedSplit], facts: dict[str, Any], setup: TokenizerSetup) -> PreparedData:
    details = facts.get("details", {})
    seen = {
        "splits": {name: tokenized[name].fingerprint() for name in ("train", "eval")},
        "labels": facts["labels"],
        "problem": facts["problem"],
        "max_seq_length": setup.max_length,
        "pad_token_id": setup.tokenizer.pad_token_id,
        **({"details": details} if details else {}),
    }
    return PreparedData(
        num_examples={name: split.num_examples for name, split in tokenized.items()},
        num_tokens={name: int(split.column("tokens_kept").sum(dtype=np.int64)) for name, split in tokenized.items()},
        problem=facts["problem"],
        labels=facts["labels"],
        label_counts=facts["label_counts"],
        max_seq_length=setup.max_length,
        fingerprint=hashlib.sha256(json.dumps(seen, sort_keys=True).encode()).hexdigest(),
        details=details,
    )


if __name__ == "__main__":
    run_program("prepare", main)
