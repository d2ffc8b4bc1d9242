"""Whole runs on a real Slurm, disturbed in every way it has; each ends with the weights of the run that was left alone.

All of them go on at the same time, one run to a node, or to two.
"""

import json
import re
import sys
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import pytest

from tests.support import parts, scenarios
from tests.support.containers import podman
from tests.support.scenarios import EVERY, LAST, Seen
from tests.support.slurm_runs import ROOT, SWEEP, Site

pytestmark = pytest.mark.timeout(1800)  # nine runs at the same time, on a machine that may be busy


@pytest.fixture(scope="module")
def site(slurm, tmp_path_factory):
    made = Site(slurm, tmp_path_factory.mktemp("shared"))
    made.write_inputs()
    return made


@pytest.fixture(scope="module")
def told(site):
    """What became of each run: an array of three, one on two nodes, one that lost its node, and so on."""
    (site.folder / "sweep.txt").write_text("JOB_CHECKPOINT__KEEP=3\n" * 3)
    sweep = site.submit(
        "sweep", "--time=20", "--signal=B:USR2@60", script=SWEEP, SWEEP__VARIANTS_PATH=str(site.folder / "sweep.txt")
    )
    later = f"squeue -h -j {sweep}_2 >> evaluated; echo done >> evaluated"
    site.cluster.call("sbatch", f"--dependency=afterok:{sweep}_2", "--output=/dev/null", f"--wrap={later}", cwd=site.folder)
    two = site.submit("two", "--time=20", "--nodes=2", PARALLEL__WORKERS_PER_NODE="1")
    contained = site.submit("contained", "--time=20", **in_podman(site))
    lost, cancelled = site.submit("lost", "--time=20"), site.submit("cancelled", "--time=20")
    bad = site.submit("bad", "--time=20", **scenarios.BAD_DATA)
    squeezed = site.submit("squeezed", "--time=20", **in_podman(site, "--memory=256m --memory-swap=256m"))
    with ThreadPoolExecutor(max_workers=16) as pool:
        waiting = {
            "alone": pool.submit(site.ended, f"{sweep}_0"),
            "evicted": pool.submit(evict, site, f"{sweep}_1", "sweep-1"),
            "limited": pool.submit(let_time_run_out, site, f"{sweep}_2", "sweep-2"),
            "two": pool.submit(interrupt, site, two, "two"),
            "contained": pool.submit(interrupt, site, contained, "contained"),
            "lost": pool.submit(lose_node, site, lost),
            "cancelled": pool.submit(cancel, site, cancelled),
            "bad": pool.submit(site.ended, bad),
            "squeezed": pool.submit(give_memory, site, squeezed),
        }
        return SimpleNamespace(**{name: future.result() for name, future in waiting.items()}, sweep=sweep, job=lost)


def in_podman(site, more=""):
    """The job in a container of podman's whose file system is a copy-on-write view of this machine's: no image has to be built."""
    parts.need("podman", there=podman.is_installed())
    entry = f'--entrypoint=["{sys.executable}","-m","job"]'
    return {
        "BATCH_CONTAINER": "podman",
        "BATCH_IMAGE": "/:O",
        "BATCH_CONTAINER_ARGS": f"--rootfs --workdir={ROOT} {entry} {more}",
        "BATCH_MOUNTS": str(site.folder),
        "CONTAINERS_CONF": str(podman.configuration()),
    }


def evict(site, job, name):
    """Requeued by hand, then preempted by a partition of higher priority."""
    frozen = site.frozen(job, name)
    site.cluster.call("scontrol", "requeue", job)
    frozen.thaw_when_asked_to_stop(site.wait_for_stop)
    frozen = site.frozen(job, name, restarts=1)
    node = site.cluster.show(job)["BatchHost"]
    site.cluster.call("sbatch", "-phigh", f"-w{node}", "--output=/dev/null", "--wrap=true", cwd=site.folder)
    frozen.thaw_when_asked_to_stop(site.wait_for_stop)
    return site.ended(job)


def let_time_run_out(site, job, name):
    """The limit comes while it trains: lowered until it does."""
    frozen = site.frozen(job, name)
    shown = site.cluster.show(job)
    hours, minutes, _ = map(int, shown["RunTime"].split(":"))
    site.cluster.call("scontrol", "update", f"jobid={job}", f"timelimit={60 * hours + minutes + 2}")
    frozen.thaw_when_asked_to_stop(site.wait_for_stop)
    site.running(job, restarts=1)
    site.cluster.call("scontrol", "update", f"jobid={job}", "timelimit=20")
    return site.ended(job)


def interrupt(site, job, name):
    """Stopped as the time limit would stop it: by a signal to the batch shell, and the stop file that all nodes look for."""
    frozen = site.frozen(job, name)
    site.cluster.call("scancel", "--batch", "--signal=USR2", job)
    frozen.thaw_when_asked_to_stop(site.wait_for_stop)
    site.running(job, restarts=1)
    return site.ended(job)


def lose_node(site, job):
    """The daemon of its node dies; the run itself goes on there, and meets its successor's fence."""
    frozen = site.frozen(job, "lost")
    site.cluster.kill_daemon(site.cluster.show(job)["BatchHost"])
    site.running(job, restarts=1)
    site.wait("the second start", lambda: len(site.entries("lost", "started")) > 1)
    frozen.thaw()
    shown = site.ended(job)
    failure = site.wait(
        "the end of the old one", lambda: path.read_text() if (path := frozen.seen_at / "failure.json").exists() else ""
    )
    return {**shown, "failure": failure}


def give_memory(site, job):
    """Its container has too little memory; the settings file is read anew at each start, and has more for the second one."""
    site.running(job, restarts=0)
    site.wait("the first words of the job itself", lambda: '"level"' in log_of(site, job))
    site.settings("squeezed", **in_podman(site))
    return site.ended(job)


