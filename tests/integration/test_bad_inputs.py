"""Models and data that cannot be used, as whole starts: what needs no worker to be seen is told before one is started."""

from __future__ import annotations

import json
import shutil

import pytest

from job.storage.local import LocalStore
from tests.support import starts, tiny
from tests.support.starts import Answer, Bench, bench

__all__ = ["bench"]


def _remove(*names):
    return lambda bench: [(bench.folder / name).unlink() for name in names]


def _rename(old, new):
    return lambda bench: (bench.folder / old).rename(bench.folder / new)


def _adapter(content):
    """The model's folder becomes an adapter's, with this in its configuration."""

    def spoil(bench):
        for name in ("config.json", "model.safetensors"):
            (bench.folder / "model" / name).unlink()
        (bench.folder / "model/adapter_config.json").write_text(json.dumps(content))
        (bench.folder / "model/adapter_model.safetensors").write_bytes(b"weights")

    return spoil


def _rows(name, rows):
    return lambda bench: tiny.write_csv(bench.folder / name, rows)


def _with_test(rows):
    """Test data beside the training data."""
    return {"JOB_DATA__TEST_URI": "{folder}/test.csv"}, _rows("test.csv", rows)


def _as_it_is(bench):
    """Nothing is done to the inputs: the settings are what is wrong."""


SENTENCES = tiny.sentences(60)
LONG = [("the film was " * 40 + word, label) for word, label in (("good", "positive"), ("bad", "negative"))] * 20
# fmt: off
AT_ONCE = {
    # name: (settings, what is done to the inputs, code, what the message says, what the hint names)
    "no model": ({}, lambda b: shutil.rmtree(b.folder / "model"), 64, "JOB_MODEL__URI: There is no file at file://.*/model", "Check the location"),
    "a model that is a file": ({"JOB_MODEL__URI": "{folder}/model/model.safetensors"}, _as_it_is, 64, "JOB_MODEL__URI holds no config.json", "Point JOB_MODEL__URI at the folder"),
    "an archive for a model": ({"JOB_MODEL__URI": "{folder}/train.csv"}, _as_it_is, 64, "JOB_MODEL__URI: None of the 1 files .* is of a kind that is used", "model.safetensors"),
    "a model of pickles": ({}, _rename("model/model.safetensors", "model/pytorch_model.bin"), 64, "JOB_MODEL__URI holds no model.safetensors: only safetensors", "save_pretrained"),
    "a model without config.json": ({}, _remove("model/config.json"), 64, "JOB_MODEL__URI holds no config.json", "transformers model"),
    "an adapter without weights": ({}, _rename("model/config.json", "model/adapter_config.json"), 64, "JOB_MODEL__URI holds an adapter without adapter_model.safetensors", "save_pretrained"),
    "an adapter that names no base": ({}, _adapter({}), 64, "JOB_MODEL__URI names no base model", "JOB_MODEL__BASE_URI"),
    "an adapter whose base is gone": ({}, _adapter({"base_model_name_or_path": "/nowhere/base"}), 64, "base model that the adapter in JOB_MODEL__URI names cannot be had", "JOB_MODEL__BASE_URI"),
    "an adapter on an adapter": ({"JOB_MODEL__BASE_URI": "{folder}/model"}, _adapter({}), 64, "JOB_MODEL__BASE_URI holds an adapter", "the model that the adapter was made for"),
    "a base for a whole model": ({"JOB_MODEL__BASE_URI": "{folder}/model"}, _as_it_is, 64, "JOB_MODEL__BASE_URI is given, and JOB_MODEL__URI holds a whole model", "Leave one"),
    "a data set for a model": ({"JOB_MODEL__URI": "hf://datasets/org/name"}, _as_it_is, 64, "JOB_MODEL__URI names a data set on the Hub", "hf://org/name"),
    "no training data": ({}, _remove("train.csv"), 65, "JOB_DATA__TRAIN_URI: There is no file at file://.*/train.csv", "Check the location"),
    "no test data": ({"JOB_DATA__TEST_URI": "{folder}/test.csv"}, _as_it_is, 65, "JOB_DATA__TEST_URI: There is no file", "Check the location"),
    "a pattern that fits nothing": ({"JOB_DATA__EVAL_URI": "{folder}/*.jsonl"}, _as_it_is, 65, r"JOB_DATA__EVAL_URI: There is no file at file://.*/\*\.jsonl", "Check the location"),
    "one of two missing": ({"JOB_DATA__TRAIN_URI": "{folder}/train.csv,{folder}/more.csv"}, _as_it_is, 65, "JOB_DATA__TRAIN_URI: There is no file at file://.*/more.csv", "Check the location"),
    "the Hub beside a file": ({"JOB_DATA__TRAIN_URI": "hf://datasets/org/name,{folder}/train.csv"}, _as_it_is, 64, "JOB_DATA__TRAIN_URI names a Hub data set beside other sources", "files and folders only"),
    "an address of a kind nobody knows": ({"JOB_DATA__EVAL_URI": "hf://a/b/c/d"}, _as_it_is, 64, "is no Hub repository", "hf://datasets/org/name"),
}
BY_A_WORKER = {
    # name: (settings, what is done to the inputs, code, what the message says, what the hint names)
    "no such column": ({"JOB_DATA__TEXT_COLUMN": "review"}, _as_it_is, 65, "train.csv has no column 'review'; it has 'text', 'label'", "JOB_DATA__TEXT_COLUMN"),
    "one class": ({}, _rows("train.csv", [(text, "good") for text, _ in SENTENCES]), 65, "good", "JOB_DATA__"),
    "no rows": ({}, _rows("train.csv", []), 65, "no (rows|examples)|empty|holds no", "Leave the file out"),
    "test data from the training data": (*_with_test(SENTENCES[:30]), 65, "(also|stand).*training data", "JOB_LIMITS__MAX_LEAKED_SHARE"),
    "labels that training never saw": (*_with_test([("a story about music", "neutral"), ("a fine film", "positive")]), 65, "neutral", "JOB_LIMITS__MAX_UNKNOWN_LABEL_SHARE"),
    "most texts cut": ({}, _rows("train.csv", LONG), 65, "lose tokens|cut|truncat", "JOB_LIMITS__MAX_TRUNCATED_SHARE"),
    "an architecture nobody knows": ({}, lambda b: (b.folder / "model" / "config.json").write_text('{"model_type": "brandnew"}'), 64, "model type 'brandnew'", "JOB_MODEL__URI"),
    "weights cut short": ({}, lambda b: (b.folder / "model" / "model.safetensors").write_bytes((b.folder / "model" / "model.safetensors").read_bytes()[:-500]), 64, "model.safetensors is damaged or cut short", "JOB_MODEL__URI"),
}
# fmt: on


