"""Fetching from this disk as it is; a fake: the Hub's download, which has tests of its own."""

from __future__ import annotations

import json

import pytest

from job import run_dir as run_dirs
from job.errors import DataError, DeniedError, SettingsError, StopRequested
from job.records import FetchedInputs, InputSource
from job.settings import resolved
from job.stages import fetch as stage
from job.stages.fetch import fetch
from tests.support import tiny


@pytest.fixture
def hub(monkeypatch):
    """What was asked of the Hub: (repository, options); it has moved on to another commit each time."""
    asked = []

    def download(repo, folder, options):
        asked.append((repo, options))
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "part.csv").write_text("text,label\na,b\n")
        return InputSource(repo.uri, repo.revision if len(repo.revision or "") == 40 else f"{len(asked):040d}", 1, 15, "hash")

    monkeypatch.setattr(stage.hub, "download_snapshot", download)
    return asked


def test_model_and_data_arrive(context, inputs):
    fetched = fetch(context)
    assert sorted(fetched.sources) == ["data/train", "model"]
    assert fetched.sources["model"]["num_files"] == 3
    assert (context.run_dir.input_data("train") / "train.csv").read_bytes() == (inputs / "train.csv").read_bytes()
    listing = run_dirs.read_json(context.run_dir.inputs / "data" / "train.json")
    assert listing == {"kind": "files", "files": ["train.csv"], "uri": [str(inputs / "train.csv")]}
    assert FetchedInputs.read(context.run_dir.marker("fetch")) == fetched
    assert fetched.resumed_step is None


def test_files_that_were_put_right_are_fetched_anew(context, inputs, make_context, settings):
    first = fetch(context)
    (inputs / "model" / "config.json").write_text('{"changed": 1}')
    tiny.write_csv(inputs / "train.csv", tiny.sentences(7))
    second = fetch(make_context(settings))
    assert second.sources["model"] != first.sources["model"]
    assert (context.run_dir.input_model / "config.json").read_text() == '{"changed": 1}'
    assert (context.run_dir.input_data("train") / "train.csv").read_bytes() == (inputs / "train.csv").read_bytes()


def test_a_split_that_is_no_longer_asked_for_is_forgotten(inputs, make_context, settings):
    with_test = make_context(tiny.settings(inputs, DATA__TEST_URI=str(inputs / "train.csv")))
    fetch(with_test)
    listing = with_test.run_dir.input_data("test").with_suffix(".json")
    assert listing.exists()
    fetch(make_context(settings))
    assert not listing.exists()


def test_a_checkpoint_of_another_store_is_not_continued(context, inputs, make_context, settings):
    context.run_dir.input_checkpoint.mkdir(parents=True)
    (context.run_dir.input_checkpoint / "state.json").write_text("{}")
    assert fetch(make_context(settings)).resumed_step is None
    assert not context.run_dir.input_checkpoint.exists()


def test_a_snapshot_is_not_fetched_twice_unless_the_run_is_at_another_commit(make_context, inputs, hub, tmp_path):
    settings = tiny.settings(inputs, MODEL__URI="hf://org/name", DATA__TRAIN_URI="hf://datasets/org/data")
    first = fetch(make_context(settings))
    assert fetch(make_context(settings)).sources == first.sources
    assert len(hub) == 2
    payload = tmp_path / "payload"
    payload.mkdir()
    (payload / "state.json").write_text("{}")
    pinned = {role: {**source, "revision": "f" * 40} for role, source in first.sources.items()}
    about = {"settings_fingerprint": resolved.fingerprint(settings), "data_fingerprint": "d", "sources": pinned}
    make_context(settings).attempt.commit_checkpoint(payload, {"step": 10, **about})
    fetch(make_context(settings))
    assert [repo.revision for repo, _ in hub][2:] == ["f" * 40, "f" * 40]


