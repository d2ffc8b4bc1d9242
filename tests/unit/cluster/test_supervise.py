"""Supervision of real processes.  A fake: ``launch.plan``, which starts the stub below instead of a worker program of the job."""

import dataclasses
import sys

import pytest

from job import run_dir as run_dirs
from job.cluster import launch, supervise, watchdog
from job.cluster.group import NodeGroup
from job.cluster.launch import Launch
from job.cluster.stop import StopRequest
from job.cluster.supervise import Crew
from job.cluster.topology import Topology
from job.errors import CrashError, DataError, FencedError, LocalIOError, StalledError, StopRequested
from job.run_dir import RunDir

PREAMBLE = """
import faulthandler, json, os, pathlib, signal, subprocess, sys, time
root = pathlib.Path(sys.argv[2])
def outcome(rank, code, message="", time=0.0, **more):
    record = {"code": code, "name": "x", "message": message, "hint": "do this", "time": time, "rank": rank, "peer_lost": False, **more}
    (root / "outcomes").mkdir(exist_ok=True)
    (root / "half").write_text(json.dumps(record))
    (root / "half").rename(root / "outcomes" / f"train-{rank}.json")
"""


@pytest.fixture
def crew(tmp_path):
    run_dir = RunDir(tmp_path / "run")
    run_dir.root.mkdir()
    return Crew(run_dir, Topology(1, 0, 2, 1, "cpu"), StopRequest(run_dir.stop), {}, stall_timeout_s=30)


@pytest.fixture
def run(crew, monkeypatch):
    monkeypatch.setattr(supervise, "POLL_S", 0.01)

    def run(body, *args, crew=crew, **options):
        argv = (sys.executable, "-ISc", PREAMBLE + body, "job.workers.stub", str(crew.run_dir.root))
        monkeypatch.setattr(launch, "plan", lambda *_: Launch(argv, {}))
        supervise.run(crew, "train", *args, **options)

    yield run
    assert launch.workers_of(crew.run_dir.root) == []


def test_success(crew, run):
    ticks = []
    run("outcome(0, 0); outcome(1, 0)", lambda: ticks.append(1))
    assert ticks


def test_the_earliest_failure_is_the_outcome(run):
    with pytest.raises(DataError, match=r"^row 7 do this$"):
        run("outcome(0, 70, 'it broke', time=2.5); outcome(1, 65, 'row 7', time=2.25); sys.exit(1)")


def test_a_lost_peer_is_never_the_cause(run):
    with pytest.raises(DataError, match="row 7"):
        run("outcome(0, 70, 'closed by peer', time=1, peer_lost=True); outcome(1, 65, 'row 7', time=2); sys.exit(1)")


def test_an_unknown_code_is_a_crash(run):
    with pytest.raises(CrashError, match="odd"):
        run("outcome(0, 5, 'odd'); outcome(1, 0)")


def test_a_worker_that_vanished(run):
    with pytest.raises(CrashError) as caught:
        run("outcome(0, 0); print('\\n'.join(f'line {n}' for n in range(20))); sys.exit(1)")
    assert "ended with code 1" in caught.value.message
    assert caught.value.message.endswith("\n" + "\n".join(f"line {n}" for n in range(8, 20)))
    assert caught.value.exit_code == 70
    assert "memory" in caught.value.hint


def test_a_worker_that_had_no_room_for_its_last_words(run, monkeypatch):
    monkeypatch.setattr(run_dirs, "refused_write", lambda folder: "No space left on device")
    run("outcome(0, 0); outcome(1, 0)")
    with pytest.raises(LocalIOError, match=r"takes nothing more \(No space left on device\)") as caught:
        run("outcome(0, 0); sys.exit(1)")
    assert caught.value.exit_code == 74
    assert "JOB_RUN__DIR" in caught.value.hint


def test_a_worker_that_vanished_counts_more_than_its_peers_complaint(run):
    with pytest.raises(CrashError, match="vanished without an outcome"):
        run("outcome(0, 70, 'closed by peer', peer_lost=True); sys.exit(1)")


