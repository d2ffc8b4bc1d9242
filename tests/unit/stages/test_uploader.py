"""The uploader against a local store.  A fake: the attempt's ``commit_checkpoint``, where it has to fail or to wait on command."""

from __future__ import annotations

import dataclasses
import threading

import pytest

from job.cluster.group import NodeGroup
from job.cluster.topology import Topology
from job.errors import CrashError, DeniedError, FencedError, UnavailableError
from job.stages import uploader
from job.stages.uploader import Uploader


@pytest.fixture
def commits(context, monkeypatch):
    """Steps in the order their upload was tried; ``commits.errors``: what the next tries end with, None is success."""

    class Commits(list):
        errors: list = []

    tried = Commits()
    real = type(context.attempt).commit_checkpoint

    def commit(attempt, folder, fields, *more):
        tried.append(fields["step"])
        error = tried.errors.pop(0) if tried.errors else None
        if error:
            raise error
        return real(attempt, folder, fields, *more)

    monkeypatch.setattr(type(context.attempt), "commit_checkpoint", commit)
    return tried


def committed(context):
    return [entry["step"] for entry in context.attempt.entries if entry.kind == "committed"]


def test_without_work_nothing_is_done(context):
    uploader = Uploader(context)
    uploader.tick()
    uploader.drain()
    assert committed(context) == []


def test_oldest_first_and_gone_when_committed(context, checkpoint, commits):
    for step in (30, 10, 20):
        checkpoint(step, metric=0.5)
    Uploader(context).drain()
    assert commits == committed(context) == [10, 20, 30]
    assert context.run_dir.finished_checkpoints() == []
    entry = context.attempt.entries[1]
    assert entry["metric"] == {"name": "accuracy", "value": 0.5, "greater_is_better": True}
    assert context.stop.pace.upload_s > 0


def test_the_newest_are_kept_and_logs_and_metrics_are_sent_with_each(context, checkpoint, tmp_path):
    for step in (10, 20, 30, 40):
        checkpoint(step)
    sent = []
    Uploader(dataclasses.replace(context, ship=lambda: sent.append(committed(context)))).drain()
    attempt = tmp_path / "store" / "tiny" / "attempts" / context.attempt.nonce
    assert sorted(path.name for path in (attempt / "checkpoints").iterdir()) == ["step-0000000030", "step-0000000040"]
    assert sent == [[10], [10, 20], [10, 20, 30], [10, 20, 30, 40]]


def test_inputs_are_pinned_by_the_checkpoint(context, checkpoint, tmp_path):
    checkpoint(10)
    Uploader(context).drain()
    resumed = context.attempt.find_resume(tmp_path / "resumed", {"settings_fingerprint": "s", "data_fingerprint": "d"})
    assert resumed.manifest.extra["sources"] == {"model": {"revision": "abc"}}


def test_a_failed_upload_is_tried_again_and_the_count_starts_anew(context, checkpoint, commits, caplog):
    commits.errors = [UnavailableError("503"), UnavailableError("503"), None, UnavailableError("503"), UnavailableError("503")]
    checkpoint(10)
    checkpoint(20)
    Uploader(context).drain()
    assert commits == [10, 10, 10, 20, 20, 20]
    assert committed(context) == [10, 20]
    assert "upload of a checkpoint failed (2 of 3 allowed)" in caplog.text


def test_too_many_failures_in_a_row_end_the_run(context, checkpoint, commits):
    commits.errors = [UnavailableError("503", "later")] * 9
    folder = checkpoint(10)
    with pytest.raises(UnavailableError, match=r"3 uploads of checkpoints failed in a row, the last with: 503 later"):
        Uploader(context).drain()
    assert commits == [10] * 3
    assert (folder / "state.json").exists()


@pytest.mark.parametrize("error", [FencedError("another owns the run"), DeniedError("403")])
def test_what_will_not_change_ends_the_run_at_once(context, checkpoint, commits, error):
    commits.errors = [error]
    checkpoint(10)
    with pytest.raises(type(error)):
        Uploader(context).drain()
    assert commits == [10]


