"""The node process stays light: importing all of it brings in none of the libraries of the worker programs; these load some late."""

import json
import subprocess
import sys

from tests.support import house

HEAVY = ("torch", "transformers", "datasets", "accelerate", "deepspeed", "peft", "pandas", "sklearn")
PROGRAM = f"""
import importlib, json, sys
for name in sys.argv[1:]:
    importlib.import_module(name)
print(json.dumps([name for name in {HEAVY} if name in sys.modules]))
"""


def node_modules() -> list[str]:
    paths = (source.path for source in house.package_sources() if not source.path.startswith("job/workers/"))
    return [path.removesuffix(".py").removesuffix("/__init__").replace("/", ".") for path in paths]


def loaded_by(*modules: str) -> list[str]:
    done = subprocess.run([sys.executable, "-c", PROGRAM, *modules], cwd=house.ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_the_node_half_imports_no_library_of_the_workers():
    assert loaded_by(*node_modules()) == []


def test_programs_load_late_what_not_every_rank_and_run_needs():
    """Each of these costs a second or more of every process's start."""
    assert not {"sklearn", "deepspeed", "accelerate"} & set(loaded_by("job.workers.prepare"))
    assert not {"sklearn", "deepspeed"} & set(loaded_by("job.workers.train", "job.workers.evaluate", "job.workers.engine.zero"))


def test_the_check_sees_an_import():
    assert "accelerate" in loaded_by("accelerate")
