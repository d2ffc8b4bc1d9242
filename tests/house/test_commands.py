"""Every shell command of the pages is run by a test as it is written, or stands here with the reason why not."""

import re
import subprocess

import pytest

from tests.support import house

RUN_BY = {
    "docs/docker.md": "tests/deploy/test_docker_page.py",
    "docs/slurm.md": "tests/deploy/test_slurm_docs.py",
    "docs/kubernetes.md": "tests/deploy/test_docs.py",  # what needs a cluster is only looked at: there is none
    "docs/s3.md": "tests/deploy/test_docs.py",
    "docs/sweeps.md": "tests/unit/inspection/test_sweeps_page.py",
}
"""Pages of which every block is taken by that test."""
README = {
    "make demo ": "Not run as a whole: tests/unit/demo and tests/unit/workers/test_demo.py have its parts. `make test` is what runs this.",
    "export JOB_RUN__NAME=": "Run as written by tests/integration/test_readme.py.",
    "docker build --tag finetune-job .": "Run as written by tests/deploy/test_docker_readme.py, without `--gpus all`.",
}
"""The README's blocks, by how they begin."""


def blocks(name: str) -> list[str]:
    return re.findall(r"^```(?:sh|bash)\n(.*?)^```", (house.ROOT / name).read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


def test_no_page_has_commands_that_nobody_runs():
    listed = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "*.md"]
    pages = subprocess.run(listed, cwd=house.ROOT, capture_output=True, text=True, check=True).stdout.split()
    assert {page for page in pages if blocks(page)} == RUN_BY.keys() | {"README.md"}


@pytest.mark.parametrize("page", RUN_BY)
def test_the_test_of_a_page_takes_its_commands_from_it(page):
    source = (house.ROOT / RUN_BY[page]).read_text(encoding="utf-8")
    assert page.rpartition("/")[2] in source
    assert "```" in source


def test_every_block_of_the_readme_is_spoken_for():
    found = blocks("README.md")
    assert len(found) == len(README)
    assert all(any(block.startswith(beginning) for beginning in README) for block in found), found
