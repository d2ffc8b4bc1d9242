"""The scripts of ``slurm/``: that they say what the code says, and each decision of theirs on a real Slurm, without a model."""

import os
import re
import shutil
import subprocess
import sys
from datetime import datetime
from pathlib import Path

import pytest

from job.errors import ERRORS, Retry
from job.settings import root
from tests.support import house, scenarios
from tests.support.scenarios import Seen
from tests.support.servers import slurm as slurm_server
from tests.support.slurm_runs import JOB, SWEEP, Site

TEXT = JOB.read_text()
BOTH = {"job.sbatch": TEXT, "sweep.sbatch": SWEEP.read_text()}


@pytest.fixture(scope="module")
def site(slurm, tmp_path_factory):
    return Site(slurm, tmp_path_factory.mktemp("shared"))


def program(site, name, *lines):
    """A program to be run in the job's place."""
    path = site.folder / name
    path.write_text("#!/bin/bash\n" + "\n".join(lines) + "\n")
    path.chmod(0o755)
    return str(path)


def codes(name):
    return {int(code) for code in re.search(rf"{name}='?([\d ]+)'?", TEXT)[1].split()}


@pytest.mark.parametrize(("name", "retry"), [("RETRY_FREE", Retry.FREE), ("RETRY_COUNTED", Retry.COUNTED)])
def test_the_exit_codes_are_those_of_the_code(name, retry):
    assert codes(name) == {code for code, error in ERRORS.items() if error.retry is retry}


def test_a_wrong_setting_has_the_code_of_one():
    assert codes("WRONG_SETTING") == {64}
    assert set(re.findall(r"exit (\d+)", "".join(BOTH.values()))) <= {"64", "74"}


@pytest.mark.parametrize("name", BOTH)
def test_every_variable_of_a_script_is_a_setting(name):
    known = root.variables().keys() | root.NOT_SETTINGS
    named = set(re.findall(r"(?<![A-Z_])JOB_[A-Z0-9_]+", BOTH[name]))
    assert named
    assert named <= known


def test_the_values_that_a_script_sets_are_accepted(site):
    """As the job sees them on the node: its settings, printed by the job itself."""
    command = f"{sys.executable} -m job settings --format resolved"
    number = site.submit("resolved", "--time=5", BATCH_COMMAND=command, RUN__GRACE_S="")
    shown = site.ended(number)
    log = (site.folder / f"finetune-{number}.log").read_text()
    assert shown["ExitCode"] == "0:0", log
    values = dict(line.split("=", 1) for line in log.splitlines() if line.startswith("JOB_"))
    assert values["JOB_RUN__GRACE_S"] == "300"
    assert values["JOB_RUN__STOP_FILE"] == f"{site.folder}/.job-{number}/stop-0"
    assert values["JOB_RUN__DIR"] == f"{site.cluster.scratch}/job-{number}-0-0"
    end = datetime.fromisoformat(shown["StartTime"]).timestamp() + 300
    assert values["JOB_LIMITS__DEADLINE"] == f"{end:g}", "as many digits as are shown"
    assert f", until {end:.0f}\n" in log


def test_the_job_script_is_short():
    assert len(TEXT.splitlines()) <= 80


