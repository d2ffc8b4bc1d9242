"""Raw text from files to records, by the prepare program: everything is kept, counted and shown."""

import pytest
from datasets import load_from_disk

from job.run_dir import read_json
from tests.support import language

TEXTS = {"train": ("a.jsonl", language.documents(30)), "eval": ("e.jsonl", language.documents(8, 1))}


@pytest.mark.parametrize("packing", ["on", "off"])
def test_causal_records(tmp_path, packing):
    run_dir, _ = language.prepared(tmp_path, TEXTS, TASK="causal-lm", TRAIN__MAX_SEQ_LENGTH="32", DATA__PACKING=packing)
    train, held_out = (load_from_disk(str(run_dir.prepared / split)) for split in ("train", "eval"))
    ledger = read_json(run_dir.ledger)
    entry = ledger["splits"]["train"]
    assert entry["examples_kept"] == 30
    assert entry["trained_tokens"] == sum(sum(row["targets"]) for row in train) == entry["tokens_in"] - 30
    assert entry["truncated_tokens"] == 0
    assert sum(train["num_bytes"]) < sum(len(line) for line in TEXTS["train"][1].splitlines())
    assert max(train["length"]) <= 32
    assert (max(map(len, train["pieces"])) > 1) == (packing == "on")
    assert all(len(lengths) == 1 for lengths in held_out["pieces"])
    assert all(sample["text"].count("⟦") >= 1 for sample in ledger["samples"])
    assert len(ledger["samples"]) == 3


def test_plain_text_files_are_read_without_being_told(tmp_path):
    run_dir, _ = language.prepared(
        tmp_path,
        {"train": ("a.txt", b"one good film\n\nand another\n\n\nthird\n"), "eval": ("e.txt", b"one\n\ntwo")},
        TASK="causal-lm",
        DATA__DOCUMENT_BREAK="blank_line",
    )
    assert {split: entry["examples_kept"] for split, entry in read_json(run_dir.ledger)["splits"].items()} == {
        "train": 3,
        "eval": 2,
    }
