"""The prepare program on real files: every format, every kind of label, and the real data sets where they are at hand."""

import datasets
import pytest

from job.records import PreparedData
from job.run_dir import RunDir, read_json
from job.workers.prepare import main
from tests.support.inputs import COMPRESSIONS, FORMATS, as_csv, as_json_lines, as_parquet, reviews, settings, write_inputs


class Prepared:
    """What the program left behind."""

    def __init__(self, run_dir: RunDir) -> None:
        self.run_dir = run_dir
        self.record = PreparedData.read(run_dir.prepared / "prepared.json")
        self.ledger = read_json(run_dir.ledger)

    def rows(self, split: str = "train") -> datasets.Dataset:
        return datasets.load_from_disk(str(self.run_dir.prepared / split))


@pytest.fixture
def prepare(tmp_path):
    def run(splits: dict[str, dict[str, bytes]], kind: str = "files", **changes: str) -> Prepared:
        run_dir = write_inputs(tmp_path / f"run{len(list(tmp_path.iterdir()))}", splits, kind)
        main(run_dir, settings(**changes))
        return Prepared(run_dir)

    return run


@pytest.mark.parametrize("ending", COMPRESSIONS)
@pytest.mark.parametrize("kind", FORMATS)
def test_every_format_gives_the_same_examples(prepare, kind, ending):
    rows = reviews(40)
    rows[0]["text"] = '"quoted", with\ttab, "" and\nline end'
    expected = prepare({"train": {"a.parquet": as_parquet(rows)}})
    found = prepare({"train": {f"a.{kind}{ending}": COMPRESSIONS[ending](FORMATS[kind](rows))}})
    assert found.record == expected.record
    texts = {row["id"]: row["text"] for split in ("train", "eval") for row in found.rows(split)}
    assert texts == {f"train-{at}": row["text"] for at, row in enumerate(rows, start=1)}


@pytest.mark.parametrize("ending", COMPRESSIONS)
def test_headerless_tsv_with_plain_quotes(prepare, ending):
    lines = ['"Quoted" at the start\t1', 'only one " here\t0', 'ends with "\t1', "tail   \t0", '"""\t1', "plain\t0"]
    files = {f"{name}.txt{ending}": COMPRESSIONS[ending]("\n".join(lines).encode() + b"\n") for name in ("a", "b")}
    changes = {"DATA__FORMAT": "tsv", "DATA__HEADER": "false", "DATA__COLUMN_NAMES": "text,label", "DATA__QUOTING": "none"}
    found = prepare({"train": files, "eval": files}, LIMITS__MAX_LEAKED_SHARE="1", **changes)
    assert found.rows()["text"][:] == [line.split("\t")[0] for line in lines] * 2
    assert found.rows()["label"][:] == [int(line.split("\t")[1]) for line in lines] * 2
    assert found.ledger["leaked_share"] == {"eval": 1.0}


@pytest.mark.parametrize("above", ["", "aclImdb/train/"])
def test_the_layout_of_aclimdb(prepare, above):
    files = {
        f"{above}{label}/{at}_{at % 10}.txt": f"{word} film {at}".encode()
        for label, word in (("pos", "good"), ("neg", "bad"), ("unsup", "some"))
        for at in range(10)
    }
    train = files | {f"{above}labeledBow.feat": b"9 0:1", f"{above}urls_pos.txt": b"somewhere"}
    found = prepare({"train": train, "test": {name.replace("train", "test"): b"test " + text for name, text in files.items()}})
    assert found.record.labels == ["neg", "pos"]
    assert found.record.num_examples == {"train": 18, "eval": 2, "test": 20}
    assert set(found.rows("eval")["label"]) == {0, 1}
    assert f"{above.replace('train', 'test')}pos/0_0.txt" in found.rows("test")["id"][:]
    assert any("10 files were ignored: in the folder 'unsup'" in note for note in found.ledger["notes"])


