"""Bad data files, labels and limits: each ends with its code and a message that names the thing and the remedy.

A row of the table: what is wrong · the files of the splits · the settings · the code · what the message and hint must hold.
"""

import gzip
import os
from dataclasses import dataclass, field

import pyarrow as pa
import pytest
import zstandard

from job.errors import JobError
from job.workers.prepare import main
from tests.support.inputs import as_csv, as_json_lines, as_parquet, reviews, settings, write_inputs

GOOD = as_csv(reviews(40))
NO_ROWS = pa.table({"text": pa.array([], pa.string()), "label": pa.array([], pa.string())})
HEADERLESS = {"DATA__HEADER": "false", "DATA__COLUMN_NAMES": "text,label"}


def labelled(*labels: object) -> bytes:
    return as_json_lines([{"text": f"film {at}", "label": label} for at, label in enumerate(labels)])


@dataclass(frozen=True)
class Bad:
    name: str
    splits: dict[str, dict[str, bytes]]
    says: tuple[str, ...]
    changes: dict[str, str] = field(default_factory=dict)
    code: int = 65
    kind: str = "files"


def one(name: str, file: str, content: bytes, *says: str, **more) -> Bad:
    """A bad file as the training data."""
    return Bad(name, {"train": {file: content}}, says, **more)


