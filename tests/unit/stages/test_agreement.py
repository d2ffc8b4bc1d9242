"""What nodes agree on.  A fake: the group, which says what other nodes would."""

from __future__ import annotations

import dataclasses
import json
from types import SimpleNamespace

import pytest

from job.cluster.group import NodeGroup
from job.errors import DataError, SettingsError, UnavailableError
from job.records import InputSource
from job.stages import agreement
from job.stages.agreement import agree_on_data, agree_on_inputs, agree_on_start, code_digest
from tests.support import tiny

SOURCES = {"model": InputSource("m", "sha-1", 1, 1, "aa"), "data/train": InputSource("d", "", 1, 1, "bb")}
POINT = SimpleNamespace(step=20, entry={"manifest_sha256": "0123456789"})


class Told(NodeGroup):
    """Node 0 of two; the other one says ``change(what this one says)``."""

    num_nodes = 2

    def __init__(self, change=lambda value: value):
        self._change = change
        self.said = []

    def exchange(self, topic, value, work=lambda: None):
        self.said.append((topic, value))
        work()
        return [json.loads(json.dumps(value)), self._change(json.loads(json.dumps(value)))]


@pytest.fixture
def among(context):
    """``among(change)``: the context on a node of two."""

    def make(change=lambda value: value):
        crew = dataclasses.replace(context.crew, group=Told(change))
        return dataclasses.replace(context, crew=crew)

    return make


def facts(settings, context):
    crew = dataclasses.replace(context.crew, group=Told())
    agree_on_start(settings, crew)
    return crew.group.said[0][1]


def test_the_same_start(settings, context):
    assert facts(settings, context) == facts(settings, context)


def test_what_each_node_may_have_for_itself(settings, context, tmp_path):
    other = tiny.settings(
        tmp_path,
        CHECKPOINT__MAX_FAILED_UPLOADS="3",
        RUN__DIR="/elsewhere",
        PARALLEL__NUM_NODES="2",
        PARALLEL__NODE_RANK="1",
        PARALLEL__MAIN_ADDRESS="m",
        DATA__TRAIN_URI="/other/place.csv",
        MODEL__URI="/other/model",
        METRICS__PORT="9401",
    )
    assert facts(settings, context) == facts(other, context)


@pytest.mark.parametrize(
    "name", ["TRAIN__LEARNING_RATE", "CHECKPOINT__EVERY_STEPS", "OUTPUT__URI", "RUN__SEED", "LIMITS__STALL_TIMEOUT_S"]
)
def test_what_must_be_the_same(settings, context, tmp_path, name):
    other = facts(
        tiny.settings(tmp_path, CHECKPOINT__MAX_FAILED_UPLOADS="3", **{name: "1" if name == "TRAIN__LEARNING_RATE" else "5"}),
        context,
    )
    crew = dataclasses.replace(context.crew, group=Told(lambda _: other))
    with pytest.raises(SettingsError, match=rf"^Node 0 and node 1 differ in: JOB_{name}\."):
        agree_on_start(settings, crew)


def test_shape_code_and_versions(settings, context):
    crew = dataclasses.replace(
        context.crew,
        group=Told(lambda theirs: dict.fromkeys(theirs, "x") | {name: theirs[name] for name in theirs if name.startswith("JOB_")}),
    )
    with pytest.raises(SettingsError) as caught:
        agree_on_start(settings, crew)
    for named in ("number of workers", "the device", "the job's own code", "the version of accelerate"):
        assert named in caught.value.message


def test_a_single_node_compares_nothing(settings, context, monkeypatch):
    monkeypatch.setattr(agreement, "code_digest", lambda: pytest.fail("compared"))
    agree_on_start(settings, context.crew)


def test_no_value_of_a_setting_goes_over_the_network(settings, context):
    assert "1e-3" not in json.dumps(facts(settings, context))
    assert all(len(value) == 64 for value in facts(settings, context).values())


def test_the_code_is_all_of_it(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a/x.py").write_text("1")
    first = code_digest(tmp_path)
    (tmp_path / "a/notes.txt").write_text("1")
    assert code_digest(tmp_path) == first
    (tmp_path / "a/x.py").rename(tmp_path / "a/y.py")
    assert code_digest(tmp_path) != first


@pytest.mark.parametrize("resumed", [None, POINT])
def test_the_same_inputs(among, resumed):
    main = agree_on_inputs(among(), resumed, SOURCES)
    assert main == {role: source.as_dict() for role, source in SOURCES.items()}


def test_other_files_are_not_judged_yet(among):
    assert agree_on_inputs(among(lambda value: {**value, "sources": {}}), POINT, SOURCES)["model"]["revision"] == "sha-1"


def test_different_checkpoints(among):
    context = among(lambda value: {**value, "manifest_sha256": "", "step": None})
    with pytest.raises(UnavailableError, match=r"^Node 0 found the checkpoint of step 20 \(01234567\), node 1 no checkpoint\."):
        agree_on_inputs(context, POINT, SOURCES)


def test_different_data_is_named(among):
    sources = {role: source.as_dict() for role, source in SOURCES.items()}
    agree_on_data(among(), "f", sources)
    agree_on_data(among(lambda value: {**value, "data/train": "other bytes, same data"}), "f", sources)
    with pytest.raises(DataError, match=r"Node 0 and node 1 have different data: data/train\."):
        agree_on_data(among(lambda value: {**value, "fingerprint": "g", "data/train": "x"}), "f", sources)
    with pytest.raises(DataError, match="what was prepared from the same files"):
        agree_on_data(among(lambda value: {**value, "fingerprint": "g"}), "f", sources)