def test_pairs(prepare):
    found = prepare({"train": {"a.csv": as_csv(reviews(10, reply="and more"))}}, DATA__TEXT_PAIR_COLUMN="reply")
    row = found.rows()[0]
    assert row["text"].endswith(" ⏎ and more")
    assert row["token_type_ids"] == sorted(row["token_type_ids"])
    assert sum(row["token_type_ids"]) == 3


def test_several_labels_as_lists_and_as_text(prepare):
    kinds = [["good", "long"], ["bad"], [], ["long"]] * 5
    rows = [{"text": row["text"], "label": labels} for row, labels in zip(reviews(20), kinds, strict=True)]
    lists = prepare({"train": {"a.jsonl": as_json_lines(rows)}})
    text = as_csv([{**row, "label": "|".join(row["label"])} for row in rows])
    delimited = prepare({"train": {"a.csv": text}}, DATA__LABEL_DELIMITER="|")
    assert lists.record == delimited.record
    assert (lists.record.problem, lists.record.labels) == ("multi_label", ["bad", "good", "long"])
    held = {row["id"]: row["label"] for split in ("train", "eval") for row in lists.rows(split)}
    assert [held[f"train-{at}"] for at in range(1, 5)] == [[0, 1, 1], [1, 0, 0], [0, 0, 0], [0, 0, 1]]


@pytest.mark.parametrize("kind", FORMATS)
def test_numbers_to_predict(prepare, kind):
    rows = [{**row, "label": at / 4} for at, row in enumerate(reviews(20))]
    found = prepare({"train": {f"a.{kind}": FORMATS[kind](rows)}})
    assert (found.record.problem, found.record.labels, found.record.label_counts) == ("regression", [], [])
    assert found.ledger["splits"]["train"]["label_range"][1] <= 4.75
    assert found.rows().features["label"].dtype == "float32"


@pytest.mark.parametrize("kind", FORMATS)
def test_numbers_as_classes(prepare, kind):
    rows = [{**row, "label": (9, 10, 2)[at % 3]} for at, row in enumerate(reviews(30))]
    found = prepare({"train": {f"a.{kind}": FORMATS[kind](rows)}})
    assert found.record.labels == ["2", "9", "10"]
    assert found.ledger["problem_reason"] == "labels are 3 distinct whole numbers"


def test_a_data_set_of_the_hub(prepare, tmp_path):
    made = datasets.Features({"text": datasets.Value("string"), "label": datasets.ClassLabel(names=["worse", "better"])})
    rows = datasets.Dataset.from_dict({"text": [f"film {at}" for at in range(21)], "label": [*[1, 0] * 10, -1]}, features=made)
    rows.to_parquet(tmp_path / "hub.parquet")
    content = (tmp_path / "hub.parquet").read_bytes()
    files = {
        "data/train-00000-of-00001.parquet": content,
        "data/validation-00000-of-00001.parquet": content,
        "README.md": b"# data",
    }
    limits = {"LIMITS__MAX_LEAKED_SHARE": "1", "LIMITS__MAX_UNLABELLED_SHARE": "0.1"}
    found = prepare({"train": files, "eval": files}, "hub", DATA__TRAIN_URI="org/name", **limits)
    assert found.record.labels == ["worse", "better"]
    assert found.record.num_examples == {"train": 20, "eval": 20}
    assert found.ledger["splits"]["train"]["unlabelled_dropped"] == 1


def test_subsets_and_a_test_share(prepare):
    changes = {"DATA__TEST_FRACTION": "0.25", "DATA__MAX_TRAIN_EXAMPLES": "30", "DATA__MAX_TEST_EXAMPLES": "10"}
    found = prepare({"train": {"a.csv": as_csv(reviews(120))}}, **changes)
    assert found.record.num_examples == {"train": 30, "eval": 12, "test": 10}
    assert found.ledger["splits"]["eval"]["label_counts"] == {"bad": 4, "good": 8}
    entry = found.ledger["splits"]["train"]
    assert (entry["examples_in"], entry["set_aside"], entry["subset_left_out"], entry["examples_kept"]) == (120, 42, 48, 30)
    again = prepare({"train": {"a.csv": as_csv(reviews(120))}}, **changes)
    assert again.record == found.record
    other = prepare({"train": {"a.csv": as_csv(reviews(120))}}, DATA__SPLIT_SEED="1", **changes)
    assert other.record.fingerprint != found.record.fingerprint


