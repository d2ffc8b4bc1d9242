"""A fake: ``supervise.run``, which leaves what the training program would: checkpoints, metrics, an outcome."""

from __future__ import annotations

import dataclasses
import json
import time

import pytest

from job import run_dir as run_dirs
from job.cluster.group import NodeGroup
from job.cluster.stop import Pace
from job.errors import FencedError, HopelessError, StopRequested, UnavailableError
from job.records import PreparedData, TrainResult
from job.stages import train as stage
from job.stages.train import MetricsTail, train
from job.stages.uploader import Uploader

PREPARED = PreparedData({"train": 3}, {"train": 30}, "single_label", ["a", "b"], [1, 2], 64, "data")
RESULT = TrainResult(20, 1.0, 20, "accuracy", 0.5, 100)


@pytest.fixture
def program(context, checkpoint, monkeypatch):
    """``program(*steps, error=None)``: what the training program will do."""

    def plan(*steps, error=None):
        def run(crew, name, tick, *, saves):
            assert (name, saves) == ("train", True)
            for step in steps:
                checkpoint(step)
                tick()
            if error:
                raise error
            RESULT.write(context.run_dir.root / "train.json")

        monkeypatch.setattr(stage.supervise, "run", run)

    return plan


def committed(context):
    return [entry["step"] for entry in context.attempt.entries if entry.kind == "committed"]


def test_everything_is_committed_when_it_returns(context, program):
    program(10, 20)
    assert train(context, PREPARED) == RESULT
    assert committed(context) == [10, 20]


@pytest.mark.parametrize("error", [StopRequested("SIGTERM"), HopelessError("diverged")])
def test_what_was_trained_is_committed_before_the_end_is_told(context, program, error):
    program(10, 20, error=error)
    with pytest.raises(type(error)):
        train(context, PREPARED)
    assert committed(context) == [10, 20]


def test_a_stop_whose_checkpoint_cannot_be_committed_is_no_stop(context, program, monkeypatch):
    """Exit code 75 promises that nothing is lost."""

    def fail(*_, **__):
        raise UnavailableError("503")

    monkeypatch.setattr(type(context.attempt), "commit_checkpoint", fail)
    program(10, error=StopRequested("SIGTERM"))
    with pytest.raises(UnavailableError, match="3 uploads"):
        train(context, PREPARED)


def test_a_run_that_is_lost_uploads_nothing_more(context, program, monkeypatch):
    monkeypatch.setattr(Uploader, "drain", lambda _: pytest.fail("drained"))
    program(error=FencedError("another"))
    with pytest.raises(FencedError):
        train(context, PREPARED)


def test_once_all_is_committed_the_deadline_needs_no_lead(context, program):
    """Two more saves and uploads would not be made: with their lead an evaluation ended before it had begun."""
    context.stop.pace = Pace(step_s=1.0, save_s=30.0, upload_s=30.0)
    context.stop.deadline = time.monotonic() + 100
    program(10)
    train(context, PREPARED)
    assert context.stop.pace.lead_s == 0
    context.stop.check()


def test_a_training_that_was_stopped_keeps_its_lead(context, program):
    context.stop.pace = Pace(step_s=1.0, save_s=30.0, upload_s=30.0)
    program(10, error=StopRequested("SIGTERM"))
    with pytest.raises(StopRequested):
        train(context, PREPARED)
    assert context.stop.pace.lead_s > 100


def test_the_progress_line_follows_the_metrics_of_this_attempt(context, monkeypatch):
    """A checkpoint brings those of the attempts before it."""
    shown, number = [], context.attempt.number
    monkeypatch.setattr(type(context.progress), "update", lambda _, record: shown.append(record))

    def run(crew, name, tick, *, saves):
        run_dirs.write_json(context.run_dir.plan, {"num_steps": 20})
        records = [{"step": 1, "attempt": number - 1}, {"step": 2, "attempt": number}, {"step": 3, "attempt": number}]
        context.run_dir.metrics.write_text("".join(json.dumps(record) + "\n" for record in records) + '{"st')
        tick()
        RESULT.write(context.run_dir.root / "train.json")

    monkeypatch.setattr(stage.supervise, "run", run)
    run_dirs.write_json(context.run_dir.plan, {"num_steps": 5, "of": "an earlier attempt"})
    train(context, PREPARED)
    assert shown == [{"num_steps": 20, "step": step, "attempt": number} for step in (2, 3)]


def test_a_tail_gives_whole_new_lines(tmp_path):
    path = tmp_path / "metrics.jsonl"
    tail = MetricsTail(path)
    assert tail.new() == []
    path.write_text('{"step": 1}\n{"step"')
    assert tail.new() == [{"step": 1}]
    assert tail.new() == []
    with path.open("a") as file:
        file.write(": 2}\n")
    assert tail.new() == [{"step": 2}]
    path.write_text(json.dumps({"step": 0}) + "\n")
    assert tail.new() == [{"step": 0}]


class TwoNodes(NodeGroup):
    """A group of two; what was exchanged; ``fails``: how an exchange ends."""

    num_nodes = 2

    def __init__(self, node_rank, fails=None):
        self.node_rank, self.fails, self.topics = node_rank, fails, []

    def exchange(self, topic, value, work=lambda: None):
        self.topics.append(topic)
        if self.fails:
            raise self.fails
        return [value, value]


def among(context, group):
    return dataclasses.replace(context, crew=dataclasses.replace(context.crew, group=group))


def test_another_node_has_no_result_and_ends_with_the_main_node(context, program):
    group = TwoNodes(1)
    program()
    assert train(among(context, group), PREPARED) is None
    assert group.topics == ["delivered"]


def test_nobody_is_stopped_before_the_main_node_has_committed(context, program):
    group = TwoNodes(1)
    program(error=StopRequested("SIGTERM"))
    with pytest.raises(StopRequested):
        train(among(context, group), PREPARED)
    assert group.topics == ["delivered"]
    with pytest.raises(UnavailableError, match="node 0"):
        train(among(context, TwoNodes(1, UnavailableError("node 0 cannot upload"))), PREPARED)


def test_a_failure_waits_for_nobody(context, program):
    group = TwoNodes(1)
    program(error=HopelessError("diverged"))
    with pytest.raises(HopelessError):
        train(among(context, group), PREPARED)
    assert group.topics == []


def test_a_metrics_file_that_is_replaced_by_another_is_read_anew(tmp_path):
    path = tmp_path / "metrics.jsonl"
    path.write_text('{"step": 1}\n{"step": 2}\n')
    tail = MetricsTail(path)
    assert [record["step"] for record in tail.new()] == [1, 2]
    (tmp_path / "other").write_text('{"step": 1, "train/loss": 0.123456789}\n{"step": 2}\n')
    (tmp_path / "other").replace(path)
    assert [record["step"] for record in tail.new()] == [1, 2]
