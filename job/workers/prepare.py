"""The prepare program: fetched files in, tokenized Arrow and the token ledger out.

One process per node, before any process group exists, because collectives time out while one rank tokenizes.  Everything is
written to a temporary folder that becomes ``prepared/`` in one rename, so what is there is whole.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import shutil
from pathlib import Path

import datasets
import numpy as np
from transformers import PreTrainedTokenizerBase

from job import run_dir as run_dirs
from job.errors import DataError
from job.records import PreparedData
from job.run_dir import RunDir
from job.settings.root import Settings
from job.workers.labels import LabelScheme, check_labels, label_notes, recognise
from job.workers.ledger import PreparedSplits, count_labels, make_ledger
from job.workers.model import load_config, load_tokenizer, max_length
from job.workers.overlap import check_not_empty, check_overlap, check_truncation, measure_overlap
from job.workers.program import Heartbeat, run_program
from job.workers.selection import check_selection, select
from job.workers.splits import SPLITS, Split, make_splits
from job.workers.tables import Progress, Source, read_source
from job.workers.tokenization import TokenizedSplit, TokenizerSetup, tokenize_split

logger = logging.getLogger(__name__)


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
    progress = Heartbeat(run_dir, "prepare", 0).beat
    splits, scheme, notes = _read(run_dir, settings, scratch, progress)
    out = scratch / "prepared"
    tokenized = {name: _tokenize(split, scheme, setup, out / name, progress) for name, split in splits.items()}
    for name, split in tokenized.items():
        check_not_empty(name, split)
        check_truncation(name, split, settings.limits)
    overlap = measure_overlap(tokenized)
    check_overlap(tokenized, overlap, settings.limits)
    notes.append(padding_note(setup.tokenizer))
    ledger = make_ledger(PreparedSplits(splits, tokenized, overlap, setup.max_length), scheme, notes)
    setup.tokenizer.save_pretrained(out / "tokenizer")
    run_dirs.write_json(out / "ledger.json", ledger)
    _record(tokenized, scheme, setup).write(out / "prepared.json")
    return out


def padding_note(tokenizer: PreTrainedTokenizerBase) -> str:
    """Which token fills short texts up, for the ledger: some models come without one of their own."""
    shared = ", which is the end-of-text token too" if tokenizer.pad_token_id == tokenizer.eos_token_id else ""
    return f"Texts are padded with {tokenizer.pad_token!r} (id {tokenizer.pad_token_id}){shared}."


def _setup(run_dir: RunDir, settings: Settings) -> TokenizerSetup:
    tokenizer = load_tokenizer(settings, run_dir.input_model, run_dir.input_adapter)
    return TokenizerSetup(tokenizer, max_length(settings, tokenizer, load_config(run_dir.input_model)))


def _read(
    run_dir: RunDir, settings: Settings, scratch: Path, progress: Progress
) -> tuple[dict[str, Split], LabelScheme, list[str]]:
    """The splits with usable rows only, what their labels mean, and sentences about both."""
    present = [split for split in SPLITS if run_dir.input_data(split).with_name(f"{split}.json").exists()]
    sources: dict[str, Source] = {}
    for split in present:
        sources[split] = read_source(run_dir, split, settings.data, scratch / "rows", progress)
        logger.info("read %d %s rows", sources[split].table.num_rows, split)
    scheme = recognise(sources["train"], settings.data)
    selections = {}
    for split, source in sources.items():
        check_labels(source, scheme)
        selections[split] = select(source, scheme)
        check_selection(source, selections[split], scheme, settings.limits)
    splits = make_splits(sources, selections, scheme, settings.data)
    notes = [note for source in sources.values() for note in source.notes] + label_notes(sources["train"], scheme)
    return splits, scheme, notes


def _tokenize(split: Split, scheme: LabelScheme, setup: TokenizerSetup, folder: Path, progress: Progress) -> TokenizedSplit:
    tokenized = tokenize_split(split, scheme, setup, folder, progress)
    if split.name == "train" and sum(count > 0 for count in count_labels(tokenized, scheme)) == 1 and len(scheme.names) > 1:
        raise DataError(
            "Only one class is left in the training examples after splits and subsets.",
            "Raise JOB_DATA__MAX_TRAIN_EXAMPLES, or give more examples of the other classes.",
        )
    logger.info("tokenized %d %s examples, %d tokens", tokenized.num_examples, split.name, tokenized.column("tokens_in").sum())
    return tokenized


def _record(tokenized: dict[str, TokenizedSplit], scheme: LabelScheme, setup: TokenizerSetup) -> PreparedData:
    seen = {
        "splits": {name: tokenized[name].fingerprint() for name in ("train", "eval")},
        "labels": scheme.names,
        "problem": scheme.problem,
        "max_seq_length": setup.max_length,
        "pad_token_id": setup.tokenizer.pad_token_id,
    }
    return PreparedData(
        num_examples={name: split.num_examples for name, split in tokenized.items()},
        num_tokens={name: int(split.column("tokens_kept").sum(dtype=np.int64)) for name, split in tokenized.items()},
        problem=scheme.problem,
        labels=list(scheme.names),
        label_counts=count_labels(tokenized["train"], scheme),
        max_seq_length=setup.max_length,
        fingerprint=hashlib.sha256(json.dumps(seen, sort_keys=True).encode()).hexdigest(),
    )


if __name__ == "__main__":
    run_program("prepare", main)
