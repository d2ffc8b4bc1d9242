"""Sharing with a store that is real and a Hub that is not; the real client's way is in tests/integration/test_share.py."""

import pytest

from job.errors import DeniedError, UnavailableError
from job.stages import share as stage
from tests.support import tiny


@pytest.fixture
def hub(monkeypatch):
    """Pushes as (names in the folder, destination, token); ``fails`` is raised by the next one."""

    class Hub(list):
        fails = None

        def push(self, folder, to, options):
            if self.fails:
                raise self.fails
            self.append((sorted(path.name for path in folder.iterdir()), to, options.token))
            return f"https://hub/{to.repo_id}/commit/1"

    hub = Hub()
    monkeypatch.setattr(stage.hub_push, "push_folder", hub.push)
    return hub


@pytest.fixture
def complete(make_context, tmp_path):
    """A complete run of settings with changes."""

    def make(**more):
        context = make_context(tiny.settings(tmp_path, **more))
        context.run_dir.model.mkdir()
        (context.run_dir.model / "config.json").write_text("{}")
        context.attempt.publish_model(context.run_dir.model, {"step": 7, "settings_fingerprint": "s", "data_fingerprint": "d"})
        context.attempt.complete()
        return context

    return make


def kinds(context):
    return [entry.kind for entry in context.attempt.log.read()]


HUB = {"OUTPUT__HUB_REPO": "org/tuned", "OUTPUT__HUB_TOKEN": "hf_sesame", "MODEL__HUB_TOKEN": "hf_other"}


def test_nothing_is_asked_where_nothing_is_to_be_pushed(complete, hub, monkeypatch):
    context = complete()
    monkeypatch.setattr(stage.hub_push, "check_access", None)
    stage.check_access(context.settings)
    stage.share(context)
    assert not stage.share_again(context.settings, context.run_dir, context.stop)
    assert (hub, kinds(context)) == ([], ["started", "published", "complete"])


def test_a_push_names_run_and_manifest_and_is_made_once(complete, hub):
    context = complete(**HUB, OUTPUT__HUB_REVISION="first")
    stage.share(context)
    ((names, to, token),) = hub
    sha256 = next(entry for entry in context.attempt.entries if entry.kind == "published")["manifest_sha256"]
    assert (names, token, to.branch, to.private) == (["config.json"], "hf_sesame", "first", True)
    assert to.title == f"Publish tiny (manifest {sha256[:12]})"
    assert sha256 in to.description
    shared = context.attempt.log.read()[-1]
    assert shared.kind == "shared"
    assert shared.fields == {
        "repo": "org/tuned",
        "branch": "first",
        "manifest_sha256": sha256,
        "commit_url": "https://hub/org/tuned/commit/1",
    }
    assert not stage.share_again(context.settings, context.run_dir, context.stop)
    assert len(hub) == 1


@pytest.mark.parametrize("error", [DeniedError("No right.", "Get one."), UnavailableError("Down.", "Wait."), RuntimeError("a bug")])
def test_a_failure_is_recorded_and_only_the_push_is_tried_again(complete, hub, caplog, tmp_path, error):
    context = complete(**HUB)
    hub.fails = error
    with caplog.at_level("WARNING"):
        stage.share(context)
    assert "safe in the store" in caplog.text
    assert "Start the same run again" in caplog.text
    assert str(error).split()[0] in caplog.text
    entry = context.attempt.log.read()[-1]
    assert (entry.kind, entry["repo"]) == ("unshared", "org/tuned")
    assert "sesame" not in str(entry.fields)
    hub.fails = None
    (context.run_dir.model / "config.json").write_text("changed")  # the store's is the one that counts
    assert stage.share_again(context.settings, context.run_dir, context.stop)
    assert (context.run_dir.model / "config.json").read_text() == "{}"
    assert kinds(context)[-2:] == ["unshared", "shared"]
    assert not stage.share_again(context.settings, context.run_dir, context.stop)


def test_a_log_that_cannot_be_written_changes_nothing_either(complete, hub, monkeypatch, caplog):
    context = complete(**HUB)

    def gone(*_):
        raise UnavailableError("gone")

    monkeypatch.setattr(type(context.attempt.log.store), "put_if_absent", gone)
    stage.share(context)
    assert len(hub) == 1
    assert "could not be written to the run's log" in caplog.text


def test_a_stop_request_ends_the_push_and_not_the_run(complete, hub):
    context = complete(**HUB)
    context.stop.request("SIGTERM")
    stage.share(context)
    assert (hub, kinds(context)[-1]) == ([], "unshared")


def test_a_run_that_was_not_to_be_shared_may_be_later(complete, hub, tmp_path):
    context = complete()
    settings = tiny.settings(tmp_path, **HUB)
    assert stage.share_again(settings, context.run_dir, context.stop)
    assert kinds(context)[-1] == "shared"
