"""Generated documents equal the code; the README tells the truth about what it can be checked for."""

import re
import subprocess

import pytest

from job import errors
from job.settings import root
from tests.support import documents, house

README = (house.ROOT / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("path", documents.all_documents(), ids=lambda path: path.name)
def test_a_generated_document_is_as_the_code_would_write_it(path):
    assert path.read_text(encoding="utf-8") == documents.all_documents()[path], "run `make docs`"


def test_the_table_of_exit_codes_follows_the_code(monkeypatch):
    assert all(f"| {code} | {error.name} | " in documents.exit_codes() for code, error in errors.ERRORS.items())
    monkeypatch.setitem(errors.ERRORS, 99, errors.DataError)
    assert "| 99 | data | " in documents.exit_codes()


def test_every_variable_named_in_a_document_is_a_setting():
    known = root.variables().keys() | root.NOT_SETTINGS | {"JOB_REAL_DATA", "JOB_TEST_REQUIRE_ALL"}
    for path in [*house.ROOT.glob("*.md"), *(house.ROOT / "docs").rglob("*.md")]:
        named = re.findall(r"\bJOB_[A-Z0-9_]*[A-Z0-9]\b", path.read_text(encoding="utf-8"))
        unknown = {name for name in named if not {name, name.removesuffix(root.FILE_SUFFIX)} & known}
        assert not unknown, path.name


def test_the_readme_has_a_row_for_every_exit_code():
    assert re.findall(r"^\| (\d+) \|", README, re.MULTILINE) == [str(code) for code in (errors.COMPLETE, *sorted(errors.ERRORS))]


def test_the_tree_in_the_readme_lists_every_part_of_the_package():
    tree = README[README.index("```\njob/") :]
    tree = tree[: tree.index("```", 3)]
    tracked = subprocess.run(["git", "ls-files", "job"], cwd=house.ROOT, capture_output=True, text=True, check=True).stdout.split()
    parts = {name.split("/")[1].removesuffix(".py") for name in tracked} - {"__init__"}
    missing = {part for part in parts if not re.search(rf"^  {re.escape(part)}\b", tree, re.MULTILINE)}
    assert not missing


def test_every_make_target_that_is_named_exists():
    targets = set(re.findall(r"^([a-z-]+):", (house.ROOT / "Makefile").read_text(), re.MULTILINE))
    for name in ("README.md", "CONTRIBUTING.md"):
        named = set(re.findall(r"`make ([a-z-]+)`", (house.ROOT / name).read_text(encoding="utf-8")))
        assert named
        assert named <= targets