def _check(ended, bench: Bench, answer: Answer) -> None:
    starts.check_answer(ended, answer)
    starts.check_run_dir(ended, bench.run_dir)
    assert not starts.temporary_names(bench.store)
    kinds = starts.check_store(LocalStore(bench.store))
    if ended.failure["attempt"] is None:
        assert kinds == []
        return
    assert kinds == ["started", "failed"]
    failure = next(bench.store.glob("*/attempts/*/failure.json"))
    assert json.loads(failure.read_bytes()) == ended.failure
    assert ended.failure["attempt"] == 1


@pytest.mark.parametrize("name", AT_ONCE)
def test_told_without_a_worker(bench, capfd, name):
    settings, spoil, code, says, remedy = AT_ONCE[name]
    spoil(bench)
    ended = starts.in_process(bench.environ(settings), capfd)
    _check(ended, bench, Answer(code, says, remedy))
    assert not (bench.run_dir / "logs").exists()


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A model folder that works."""
    return tiny.write_model(tmp_path_factory.mktemp("model") / "model")


@pytest.mark.parametrize("name", BY_A_WORKER)
def test_told_by_a_worker(model, tmp_path, name):
    bench = Bench(tmp_path)
    shutil.copytree(model, tmp_path / "model")
    tiny.write_csv(tmp_path / "train.csv", SENTENCES)
    settings, spoil, code, says, remedy = BY_A_WORKER[name]
    spoil(bench)
    ended = starts.as_process(bench.environ(settings), tmp_path)
    _check(ended, bench, Answer(code, says, remedy))


def test_the_same_start_goes_on_once_the_cause_is_gone(bench, capfd):
    """The failure record is of the last start, and a start after a failure is the next attempt."""
    (bench.folder / "model").rename(bench.folder / "away")
    starts.in_process(bench.environ({}), capfd)
    (bench.folder / "away").rename(bench.folder / "model")
    (bench.folder / "train.csv").unlink()
    ended = starts.in_process(bench.environ({}), capfd)
    starts.check_answer(ended, Answer(65, "JOB_DATA__TRAIN_URI: There is no file", "Check the location"))
    starts.check_run_dir(ended, bench.run_dir)
    assert starts.check_store(LocalStore(bench.store)) == ["started", "failed"] * 2
    assert ended.failure["attempt"] == 2