def test_dropped_rows_are_counted(prepare):
    rows = [*reviews(20), {"text": " ", "label": "good"}, {"text": "unlabelled", "label": ""}]
    evaluation = [{"text": "a film", "label": "good"}, {"text": "b film", "label": "Good"}]
    limits = {f"LIMITS__MAX_{name}_SHARE": "0.5" for name in ("EMPTY", "UNLABELLED", "UNKNOWN_LABEL")}
    found = prepare({"train": {"a.csv": as_csv(rows)}, "eval": {"b.csv": as_csv(evaluation)}}, **limits)
    train, evaluated = found.ledger["splits"]["train"], found.ledger["splits"]["eval"]
    assert (train["empty_dropped"], train["unlabelled_dropped"], train["examples_kept"]) == (1, 1, 20)
    assert (evaluated["unknown_label_dropped"], evaluated["examples_kept"]) == (1, 1)


def test_the_tokenizer_is_the_one_to_publish(prepare):
    from transformers import AutoTokenizer

    changes = {"MODEL__TRUNCATION_SIDE": "left", "TRAIN__MAX_SEQ_LENGTH": "6"}
    found = prepare({"train": {"a.csv": as_csv(reviews(20))}}, LIMITS__MAX_TRUNCATED_SHARE="1", **changes)
    tokenizer = AutoTokenizer.from_pretrained(found.run_dir.prepared / "tokenizer")
    assert (tokenizer.truncation_side, tokenizer.model_max_length, tokenizer.pad_token) == ("left", 6, "[PAD]")
    row = found.rows()[0]
    assert row["input_ids"] == tokenizer(row["text"], truncation=True)["input_ids"]


@pytest.mark.real_data
def test_review_sentences_load_exactly(prepare, real_data):
    folder = real_data / "review_sentences"
    files = {path.name: path.read_bytes() for path in sorted(folder.glob("*.txt"))}
    changes = {"DATA__FORMAT": "tsv", "DATA__HEADER": "false", "DATA__COLUMN_NAMES": "text,label", "DATA__QUOTING": "none"}
    found = prepare(
        {"train": files}, DATA__TEST_FRACTION="0.2", LIMITS__MAX_TRUNCATED_SHARE="1", LIMITS__MAX_EMPTY_SHARE="0", **changes
    )
    assert found.record.num_examples == {"train": 2100, "eval": 300, "test": 600}
    assert found.record.label_counts == [1050, 1050]
    held = {int(row["id"].removeprefix("train-")): row for split in ("train", "eval", "test") for row in found.rows(split)}
    lines = b"".join(files.values()).decode().removesuffix("\n").split("\n")
    assert len(lines) == 3000
    assert sum('"' in line for line in lines) > 0
    for at, line in enumerate(lines, start=1):
        assert (held[at]["text"], str(held[at]["label"])) == tuple(line.split("\t"))


@pytest.mark.real_data
def test_tweets_load_exactly(prepare, real_data):
    folder = real_data / "tweet_sentiment"
    splits = {split: {f"{split}.csv": (folder / f"{split}.csv").read_bytes()} for split in ("train", "test")}
    found = prepare(splits, DATA__ID_COLUMN="id", LIMITS__MAX_TRUNCATED_SHARE="1", LIMITS__MAX_EMPTY_SHARE="0")
    assert {split: entry["examples_in"] for split, entry in found.ledger["splits"].items()} == {
        "train": 27480,
        "eval": 2748,
        "test": 3534,
    }
    assert found.record.labels == ["negative", "neutral", "positive"]
    assert sum(found.record.num_examples.values()) == 27480 + 3534