def test_shellcheck_has_nothing_to_say():
    shellcheck = Path(sys.executable).with_name("shellcheck")
    done = subprocess.run([shellcheck, *house.ROOT.glob("slurm/*.sbatch")], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def slow_scontrol(site):
    """A folder with an ``scontrol`` that is still there when Slurm ends what the requeued job's shell has started."""
    folder = site.folder / "slow"
    folder.mkdir()
    script = program(site, "slow/scontrol", f'{shutil.which("scontrol")} "$@" || exit', '[ "$1" != requeue ] || sleep 3')
    return Path(script).parent


def stand_in(site, folder, tool, *lines):
    """A value of PATH with that tool of Slurm's replaced, for what the real one cannot be made to do: give no answer at the right moment.

    The lines see the real one as ``$real`` and count their calls with ``calls``.
    """
    (site.folder / folder).mkdir()
    count = f"calls() {{ echo >> {site.folder}/{folder}/calls; wc -l < {site.folder}/{folder}/calls; }}"
    program(site, f"{folder}/{tool}", f"real={shutil.which(tool)}", count, *lines)
    return f"{site.folder / folder}:{os.environ['PATH']}"


NO_TIME = {"fails": "echo 'slurm_load_jobs error: Unable to contact slurm controller' >&2; exit 1", "silent": "exit 0"}
NO_TIME |= {"not-known": "echo N/A", "not-set": "echo NOT_SET"}
"""By name: an ``squeue`` that does not say when the job's time is over."""


@pytest.fixture(scope="module")
def timeless(site):
    """Logs of jobs that print their settings and were not told the end of their allocation, by name; all at the same time."""
    command = f"{sys.executable} -m job settings --format resolved"
    numbers = {
        name: site.submit(name, "--time=5", BATCH_COMMAND=command, PATH=stand_in(site, name, "squeue", answer))
        for name, answer in NO_TIME.items()
    }
    return {name: (site.ended(number), (site.folder / f"finetune-{number}.log").read_text()) for name, number in numbers.items()}


@pytest.mark.parametrize("name", NO_TIME)
def test_without_an_answer_of_squeue_the_job_has_no_deadline_rather_than_a_past_one(timeless, name):
    shown, log = timeless[name]
    assert shown["ExitCode"] == "0:0", log
    assert ", until an unknown time\n" in log
    assert "JOB_RUN__STOP_FILE=" in log
    assert "\nJOB_LIMITS__DEADLINE=\n" in log


@pytest.fixture(scope="module")
def unanswered(site):
    """How jobs ended whose shell got no answer of ``scontrol``, to what is named; all at the same time."""
    stop = program(site, "stopped-once", '[ "${SLURM_RESTART_COUNT:-0}" = 0 ] || exit 65', "exit 75")
    fenced = program(site, "fenced", "exit 76")
    error = "{ echo 'slurm_load_jobs error: Unable to contact slurm controller' >&2; exit 1; }"
    at_first = '[ "$(calls)" -gt 2 ] || '
    lines = {
        "show, twice": (stop, f'[ "$2" != show ] || {{ {at_first}{error}; }}'),
        "show, silently": (stop, f'[ "$2" != show ] || {{ {at_first}exit 0; }}'),
        "show, ever": (stop, f'[ "$2" != show ] || {error}'),
        "requeue, twice": (stop, f'[ "$1" != requeue ] || {{ {at_first}{error}; }}'),
        "show, ever, when fenced": (fenced, f'[ "$2" != show ] || {error}'),
    }
    numbers = {}
    for name, (command, line) in lines.items():
        plain = name.replace(", ", "-").replace(" ", "-")
        path = stand_in(site, plain, "scontrol", line, 'exec "$real" "$@"')
        numbers[name] = site.submit(plain, BATCH_COMMAND=command, PATH=path)
    return {name: (number, site.ended(number)) for name, number in numbers.items()}


@pytest.mark.parametrize("name", ["show, twice", "show, silently", "show, ever", "requeue, twice"])
def test_a_stopped_job_is_requeued_though_the_controller_was_away_for_a_moment(unanswered, site, name):
    number, shown = unanswered[name]
    log = (site.folder / f"finetune-{number}.log").read_text()
    assert (shown["ExitCode"], shown["Restarts"]) == ("65:0", "1"), log
    assert "ended from outside" not in log
    assert f"{number} is requeued after exit 75" in log


def test_without_an_answer_the_folder_that_a_newer_attempt_may_use_is_left(unanswered, site):
    number, shown = unanswered["show, ever, when fenced"]
    assert (shown["ExitCode"], shown["Restarts"]) == ("76:0", "0")
    assert (site.folder / f".job-{number}").is_dir()


@pytest.fixture(scope="module")
def ends(site):
    """How each of these ended, by name; all at the same time."""
    fail = program(site, "fail", 'echo "attempt ${SLURM_RESTART_COUNT:-0} $PWD"', 'exit "$1"')
    killed = program(site, "killed", "kill -KILL $$")
    first = program(site, "first", '[ "${SLURM_RESTART_COUNT:-0}" -lt 2 ] || exit 65', "exit 71")
    slow = slow_scontrol(site)
    jobs = {f"exit-{code}": site.submit(f"exit-{code}", BATCH_COMMAND=f"{fail} {code}", BATCH_MAX_RETRIES="1") for code in (71, 65)}
    jobs |= {
        "killed": site.submit("killed", BATCH_COMMAND=killed, BATCH_MAX_RETRIES="1"),
        "slow": site.submit("slow", BATCH_COMMAND=first, BATCH_MAX_RETRIES="1", PATH=f"{slow}:{os.environ['PATH']}"),
        "setting": site.submit("setting", **scenarios.WRONG_SETTING),
        "line": site.submit("line", TRAIN__EPOCHS="1\nno assignment"),
        "container": site.submit("container", BATCH_CONTAINER="docker"),
        "image": site.submit("image", BATCH_CONTAINER="podman"),
        "windows": site.submit("windows", BATCH_COMMAND=f"{fail} 65\r"),
        "file": slurm_server.submit(site.cluster, JOB, cwd=site.folder, JOB_SETTINGS_FILE="/nowhere.env"),
        "sweep": site.submit("sweep", "--array=7", script=SWEEP, SWEEP__VARIANTS_PATH="/dev/null"),
    }
    numbers = jobs | {"sweep": f"{jobs['sweep']}_7"}
    return {name: (number, site.ended(number)) for name, number in numbers.items()}


TOLD = {
    "exit-71": ("71:0", "1", "exit 71"),
    "exit-65": ("65:0", "0", "exit 65"),
    "killed": ("137:0", "1", "exit 137"),
    "slow": ("71:0", "1", "exit 71"),
    "setting": ("64:0", "0", "JOB_TRAIN__MAX_STEPS: Input should be a valid integer"),
    "line": ("64:0", "0", "a line that is not NAME=value"),
    "container": ("64:0", "0", "none, apptainer, podman, pyxis"),
    "image": ("64:0", "0", "BATCH_CONTAINER needs BATCH_IMAGE"),
    "windows": ("65:0", "0", "exit 65"),
    "file": ("64:0", "0", "JOB_SETTINGS_FILE names no file"),
    "sweep": ("64:0", "0", "SLURM_ARRAY_TASK_ID must say which of the 0 variants"),
}
"""By name: Slurm's exit code, how often it was requeued, and what is said in the log and in the job's comment."""


@pytest.mark.parametrize("name", TOLD)
def test_what_is_tried_again_and_what_is_not(ends, site, name):
    code, restarts, says = TOLD[name]
    number, shown = ends[name]
    assert (shown["JobState"], shown["ExitCode"], shown["Restarts"]) == ("FAILED", code, restarts)
    assert says in shown["Comment"]
    assert says in next(site.folder.glob(f"finetune-{number}.log")).read_text()
    assert not (site.folder / f".job-{number}").exists()
    if name == "setting":
        scenarios.note("Slurm", "wrong setting", Seen(int(code.partition(":")[0]), scenarios.by_slurm(shown, "")))


def test_how_containers_that_are_not_here_would_be_started(site):
    """No Apptainer and no Pyxis among this machine's packages: programs of their names show what they are given; one for podman too."""
    stand_in = program(site, "stand-in", 'printf "given %s\\n" "$(basename "$0")" "$@"')
    for name in ("apptainer", "srun", "podman"):
        (site.folder / name / name).parent.mkdir()
        (site.folder / name / name).symlink_to(stand_in)
    common = {"BATCH_MOUNTS": "/data,/models", "BATCH_CONTAINER_ARGS": "--nv --quiet"}
    numbers = [
        site.submit(kind, PATH=f"{site.folder / name}:{os.environ['PATH']}", BATCH_CONTAINER=kind, BATCH_IMAGE="image", **common)
        for kind, name in (("apptainer", "apptainer"), ("pyxis", "srun"), ("podman", "podman"))
    ]
    given = []
    for number in numbers:
        assert site.ended(number)["JobState"] == "COMPLETED"
        given.append(re.findall(r"^given (.*)", (site.folder / f"finetune-{number}.log").read_text(), re.MULTILINE))
    mounts = [f"{site.cluster.scratch},{site.folder}/.job-{number},/data,/models" for number in numbers]
    assert given[0] == ["apptainer", "run", "--bind", mounts[0], "--nv", "--quiet", "image", "run"]
    assert {"--container-image=image", f"--container-mounts={mounts[1]}", "--nv", "--quiet"} < set(given[1])
    assert given[1][-4:] == ["python", "-m", "job", "run"]
    assert {"--env=PYTHONPATH", "--env=JOB_*"} < set(given[2]), "names that belong to others too"
    assert not [word for word in given[2] if word.startswith(("--env=PATH", "--env=BATCH"))]