def test_another_place_is_fetched_anew(context, inputs, make_context):
    first = fetch(context)
    tiny.write_csv(inputs / "other.csv", tiny.sentences(7))
    second = fetch(make_context(tiny.settings(inputs, DATA__TRAIN_URI=str(inputs / "other.csv"))))
    assert second.sources["model"] == first.sources["model"]
    assert second.sources["data/train"] != first.sources["data/train"]
    assert [path.name for path in context.run_dir.input_data("train").iterdir()] == ["other.csv"]


def test_what_was_cut_off_is_fetched_again(context, inputs, make_context, settings, monkeypatch):
    def cut_off(*_, **__):
        raise StopRequested("SIGTERM")

    with monkeypatch.context() as patch:
        patch.setattr(stage.transfer, "fetch_tree", cut_off)
        patch.setattr(stage.transfer, "fetch_uri", cut_off)
        with pytest.raises(StopRequested):
            fetch(context)
    assert not context.run_dir.marker("fetch-model").exists()
    assert fetch(make_context(settings)).sources["model"]["num_files"] == 3


def test_equal_names_of_several_sources_do_not_meet(make_context, inputs):
    tiny.write_csv(inputs / "more" / "train.csv", tiny.sentences(2))
    uris = [str(inputs / "train.csv"), str(inputs / "more" / "train.csv")]
    context = make_context(tiny.settings(inputs, DATA__TRAIN_URI=",".join(uris)))
    assert fetch(context).sources["data/train"]["num_files"] == 2
    listing = run_dirs.read_json(context.run_dir.inputs / "data" / "train.json")
    assert listing["files"] == ["source-0000/train.csv", "source-0001/train.csv"]
    assert listing["uri"] == uris


def test_from_a_configuration_alone_no_weights_are_fetched(make_context, inputs):
    context = make_context(tiny.settings(inputs, MODEL__FROM_CONFIG="true"))
    assert fetch(context).sources["model"]["num_files"] == 2
    assert not (context.run_dir.input_model / "model.safetensors").exists()


def test_errors_name_the_setting(make_context, inputs, monkeypatch):
    context = make_context(tiny.settings(inputs, DATA__EVAL_URI=str(inputs / "none.csv"), MODEL__URI=str(inputs / "nothing")))
    with pytest.raises(SettingsError, match=r"^JOB_MODEL__URI: There is no file"):
        fetch(context)
    context = make_context(tiny.settings(inputs, DATA__EVAL_URI=str(inputs / "none.csv")))
    with pytest.raises(DataError, match=r"^JOB_DATA__EVAL_URI: There is no file"):
        fetch(context)

    def deny(*_, **__):
        raise DeniedError("403", "keys")

    monkeypatch.setattr(stage.transfer, "fetch_uri", deny)
    with pytest.raises(DeniedError, match=r"^JOB_MODEL__URI: 403 keys"):
        fetch(context)


def test_the_hub_is_asked_for_what_the_settings_say(make_context, inputs, hub):
    given = {
        "MODEL__URI": "hf://org/name",
        "MODEL__REVISION": "branch",
        "MODEL__HUB_TOKEN": "hf_secret",
        "LIMITS__STORE_TIMEOUT_S": "7",
    }
    context = make_context(tiny.settings(inputs, **given, DATA__TEST_URI="hf://datasets/org/data@v2"))
    fetched = fetch(context)
    (model, options), (data, data_options) = hub
    assert (model.kind, model.repo_id, model.revision) == ("model", "org/name", "branch")
    assert (options.token, options.timeout_s, options.variable) == ("hf_secret", 7.0, "JOB_MODEL__URI")
    assert (data.kind, data.repo_id, data.revision, data_options.variable) == ("dataset", "org/data", "v2", "JOB_DATA__TEST_URI")
    assert run_dirs.read_json(context.run_dir.inputs / "data" / "test.json")["kind"] == "hub"
    assert fetched.sources["model"]["revision"] == f"{1:040d}"
    assert "hf_secret" not in "".join(path.read_text() for path in context.run_dir.root.rglob("*.json"))