def test_a_launcher_that_was_killed(run):
    with pytest.raises(CrashError, match="killed by signal 9"):
        run("os.kill(os.getpid(), 9)")


def test_outcomes_of_an_earlier_start_do_not_count(crew, run):
    run("outcome(0, 0); outcome(1, 0)")
    with pytest.raises(CrashError, match="vanished"):
        run("pass")


def test_a_stall_ends_the_program_and_leaves_stacks(crew, run, monkeypatch):
    monkeypatch.setattr(watchdog, "DUMP_WAIT_S", 0.1)
    crew = Crew(crew.run_dir, crew.topology, crew.stop, {}, stall_timeout_s=0.4)
    body = "faulthandler.register(signal.SIGUSR1)\ndef waits_for_ever():\n  time.sleep(30)\nwaits_for_ever()"
    with pytest.raises(StalledError, match=r"of `train` made progress") as caught:
        run(body, crew=crew)
    assert caught.value.exit_code == 71
    assert str(crew.run_dir.log("train")) in caught.value.message
    assert "in waits_for_ever" in crew.run_dir.log("train").read_text()


def test_a_stop_request_ends_a_program_that_does_not_save(crew, run):
    with pytest.raises(StopRequested):
        run("time.sleep(30)", lambda: crew.stop.request("SIGTERM"))


def test_a_stop_request_is_left_to_a_program_that_saves(crew, run):
    body = """
while not (root / "stop").exists(): time.sleep(0.01)
outcome(0, 75, "saved", time=1); outcome(1, 75, "saved", time=2); sys.exit(1)"""
    with pytest.raises(StopRequested, match="saved"):
        run(body, lambda: crew.stop.request("SIGTERM"), saves=True)


def test_nothing_is_started_after_a_stop_request(crew, run):
    crew.stop.request("SIGTERM")
    with pytest.raises(StopRequested):
        run("(root / 'started').touch()", saves=True)
    assert not (crew.run_dir.root / "started").exists()


def test_an_error_of_the_tick_ends_program_and_workers(crew, run):
    body = """
subprocess.Popen([sys.executable, "-ISc", "import time; time.sleep(30)", "job.workers.stub", str(root)], start_new_session=True)
(root / "started").touch()
time.sleep(30)"""

    def tick():
        if (crew.run_dir.root / "started").exists():
            raise FencedError("another attempt")

    with pytest.raises(FencedError):
        run(body, tick)


def test_one_worker_takes_all_threads(crew):
    shape = Crew(crew.run_dir, Topology(2, 1, 4, 3, "cpu"), crew.stop, {}, 1).single().topology
    assert (shape.world_size, shape.node_rank, shape.threads_per_worker) == (1, 0, 12)


class TwoNodes(NodeGroup):
    """A group of two, seen from node 0: what the other one gives is set beforehand, or comes during the exchange."""

    num_nodes = 2

    def __init__(self, theirs=None, early=False):
        self.theirs, self.early, self.topics = theirs, early, []

    def exchange(self, topic, value, work=lambda: None):
        self.topics.append(topic)
        work()
        return [value, self.theirs if topic.startswith("end") else None]

    def given(self, topic):
        return {1: self.theirs} if self.early else {}


@pytest.fixture
def pair(crew):
    """``pair(theirs, early)``: the crew among two nodes with two workers each."""
    shape = Topology(2, 0, 2, 1, "cpu")
    return lambda theirs, early=False: dataclasses.replace(crew, topology=shape, group=TwoNodes(theirs, early))


def said(*codes, peer_lost=False, time=5.0):
    records = [
        {"code": code, "message": f"theirs {code}", "hint": "", "time": time, "peer_lost": peer_lost, "rank": 2 + at}
        for at, code in enumerate(codes)
    ]
    return {"records": records, "vanished": "", "disk": ""}


GONE = {"records": [], "vanished": "A worker vanished.", "disk": ""}


