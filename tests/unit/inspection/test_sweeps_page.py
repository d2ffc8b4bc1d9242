"""docs/sweeps.md, as written: its space and its command, in a folder with settings of a run."""

import re
import subprocess
import sys
from pathlib import Path

from job.settings import root, sweep
from tests.support import house
from tests.support.environments import MINIMAL

PAGE = (house.ROOT / "docs/sweeps.md").read_text(encoding="utf-8")


def test_the_command_writes_what_an_array_reads(tmp_path):
    (space,), (command,) = (re.findall(rf"```{kind}\n(.*?)```", PAGE, re.DOTALL) for kind in ("yaml", "sh"))
    given = MINIMAL | {"JOB_RUN__NAME": "reviews", "JOB_OUTPUT__URI": str(tmp_path / "store"), "JOB_TUNING__METHOD": "lora"}
    (tmp_path / "run.env").write_text("".join(f"{name}={value}\n" for name, value in given.items()))
    (tmp_path / "space.yaml").write_text(space)
    found = f'job() {{ {sys.executable} -m job "$@"; }}\n{command}'
    environ = {"PATH": "/usr/bin:/bin", "PYTHONPATH": str(house.ROOT)}
    done = subprocess.run(
        ["bash", "-ec", found], cwd=tmp_path, env=environ, capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr
    assert "4 new variant(s)" in done.stderr
    variants, problems = sweep.variants((tmp_path / "sweep-1.txt").read_text())
    assert (len(variants), problems) == (4, [])
    assert all(root.load(given | variant).tuning.lora_rank in {4, 8, 16} for variant in variants)
    assert Path(tmp_path / "reviews.journal").is_file()
