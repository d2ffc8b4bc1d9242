"""The README's first example, as written: its lines in a shell, in a folder with a CSV file, against a stand-in of the Hub."""

import os
import re
import subprocess
import sys

from tests.support import house, jobs, recipes
from tests.support.minihub import MiniHub

README = (house.ROOT / "README.md").read_text(encoding="utf-8")


def test_the_example_of_the_readme_publishes_a_model(tmp_path):
    (block,) = re.findall(r"```sh\n(export JOB_.*?)```", README, re.DOTALL)
    recipes.write_own_csv(tmp_path, count=80)
    program = tmp_path / ".venv" / "bin" / "job"
    program.parent.mkdir(parents=True)
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m job "$@"\n')
    program.chmod(0o755)
    with MiniHub() as hub:
        recipes.add_models(hub, tmp_path / "hub")
        about_hub = {"HF_ENDPOINT": hub.url, "HF_HOME": str(tmp_path / "hf-home"), "HF_HUB_DISABLE_XET": "1"}
        environ = {**os.environ, **about_hub, "PYTHONPATH": str(house.ROOT)}
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", block],
            cwd=tmp_path, env=environ, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=300,
        )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    assert (jobs.published(tmp_path / "published", "first-run") / "model.safetensors").is_file()