TABLE = [
    # columns
    one(
        "text column missing",
        "a.csv",
        b"body,label\na,b\n",
        "a.csv has no column 'text'; it has 'body', 'label'",
        "JOB_DATA__TEXT_COLUMN",
    ),
    one("label column misspelt", "a.csv", b"text,Lable\na,b\n", "no column 'label'", "nearest: 'Lable'", "JOB_DATA__LABEL_COLUMN"),
    one(
        "pair column missing",
        "a.csv",
        GOOD,
        "no column 'reply'",
        "JOB_DATA__TEXT_PAIR_COLUMN",
        changes={"DATA__TEXT_PAIR_COLUMN": "reply"},
    ),
    one("id column missing", "a.csv", GOOD, "no column 'key'", "JOB_DATA__ID_COLUMN", changes={"DATA__ID_COLUMN": "key"}),
    one("column missing in parquet", "a.parquet", as_parquet([{"t": "a"}]), "a.parquet has no column 'text'; it has 't'"),
    one("column missing in json lines", "a.jsonl", b'{"t": "a", "label": 1}', "a.jsonl has no column 'text'; it has 't', 'label'"),
    one("no header", "a.csv", b"good film,pos\nbad film,neg\n", "'good film', 'pos'", "JOB_DATA__HEADER=false"),
    one("other delimiter", "a.csv", b"text;label\na;b\n", "it has 'text;label'", "JOB_DATA__DELIMITER"),
    one("column twice", "a.csv", b"text,text,label\na,b,c\n", "2 columns named 'text'", "JOB_DATA__TEXT_COLUMN"),
    Bad(
        "header of the second file differs",
        {"train": {"a.csv": GOOD, "b.csv": b"text,klass\na,b\n"}},
        ("b.csv has no column 'label'",),
    ),
    # rows
    one(
        "row too long", "a.csv", b"text,label\na,b\na,b,c\n", "a.csv, line 3: 3 fields, where the header has 2", "JOB_DATA__QUOTING"
    ),
    one("row too short", "a.tsv", b"text\tlabel\na\n", "a.tsv, line 2: 1 fields, where the header has 2"),
    one("names do not fit", "a.csv", b"a,b,c\n", "line 1: 3 fields", "JOB_DATA__COLUMN_NAMES", changes=HEADERLESS),
    one("quote never closes", "a.csv", b'text,label\n"a,b\nc,d\n', "a.csv, line 2: a quote opens", "JOB_DATA__QUOTING=none"),
    one("text after a quote", "a.csv", b'text,label\n"a"b,c\n', "a.csv, line 2: not valid CSV", "JOB_DATA__QUOTING=none"),
    one("json list", "a.json", b'[\n {"text": "a", "label": 1}\n]', "a.json, line 1: a list where a JSON object", "jq"),
    one("json text", "a.jsonl", labelled("a") + b'"b"\n', "a.jsonl, line 2: a text where a JSON object"),
    one("json broken", "a.jsonl", labelled("a") + b'{"text": \n', "a.jsonl, line 2, character", "one JSON object a line"),
    one("header only", "a.csv", b"text,label\n", "a.csv has no rows"),
    one("blank lines only", "a.jsonl", b"\n\n", "a.jsonl has no rows"),
    one("parquet without rows", "a.parquet", as_parquet(NO_ROWS), "a.parquet has no rows"),
    # bytes
    one("empty file", "a.csv", b"", "a.csv is empty (0 bytes)"),
    one("latin-1 as utf-8", "a.csv", b"text,label\ncaf\xe9,b\n", "a.csv is not utf-8 text: byte 14 (line 2)", "JOB_DATA__ENCODING"),
    one("utf-16 as utf-8", "a.csv", "text,label\na,b\n".encode("utf-16"), "not utf-8 text: byte 0 (line 1)", "utf-16"),
    one("unknown encoding", "a.csv", GOOD, "JOB_DATA__ENCODING", changes={"DATA__ENCODING": "utf-88"}, code=64),
    one("gzip cut off", "a.csv.gz", gzip.compress(os.urandom(9000))[:5000], "a.csv.gz is not a sound gzip file", "gzip -t"),
    one("zstd cut off", "a.csv.zst", zstandard.compress(os.urandom(9000))[:5000], "a.csv.zst is not a sound zstd file"),
    one(
        "a bomb",
        "a.csv.gz",
        gzip.compress(GOOD + b" " * (1 << 28), 9),
        "a.csv.gz comes to more than 268,435,456 bytes",
        "decompressed",
    ),
    one("no gzip", "a.csv.gz", GOOD, "a.csv.gz is not a sound gzip file"),
    one("no zstd", "a.jsonl.zst", labelled("a", "b"), "a.jsonl.zst is not a sound zstd file"),
    one("no parquet", "a.parquet", GOOD, "a.parquet is not a sound Parquet file", "JOB_DATA__FORMAT"),
    one("parquet cut off", "a.parquet", as_parquet(reviews(40))[:-20], "a.parquet is not a sound Parquet file"),
    one("parquet as csv", "a.csv", as_parquet(reviews(40)), "a.csv", "JOB_DATA__"),
    # formats
    one("unknown ending", "a.xlsx", b"PK", "a.xlsx: its ending '.xlsx'", "JOB_DATA__FORMAT"),
    Bad(
        "mixed formats",
        {"train": {"a.csv": GOOD, "b.jsonl": b"{}"}},
        ("several formats: a.csv is csv, b.jsonl is jsonl", "JOB_DATA__FORMAT"),
    ),
    one("only markers", "_SUCCESS", b"", "No data file among 1 fetched files"),
    one("texts without labels", "unsup/a.txt", b"a", "No text with a label", "JOB_DATA__TRAIN_URI"),
    Bad(
        "train beside test",
        {"train": {"train/a/1.txt": b"a", "test/a/1.txt": b"a"}},
        ("test and train side by side", "JOB_DATA__TEST_URI"),
    ),
    Bad(
        "hub split missing", {"train": {"test.csv": GOOD}}, ("split 'train' cannot be loaded", "JOB_DATA__TRAIN_SPLIT"), kind="hub"
    ),
    # texts
    one(
        "numbers as text",
        "a.jsonl",
        b'{"text": 5, "label": "a"}',
        "a.jsonl, row 1, column 'text': a number where text",
        "JOB_DATA__TEXT_COLUMN",
    ),
    one(
        "lists as text",
        "a.parquet",
        as_parquet([{"text": ["a"], "label": "a"}]),
        "a.parquet, row 1, column 'text': a list where text",
    ),
    one("half a character", "a.jsonl", b'{"text": "\\ud83d", "label": "a"}', "row 1, column 'text': half of a surrogate pair"),
    one(
        "empty texts",
        "a.csv",
        GOOD + b",good\n",
        "1 of 41 train examples (2.44%) have no text",
        "train-41",
        "JOB_LIMITS__MAX_EMPTY_SHARE",
    ),
    one("all texts empty", "a.csv", b'text,label\n"",a\n"",b\n', "2 of 2 train examples (100.00%) have no text"),
    # labels
    one("one class", "a.jsonl", labelled("a", "a"), "same label, 'a', in column 'label'", "JOB_DATA__LABEL_COLUMN"),
    one("no labels", "a.jsonl", labelled(None, None), "No example of the training data has a label", "JOB_DATA__LABEL_COLUMN"),
    one(
        "a missing label",
        "a.csv",
        GOOD + b"film,\n",
        "1 of 41 train examples (2.44%) have no label",
        "JOB_LIMITS__MAX_UNLABELLED_SHARE",
    ),
    one("many numbers", "a.jsonl", labelled(*range(60)), "60 distinct whole numbers in 60 examples", "JOB_DATA__PROBLEM"),
    one("many texts", "a.jsonl", labelled(*(f"t{at}" for at in range(60))), "60 distinct texts", "JOB_DATA__LABEL_COLUMN"),
    one("objects as labels", "a.jsonl", labelled({"a": 1}), "a.jsonl, row 1, column 'label': an object", "JOB_DATA__LABEL_COLUMN"),
    one(
        "not a number to predict",
        "a.jsonl",
        labelled(0.5, float("nan"), 1),
        "a.jsonl, row 2: the label 'nan' is not a finite number",
    ),
    one(
        "infinite number to predict",
        "a.jsonl",
        labelled(0.5, float("inf")),
        "row 2: the label 'inf' is not a finite number",
        "JOB_DATA__PROBLEM",
    ),
    one("text to predict", "a.jsonl", labelled(0.5, "good"), "row 2: the label 'good'", changes={"DATA__PROBLEM": "regression"}),
    one(
        "lists for one label",
        "a.jsonl",
        labelled(["a"], ["a", "b"]),
        "row 2: 2 labels",
        "multi_label",
        changes={"DATA__PROBLEM": "single_label"},
    ),
    one(
        "outside the list",
        "a.csv",
        GOOD,
        "26 training examples",
        "outside JOB_DATA__LABELS: 'good'",
        "a.csv, row 2",
        changes={"DATA__LABELS": "bad,fine"},
    ),
    Bad(
        "unknown label in validation",
        {"train": {"a.csv": GOOD}, "eval": {"b.csv": b"text,label\nfilm,Good\n"}},
        ("1 of 1 eval examples (100.00%)", "does not have ('Good')", "JOB_LIMITS__MAX_UNKNOWN_LABEL_SHARE"),
    ),
    Bad(
        "unlabelled test data",
        {"train": {"a.csv": GOOD}, "test": {"b.csv": b"text,label\nfilm,\n"}},
        ("1 of 1 test examples", "no label"),
    ),
    # limits and sizes
    Bad("leaked test data", {"train": {"a.csv": GOOD}, "test": {"b.csv": GOOD}}, ("test examples", "JOB_LIMITS__MAX_LEAKED_SHARE")),
    one(
        "all texts cut", "a.csv", GOOD, "more tokens than fit", "JOB_TRAIN__MAX_SEQ_LENGTH", changes={"TRAIN__MAX_SEQ_LENGTH": "4"}
    ),
    one("no room for text", "a.csv", GOOD, "JOB_TRAIN__MAX_SEQ_LENGTH", changes={"TRAIN__MAX_SEQ_LENGTH": "2"}, code=64),
    one(
        "more than the model's positions",
        "a.csv",
        GOOD,
        "JOB_TRAIN__MAX_SEQ_LENGTH",
        changes={"TRAIN__MAX_SEQ_LENGTH": "33"},
        code=64,
    ),
    one(
        "too few to split",
        "a.jsonl",
        labelled("a", "b"),
        "2 usable examples: too few",
        "JOB_DATA__EVAL_URI",
        changes={"DATA__EVAL_FRACTION": "0.9"},
    ),
    one(
        "subset of one class",
        "a.csv",
        GOOD,
        "Only one class is left",
        "JOB_DATA__MAX_TRAIN_EXAMPLES",
        changes={"DATA__MAX_TRAIN_EXAMPLES": "1"},
    ),
]


@pytest.mark.parametrize("bad", TABLE, ids=lambda bad: bad.name)
def test_bad_data_is_named_with_its_remedy(bad, tmp_path):
    run_dir = write_inputs(tmp_path, bad.splits, bad.kind)
    with pytest.raises(JobError) as caught:
        main(run_dir, settings(**bad.changes))
    assert caught.value.exit_code == bad.code, str(caught.value)
    assert caught.value.message
    assert caught.value.hint
    for words in bad.says:
        assert words in str(caught.value)
    assert not run_dir.prepared.exists()
    assert sorted(path.name for path in tmp_path.iterdir()) in (["heartbeats", "inputs"], ["inputs"])


def test_the_table_is_long_enough():
    assert len({bad.name for bad in TABLE}) == len(TABLE) >= 50
