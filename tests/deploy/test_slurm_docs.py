"""The page on Slurm, tried as written: its commands one after the other, in one shell, on a real Slurm.

The settings file is one of this machine's, with ``job check`` in the place of ``job run``: what a run does
under the script is tested beside this.
"""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from job.settings import root
from tests.support import house
from tests.support.slurm_runs import Site

PAGE = (house.ROOT / "docs/slurm.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL)
COMMANDS = [block for block in BLOCKS if not block.startswith("job compare ")]
"""All but the comparison: the jobs here train nothing, so there is nothing to compare; ``tests/integration/test_compare.py`` does it for real."""
PAUSE = """
until grep -qs 'attempt 0' finetune-[0-9]*.log || [ -z "$(squeue -h)" ]; do sleep 0.2; done
"""
"""Between two paragraphs: the first job has begun."""
PROGRAM = """#!/bin/bash
{python} -m job check || exit
until [ -e "$SLURM_SUBMIT_DIR/over" ]; do [ ! -e "$JOB_RUN__STOP_FILE" ] || exit 75; sleep 0.2; done
"""
"""What stands for the job: it lasts until it is asked to stop, or the page is at its end."""
TABLES = PAGE + (house.ROOT / "slurm/README.md").read_text(encoding="utf-8")


def test_the_comparison_asks_for_what_the_settings_publish():
    (command,) = [shlex.split(block) for block in BLOCKS if block not in COMMANDS]
    (output,) = re.findall(r"^JOB_OUTPUT__URI=(.*)$", PAGE, re.MULTILINE)
    assert command == ["job", "compare", output, "--runs", "reviews-*", "--page", "sweep.html"]


def test_the_settings_of_the_page_are_accepted():
    (text,) = re.findall(r"```env\n(.*?)```", PAGE, re.DOTALL)
    values = dict(line.split("=", 1) for line in text.splitlines())
    settings = root.load({name: value for name, value in values.items() if name.startswith("JOB_")})
    assert f"--signal=B:USR2@{settings.run.grace_s:.0f} " in PAGE


def test_every_name_of_the_scripts_is_explained_and_used():
    script = "".join(path.read_text() for path in (house.ROOT / "slurm").glob("*.sbatch"))
    assert set(re.findall(r"\bBATCH_[A-Z_]+", script)) == set(re.findall(r"`(BATCH_[A-Z_]+)`", TABLES))


@pytest.fixture(scope="module")
def tried(slurm, tmp_path_factory):
    """(what the shell said, what Slurm knows of the jobs)."""
    folder = tmp_path_factory.mktemp("shared")
    site = Site(slurm, folder)
    for name in ("train.csv", "model"):
        (folder / name).touch()
    program = folder / "program"
    program.write_text(PROGRAM.format(python=sys.executable))
    program.chmod(0o755)
    Path(site.settings("reviews", BATCH_COMMAND=str(program))).rename(folder / "run.env")
    (folder / "slurm").symlink_to(house.ROOT / "slurm")
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-ex"],
        input=PAUSE.join([*COMMANDS, "touch over\n"]),
        cwd=folder,
        env={**slurm.environ(), "PATH": path, "PYTHONPATH": str(house.ROOT)},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return site, done.stdout


def test_the_commands_of_the_page_work(tried):
    _, said = tried
    assert "The settings are right." in said
    assert said.count("Submitted batch job") == 4
    assert re.search(r"JobState=\w+", said)


def test_every_job_of_the_page_ends_as_it_says(tried):
    site, said = tried
    numbers = re.findall(r"Submitted batch job (\d+)", said)
    two_nodes, evaluation, sweep = numbers[0], numbers[1], numbers[3]
    assert site.ended(two_nodes)["NumNodes"] == "2"
    assert {site.ended(f"{sweep}_{element}")["JobState"] for element in range(3)} == {"COMPLETED"}
    assert site.ended(evaluation)["JobState"] == "COMPLETED"
    names = [path.read_text() for path in site.folder.glob(f"finetune-{sweep}_*.log")]
    assert {name for text in names for name in re.findall(r"Run (\S+),", text)} == {"reviews-0", "reviews-1", "reviews-2"}
