"""The commands as processes: how fast a wrong setting is answered, and what that takes."""

import json
import os
import resource
import subprocess
import sys

import pytest

from tests.support import house

HEAVY = ("torch", "transformers", "datasets", "accelerate", "pyarrow", "pandas", "sklearn")
PROGRAM = f"""
import json, os, sys
from job import cli
code = cli.main(sys.argv[1:], os.environ)
print("\\n" + json.dumps([code, [name for name in {HEAVY} if name in sys.modules]]))
"""


def cpu_seconds_of_children() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def answer(arguments: list[str], folder: object) -> tuple[subprocess.CompletedProcess[str], float]:
    """The process that was given a wrong setting, and the processor seconds it took."""
    before = cpu_seconds_of_children()
    environ = os.environ | {"JOB_TRAIN__EPOCHS": "many", "PYTHONPATH": str(house.ROOT)}
    command = [sys.executable, "-c", PROGRAM, *arguments]
    done = subprocess.run(command, env=environ, cwd=folder, capture_output=True, text=True, check=False)
    return done, cpu_seconds_of_children() - before


@pytest.mark.parametrize("arguments", [["run"], ["check"], ["demo"], ["settings", "--format", "resolved"]], ids=" ".join)
def test_a_wrong_setting_is_answered_within_a_second_and_without_torch(arguments, tmp_path):
    """Processor time, because the machine may be busy; the best of three, because the first start compiles."""
    seconds = []
    for _ in range(3):
        done, taken = answer(arguments, tmp_path)
        seconds.append(taken)
        if taken < 1:
            break
    assert json.loads(done.stdout.splitlines()[-1]) == [64, []], done.stderr
    assert "JOB_TRAIN__EPOCHS" in done.stderr
    assert min(seconds) < 1
    assert not list(tmp_path.iterdir())