def log_of(site, job):
    path = site.folder / f"finetune-{job}.log"
    return path.read_text() if path.exists() else ""


def cancel(site, job):
    frozen = site.frozen(job, "cancelled")
    site.cluster.call("scancel", job)
    frozen.thaw_when_asked_to_stop(site.wait_for_stop)
    return site.ended(job)


@pytest.mark.parametrize("name", ["sweep-1", "sweep-2", "two", "contained", "lost", "squeezed"])
def test_a_disturbed_run_ends_with_the_weights_of_one_that_was_not(told, site, name):
    assert site.weights(name) == site.weights("sweep-0")
    assert len(site.entries(name, "complete")) == 1


@pytest.mark.parametrize(
    ("situation", "name", "run"),
    [("stop", "two", "two"), ("time limit", "limited", "sweep-2"), ("out of memory", "squeezed", "squeezed")],
)
def test_what_was_requeued_says_so_and_completes(told, site, situation, name, run):
    shown = vars(told)[name]
    log = log_of(site, f"{told.sweep}_2" if name == "limited" else shown["JobId"])
    code = int(re.search(r"is requeued after exit (\d+)", log)[1])
    scenarios.note("Slurm", situation, Seen(code, scenarios.by_slurm(shown, log), site.weights(run)))
    assert shown["JobState"] == "COMPLETED"


def test_bad_data_is_not_tried_again(told):
    code = int(told.bad["ExitCode"].partition(":")[0])
    scenarios.note("Slurm", "bad data", Seen(code, scenarios.by_slurm(told.bad, "")))
    assert (told.bad["JobState"], told.bad["Restarts"]) == ("FAILED", "0")
    assert "no column 'body'" in told.bad["Comment"]


def test_the_one_that_was_left_alone_started_once(told, site):
    assert (told.alone["JobState"], told.alone["ExitCode"], told.alone["Restarts"]) == ("COMPLETED", "0:0", "0")
    assert len(site.entries("sweep-0", "started")) == 1
    scenarios.note("Slurm", "complete", Seen(0, scenarios.by_slurm(told.alone, ""), site.weights("sweep-0")))


def test_each_element_was_requeued_alone_by_its_own_cause(told, site):
    """The last element has the array's own number: requeued by that, it would have taken the others along."""
    assert (told.evicted["JobState"], told.evicted["Restarts"]) == ("COMPLETED", "2")
    assert (told.limited["JobState"], told.limited["Restarts"]) == ("COMPLETED", "1")
    assert told.limited["JobId"] == told.sweep
    log = (site.folder / f"finetune-{told.sweep}_2.log").read_text()
    assert f"{told.sweep}_2 is requeued after exit 75: Stopped on request after step" in log
    assert told.limited["Comment"].startswith("exit 0")


@pytest.mark.parametrize(("name", "stops"), [("sweep-1", 2), ("sweep-2", 1), ("two", 1), ("contained", 1)])
def test_nothing_beyond_the_last_commit_was_trained_again(told, site, name, stops):
    number = told.sweep + f"_{name[-1]}" if name.startswith("sweep") else vars(told)[name]["JobId"]
    log = f"finetune-{number}.log"
    stopped = [entry["step"] for entry in site.entries(name, "stopped")]
    assert len(stopped) == stops
    assert stopped == sorted(set(stopped))
    assert EVERY <= stopped[0] < LAST
    assert site.continued_at(log) == set(stopped)
    committed = {entry["step"] for entry in site.entries(name, "committed")}
    assert set(stopped) <= committed


def test_a_container_has_heard_of_the_stop(told, site):
    assert (told.contained["JobState"], told.contained["Restarts"]) == ("COMPLETED", "1")
    log = (site.folder / f"finetune-{told.contained['JobId']}.log").read_text()
    assert "Stopped on request after step" in log


def test_two_nodes_are_one_run(told, site):
    assert (told.two["JobState"], told.two["Restarts"], told.two["NumNodes"]) == ("COMPLETED", "1", "2")
    assert len(site.entries("two", "started")) == 2


def test_a_lost_node_s_run_is_fenced_and_leaves_its_successor_alone(told, site):
    assert (told.lost["JobState"], told.lost["Restarts"]) == ("COMPLETED", "1")
    fenced, log = json.loads(told.lost["failure"])["code"], log_of(site, told.job)
    assert fenced == 76
    assert f"{told.job} was ended from outside" in log
    scenarios.note("Slurm", "node lost", Seen(None, scenarios.by_slurm(told.lost, log), site.weights("lost")))
    scenarios.note("Slurm", "fenced", Seen(fenced, scenarios.NOBODY, site.weights("lost")))


def test_a_cancelled_run_has_saved_and_is_not_requeued(told, site):
    assert (told.cancelled["JobState"], told.cancelled["Restarts"]) == ("CANCELLED", "0")
    (stopped,) = site.entries("cancelled", "stopped")
    assert stopped["step"] in {entry["step"] for entry in site.entries("cancelled", "committed")}
    assert site.entries("cancelled", "complete") == []


def test_a_later_evaluation_waits_through_the_requeues(told, site):
    site.wait("the evaluation", (site.folder / "evaluated").exists)
    assert (site.folder / "evaluated").read_text() == "done\n"


def test_nothing_is_left_on_the_nodes_disks_nor_beside_the_logs(told, site):
    ended = {run["JobId"] for run in (told.alone, told.evicted, told.limited, told.two, told.contained)}
    assert not [path for job in ended for path in site.cluster.folder.glob(f"disk/*/job-{job}-*")]
    assert {path.name for path in site.folder.glob(".job-*")} == {f".job-{told.cancelled['JobId']}"}, "nobody was left to remove it"