def test_a_run_stays_at_the_commit_it_began_with(make_context, inputs, hub, tmp_path):
    """On another node, with nothing on its disk but what the checkpoint says."""
    settings = tiny.settings(inputs, MODEL__URI="hf://org/name", DATA__TRAIN_URI="hf://datasets/org/data")
    context = make_context(settings)
    first = fetch(context)
    payload = tmp_path / "payload"
    payload.mkdir()
    (payload / "state.json").write_text("{}")
    about = {"settings_fingerprint": resolved.fingerprint(settings), "data_fingerprint": "d", "sources": first.sources}
    context.attempt.commit_checkpoint(payload, {"step": 10, **about})
    for marker in list(context.run_dir.inputs.rglob("*.hub.json")):
        marker.unlink()
    again = fetch(make_context(settings))
    assert [repo.revision for repo, _ in hub] == [None, None, f"{1:040d}", f"{2:040d}"]
    assert again.sources == first.sources
    assert (again.resumed_step, again.resumed_data_fingerprint) == (10, "d")
    assert (context.run_dir.input_checkpoint / "state.json").exists()


def test_checkpoints_that_were_never_uploaded_are_dropped(context, inputs):
    context.run_dir.checkpoint(7).mkdir(parents=True)
    fetch(context)
    assert context.run_dir.finished_checkpoints() == []


def test_a_stop_request_before(context, inputs):
    context.stop.request("SIGTERM")
    with pytest.raises(StopRequested):
        fetch(context)


@pytest.fixture
def adapter(inputs):
    """``adapter(**content)``: a folder of the right names beside the model, which it names as its base."""

    def write(**content):
        folder = inputs / "adapter"
        folder.mkdir(exist_ok=True)
        base = {"base_model_name_or_path": str(inputs / "model"), "revision": None}
        (folder / "adapter_config.json").write_text(json.dumps({**base, **content}))
        (folder / "adapter_model.safetensors").write_bytes(b"weights")
        return str(folder)

    return write


def test_an_adapter_brings_its_base(make_context, inputs, adapter):
    context = make_context(tiny.settings(inputs, MODEL__URI=adapter()))
    for _ in range(2):
        sources = fetch(context).sources
        assert sorted(sources) == ["adapter", "data/train", "model"]
        assert sources["model"]["uri"] == str(inputs / "model")
        assert sorted(path.name for path in context.run_dir.input_adapter.iterdir()) == [
            "adapter_config.json",
            "adapter_model.safetensors",
        ]
        assert (context.run_dir.input_model / "model.safetensors").exists()
    whole = make_context(tiny.settings(inputs))
    assert sorted(fetch(whole).sources) == ["data/train", "model"]
    assert not whole.run_dir.input_adapter.exists()
    assert (whole.run_dir.input_model / "model.safetensors").exists()


def test_a_base_on_the_hub_is_fetched_at_the_adapter_s_revision_and_once(make_context, inputs, adapter, hub):
    context = make_context(tiny.settings(inputs, MODEL__URI=adapter(base_model_name_or_path="org/base", revision="e" * 40)))
    fetch(context)
    assert fetch(context).sources["model"]["revision"] == "e" * 40
    assert [(repo.repo_id, repo.revision) for repo, _ in hub] == [("org/base", "e" * 40)]


def test_a_base_that_is_given_is_stronger_than_the_recorded_one(make_context, inputs, adapter, hub):
    given = {"MODEL__URI": adapter(base_model_name_or_path="/nowhere"), "MODEL__BASE_URI": "hf://org/other@v2"}
    fetch(make_context(tiny.settings(inputs, **given)))
    assert [(repo.repo_id, repo.revision, options.variable) for repo, options in hub] == [
        ("org/other", "v2", "JOB_MODEL__BASE_URI")
    ]
    with pytest.raises(SettingsError, match="names cannot be had") as caught:
        fetch(make_context(tiny.settings(inputs, MODEL__URI=given["MODEL__URI"])))
    assert "JOB_MODEL__BASE_URI" in caught.value.hint
    with pytest.raises(SettingsError, match="JOB_MODEL__URI holds a whole model, not an adapter"):
        fetch(make_context(tiny.settings(inputs, MODEL__BASE_URI=str(inputs / "model"))))
