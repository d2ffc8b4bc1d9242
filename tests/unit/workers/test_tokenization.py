"""Tokenizing a split: columns, counts, fingerprint."""

import hashlib

import datasets
import pytest

from job.workers.labels import check_labels, recognise
from job.workers.model import load_tokenizer
from job.workers.selection import select
from job.workers.splits import label_strata, make_splits
from job.workers.tables import Reading, read_source
from job.workers.tasks.text_classification import LABEL_FEATURES
from job.workers.text_encoding import PAIR_MARK, TextEncoder, digest
from job.workers.tokenization import TokenizerSetup, write_split
from tests.support.inputs import as_json_lines, settings, write_inputs

ROWS = [
    {"text": "the film was good", "label": "x", "other": "and fine"},
    {"text": "film " * 40, "label": "y", "other": "bad"},
    {"text": "awful", "label": "y", "other": "word"},
    {"text": "\u200b\u200b", "label": "y", "other": "\u200b"},
]


@pytest.fixture(autouse=True)
def quiet():
    datasets.disable_progress_bars()


def tokenize(tmp_path, rows=ROWS, max_length=8, **changes):
    run_dir = write_inputs(
        tmp_path / "run", {"train": {"a.jsonl": as_json_lines(rows)}, "eval": {"e.jsonl": as_json_lines(rows[:1])}}
    )
    chosen = settings(**changes)
    reading = Reading(chosen.data, tmp_path / "scratch")
    sources = {name: read_source(run_dir, name, reading, lambda: None) for name in ("train", "eval")}
    scheme = recognise(sources["train"], chosen.data)
    check_labels(sources["train"], scheme)
    selections = {name: select(one, scheme) for name, one in sources.items()}
    splits = make_splits(sources, selections, label_strata(sources["train"], scheme), chosen.data)
    setup = TokenizerSetup(load_tokenizer(chosen, run_dir.input_model), max_length)
    encoder = TextEncoder(setup, (LABEL_FEATURES[scheme.problem], scheme.encode))
    found = write_split(splits["train"], encoder, tmp_path / "out", lambda: None)
    return found, datasets.load_from_disk(str(tmp_path / "out")), setup.tokenizer


def test_rows_are_what_the_tokenizer_would_make(tmp_path):
    _found, written, tokenizer = tokenize(tmp_path)
    expected = tokenizer([row["text"] for row in ROWS[:3]], truncation=True, max_length=8)
    assert written["input_ids"][:] == expected["input_ids"]
    assert written["token_type_ids"][:] == expected["token_type_ids"]
    assert written["length"][:] == [6, 8, 3]
    assert written["label"][:] == [0, 1, 1]
    assert written["id"][:] == ["train-1", "train-2", "train-3"]
    assert written["text_sha256"][0] == hashlib.sha256(ROWS[0]["text"].encode()).hexdigest()
    assert {
        name: str(kind.feature.dtype if hasattr(kind, "feature") else kind.dtype) for name, kind in written.features.items()
    } == {
        "id": "string",
        "text": "string",
        "text_sha256": "string",
        "input_ids": "int32",
        "token_type_ids": "int8",
        "length": "int32",
        "label": "int64",
    }
    assert not list(tmp_path.glob("*.arrow"))


def test_tokens_are_counted_before_they_are_cut(tmp_path):
    found, _, _ = tokenize(tmp_path)
    assert found.column("tokens_in").tolist() == [6, 42, 3]
    assert found.column("tokens_kept").tolist() == [6, 8, 3]
    assert found.without_tokens == ["train-4"]
    assert [(entry["id"], entry["tokens"], len(entry["text"])) for entry in found.longest] == [
        ("train-2", 42, 200),
        ("train-1", 6, 17),
        ("train-3", 3, 5),
    ]
    assert found.num_examples == 3


def test_pairs(tmp_path):
    found, written, tokenizer = tokenize(tmp_path, DATA__TEXT_PAIR_COLUMN="other")
    expected = tokenizer([row["text"] for row in ROWS[:3]], [row["other"] for row in ROWS[:3]], truncation=True, max_length=8)
    assert written["input_ids"][:] == expected["input_ids"]
    assert written["token_type_ids"][:] == expected["token_type_ids"]
    assert written["text"][0] == f"the film was good{PAIR_MARK}and fine"
    assert written["text_sha256"][0] == digest("the film was good", "and fine")
    assert found.without_tokens == ["train-4"]


def test_the_side_that_is_cut(tmp_path):
    rows = [{"text": "good " + "film " * 40 + "bad", "label": "x"}, ROWS[1]]
    _, written, tokenizer = tokenize(tmp_path, rows, MODEL__TRUNCATION_SIDE="left")
    assert tokenizer.decode(written["input_ids"][0]).endswith("film bad [SEP]")


def test_other_labels(tmp_path):
    rows = [{"text": "good", "label": 0.25}, {"text": "bad", "label": 3}]
    assert tokenize(tmp_path / "r", rows)[1]["label"][:] == [0.25, 3.0]
    rows = [{"text": "good", "label": ["a", "b"]}, {"text": "bad", "label": []}, {"text": "fine", "label": ["b"]}]
    found, written, _ = tokenize(tmp_path / "m", rows)
    assert written["label"][:] == [[1, 1], [0, 0], [0, 1]]
    assert found.column("labels").shape == (3, 2)


def test_the_fingerprint_covers_ids_labels_and_order_but_not_names(tmp_path, monkeypatch):
    def fingerprint(name: str, rows=ROWS, **more):
        return tokenize(tmp_path / name, rows, **more)[0].fingerprint()

    first = fingerprint("a")
    assert first == fingerprint("b", [{**row, "extra": 1} for row in ROWS])
    monkeypatch.setattr("job.workers.tokenization.BATCH_TEXTS", 2)
    assert first == fingerprint("c")
    assert first != fingerprint("d", [ROWS[1], ROWS[0], *ROWS[2:]])
    assert first != fingerprint("e", [{**ROWS[0], "label": "y"}, {**ROWS[1], "label": "x"}, *ROWS[2:]])
    assert first != fingerprint("f", max_length=7)


def test_a_digest_tells_texts_from_pairs():
    assert len({digest("a", None), digest("a", ""), digest("", "a"), digest("a", "b"), digest("ab", None)}) == 5