def test_two_nodes_that_succeed(pair, run):
    crew = pair(said(0, 0))
    run("outcome(0, 0); outcome(1, 0)", crew=crew)
    assert crew.group.topics == ["port for train", "end of train"]


def test_the_wait_ends_with_the_workers_even_if_their_launcher_waits_for_others(pair, run):
    run("outcome(0, 0); outcome(1, 0); time.sleep(30)", crew=pair(said(0, 0)))


@pytest.mark.parametrize(
    ("ours", "theirs", "message"),
    [
        ("outcome(0, 0); outcome(1, 0)", said(65, 70), "On node 1: theirs 65"),
        ("outcome(0, 70, 'closed by peer', time=1, peer_lost=True); sys.exit(1)", said(65), "On node 1: theirs 65"),
        ("outcome(0, 65, 'ours', time=1); sys.exit(1)", said(65), "On node 0: ours"),
        ("outcome(0, 0); outcome(1, 0)", GONE, "On node 1: A worker vanished."),
        (
            "outcome(0, 0); outcome(1, 0)",
            {**GONE, "disk": "It is full"},
            "The disk of the run directory takes nothing more (It is full). On node 1: A",
        ),
        ("sys.exit(1)", said(70, 70, peer_lost=True), "On node 0: A worker of `train` vanished"),
    ],
)
def test_the_cause_is_looked_for_on_all_nodes(pair, run, ours, theirs, message):
    with pytest.raises((DataError, CrashError, LocalIOError)) as caught:
        run(ours, crew=pair(theirs))
    assert caught.value.message.startswith(message)


def test_a_stop_of_all_nodes_is_a_stop(pair, run):
    body = "outcome(0, 75, 'saved', time=1); outcome(1, 75, 'saved', time=2); sys.exit(1)"
    with pytest.raises(StopRequested, match=r"^saved"):
        run(body, saves=True, crew=pair(said(75, 75)))


def test_workers_that_hang_because_others_failed_are_ended(pair, run, monkeypatch):
    monkeypatch.setattr(supervise, "PEER_GRACE_S", 0.1)
    with pytest.raises(DataError, match="On node 1: theirs 65"):
        run("time.sleep(30)", crew=pair(said(65), early=True))


def test_others_that_are_done_or_stopped_are_no_reason_to_end(pair, run, monkeypatch):
    monkeypatch.setattr(supervise, "PEER_GRACE_S", 0.0)
    with pytest.raises(StopRequested):
        run("time.sleep(0.5); outcome(0, 0); outcome(1, 0)", crew=pair(said(0, 75), early=True))


@pytest.mark.parametrize(("failure", "stacks"), [(StalledError("on node 1"), True), (CrashError("node 1 is gone"), False)])
def test_a_node_that_ended_ends_this_one_and_a_stall_leaves_stacks_here_too(pair, run, failure, stacks, monkeypatch):
    dumped = []
    monkeypatch.setattr(watchdog.Watchdog, "dump_stacks", lambda _: dumped.append(1))
    crew = pair(said(0, 0))
    with pytest.raises(type(failure), match="node 1"):
        run("time.sleep(30)", lambda: crew.stop.fail(failure), saves=True, crew=crew)
    assert bool(dumped) is stacks


def test_alone_is_this_node_with_all_its_workers(pair):
    alone = pair(None).alone()
    assert (alone.topology.num_nodes, alone.topology.workers_per_node, alone.group.num_nodes) == (1, 2, 1)
    assert pair(None).single().group.num_nodes == 1


def test_the_launcher_gets_the_grace_that_saving_leaves(crew, monkeypatch):
    started, real = [], launch.start
    monkeypatch.setattr(launch, "start", lambda plan, log: started.append(plan.environ) or real(Launch(("true",), {}), log))
    crew.stop.pace.upload_s = 6.0
    with pytest.raises(CrashError):
        supervise.run(dataclasses.replace(crew, grace_s=30.0), "train")
    assert started[0]["TORCH_ELASTIC_SHUTDOWN_TIMEOUT"] == "18"
