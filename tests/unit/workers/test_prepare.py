"""The prepare program: everything in place at once, or nothing."""

from types import SimpleNamespace

import datasets
import pytest

from job.errors import DataError
from job.records import PreparedData
from job.run_dir import read_json
from job.workers.prepare import main, padding_note
from tests.support.inputs import as_csv, reviews, settings, write_inputs


def test_everything_is_written(tmp_path):
    run_dir = write_inputs(tmp_path, {"train": {"a.csv": as_csv(reviews(30))}})
    main(run_dir, settings(RUN__SEED="1"))
    record = PreparedData.read(run_dir.prepared / "prepared.json")
    assert record.num_examples == {"train": 27, "eval": 3}
    assert (record.problem, record.labels, record.label_counts) == ("single_label", ["bad", "good"], [9, 18])
    assert sorted(path.name for path in run_dir.prepared.iterdir()) == [
        "eval",
        "ledger.json",
        "prepared.json",
        "tokenizer",
        "train",
    ]
    assert sum(datasets.load_from_disk(str(run_dir.prepared / "train"))["length"]) == record.num_tokens["train"]
    assert read_json(run_dir.ledger)["splits"]["train"]["tokens_kept"] == record.num_tokens["train"]
    assert run_dir.heartbeat("prepare", 0).exists()
    assert not list(tmp_path.glob(".tmp-*"))


def test_an_earlier_preparation_is_replaced_whole(tmp_path):
    run_dir = write_inputs(tmp_path, {"train": {"a.csv": as_csv(reviews(30))}})
    (run_dir.prepared / "test").mkdir(parents=True)
    main(run_dir, settings())
    assert not (run_dir.prepared / "test").exists()


def test_a_failure_leaves_nothing(tmp_path):
    run_dir = write_inputs(tmp_path, {"train": {"a.csv": as_csv(reviews(30))}})
    with pytest.raises(DataError):
        main(run_dir, settings(LIMITS__MAX_TRUNCATED_SHARE="0", TRAIN__MAX_SEQ_LENGTH="4"))
    assert not run_dir.prepared.exists()
    assert not list(tmp_path.glob(".tmp-*"))


def test_a_subset_of_one_class_is_refused(tmp_path):
    run_dir = write_inputs(tmp_path, {"train": {"a.csv": as_csv(reviews(30))}})
    with pytest.raises(DataError, match="Only one class is left"):
        main(run_dir, settings(DATA__MAX_TRAIN_EXAMPLES="1"))


@pytest.mark.parametrize(("pad", "expected"), [("[PAD]", "id 7)."), ("[END]", "id 9), which is the end-of-text token too.")])
def test_the_ledger_says_what_texts_are_padded_with(pad, expected):
    ids = {"[PAD]": 7, "[END]": 9}
    note = padding_note(SimpleNamespace(pad_token=pad, pad_token_id=ids[pad], eos_token_id=9))
    assert note == f"Texts are padded with {pad!r} ({expected}"