def test_another_attempt_is_noticed_without_a_fake(context, checkpoint, make_context, settings):
    checkpoint(10)
    newer = make_context(settings)
    with pytest.raises(FencedError, match="Attempt 2 of this run began"):
        Uploader(context).drain()
    assert committed(newer) == []


def test_a_bug_in_an_upload_is_an_outcome_and_not_lost_in_the_thread(context, checkpoint, caplog):
    folder = checkpoint(10)
    (folder / "state.json").unlink()
    with pytest.raises(CrashError, match="FileNotFoundError"):
        Uploader(context).drain()


def test_ticks_do_not_wait_and_only_one_upload_is_under_way(context, checkpoint, commits, monkeypatch):
    """A stop while a checkpoint uploads: draining waits for it and for the one that came meanwhile."""
    go, real = threading.Event(), Uploader._commit

    def wait(uploader, step, folder):
        assert go.wait(10)
        real(uploader, step, folder)

    monkeypatch.setattr(Uploader, "_commit", wait)
    uploader = Uploader(context)
    checkpoint(10)
    uploader.tick()
    context.stop.request("SIGTERM")
    checkpoint(20)
    for _ in range(3):
        uploader.tick()
    assert [thread.name for thread in threading.enumerate()].count("upload") == 1
    assert commits == []
    go.set()
    uploader.drain()
    assert committed(context) == [10, 20]


class TwoNodes(NodeGroup):
    """A group of two; ``done``: what the other one has given for the exchange after all uploads."""

    num_nodes = 2

    def __init__(self, node_rank=0):
        self.node_rank, self.done = node_rank, {}

    def given(self, topic):
        assert topic == "delivered"
        return self.done


@pytest.fixture
def two_nodes(context, monkeypatch):
    """``two_nodes(rank)``: the context as one of two nodes has it; both have the same attempt."""
    monkeypatch.setattr(uploader, "PART_POLL_S", 0.02)
    monkeypatch.setattr(uploader, "FIRST_PAUSE_S", 0.01)

    def make(rank):
        crew = dataclasses.replace(context.crew, topology=Topology(2, rank, 1, 1, "cpu"), group=TwoNodes(rank))
        return dataclasses.replace(context, crew=crew)

    return make


def test_another_node_brings_its_part_and_commits_nothing(two_nodes, checkpoint, tmp_path):
    folder = checkpoint(10)
    context = two_nodes(1)
    Uploader(context).drain()
    assert committed(context) == []
    assert not folder.exists()
    keys = [path.name for path in (tmp_path / "store").rglob("*") if path.is_file()]
    assert "1.json" in keys
    assert "MANIFEST.json" not in keys


def test_the_main_node_waits_for_the_part(two_nodes, checkpoint, tmp_path):
    context = two_nodes(0)
    checkpoint(10)
    part = tmp_path / "part"
    part.mkdir()
    (part / "node-1.json").write_text("{}")
    threading.Timer(0.2, context.attempt.put_part, (10, part, 1)).start()
    Uploader(context).drain()
    assert committed(context) == [10]


def test_a_part_that_will_not_come_ends_the_wait(two_nodes, checkpoint):
    context = two_nodes(0)
    context.group.done = {1: True}
    folder = checkpoint(10)
    with pytest.raises(UnavailableError, match="part of node 1 is missing, and will not come any more"):
        Uploader(context).drain()
    assert committed(context) == []
    assert folder.exists()


def test_a_node_that_is_lost_ends_the_wait(two_nodes, checkpoint):
    context = two_nodes(0)
    checkpoint(10)
    threading.Timer(0.1, context.stop.fail, (CrashError("node 1 is gone"),)).start()
    with pytest.raises(CrashError, match="node 1 is gone"):
        Uploader(context).drain()
    assert committed(context) == []


def test_a_part_that_is_late_is_a_failed_upload(two_nodes, checkpoint, caplog):
    context = two_nodes(0)
    parts = context.settings.checkpoint.model_copy(update={"parts_timeout_s": 0.05, "max_failed_uploads": 2})
    context = dataclasses.replace(context, settings=context.settings.model_copy(update={"checkpoint": parts}))
    checkpoint(10)
    with pytest.raises(
        UnavailableError, match="2 uploads of checkpoints failed in a row, the last with: The part of node 1 did not come"
    ):
        Uploader(context).drain()
