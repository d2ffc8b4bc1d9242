from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from job import run_dir
from job.errors import FencedError, LocalIOError, SettingsError
from job.run_dir import TEMPORARY_PREFIX, RunDir, exclusive, path_of

ROOT = Path(run_dir.__file__).parents[1]


@pytest.fixture
def folder(tmp_path: Path) -> RunDir:
    return RunDir(tmp_path / "run")


def names(path: Path) -> list[str]:
    return sorted(str(found.relative_to(path)) for found in path.rglob("*"))


def test_a_file_is_written_whole_with_its_folders(tmp_path: Path) -> None:
    run_dir.write_bytes(tmp_path / "a" / "b", b"first")
    run_dir.write_bytes(tmp_path / "a" / "b", b"second")
    assert (tmp_path / "a" / "b").read_bytes() == b"second"
    assert names(tmp_path) == ["a", "a/b"]


def test_a_crash_before_the_rename_leaves_the_earlier_content(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "file"
    run_dir.write_bytes(path, b"first")

    def crash(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", crash)
    with pytest.raises(OSError, match="No space"):
        run_dir.write_bytes(path, b"second")
    assert path.read_bytes() == b"first"
    assert names(tmp_path) == ["file"]


@pytest.mark.parametrize("taken", ["run", "."])
def test_a_run_directory_that_cannot_be_is_a_wrong_setting(tmp_path: Path, taken: str) -> None:
    (tmp_path / "taken").write_text("a file")
    with (
        pytest.raises(SettingsError, match=r"JOB_RUN__DIR cannot hold the run directory .*/taken"),
        exclusive(RunDir(tmp_path / "taken" / taken)),
    ):
        pass


def test_json_comes_back_and_is_for_people(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    run_dir.write_json(path, {"name": "größer", "path": Path("/a"), "list": [1, None]})
    assert run_dir.read_json(path) == {"name": "größer", "path": "/a", "list": [1, None]}
    assert "größer" in path.read_text(encoding="utf-8")
    assert path.read_bytes().endswith(b"}\n")


def test_json_holds_no_number_that_json_does_not_know(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        run_dir.write_json(tmp_path / "x.json", {"loss": float("nan")})
    assert names(tmp_path) == []


def test_what_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        run_dir.read_json(tmp_path / "none.json")


def test_every_path_lies_below_the_root_and_is_its_own(folder: RunDir) -> None:
    fixed = [getattr(folder, name) for name, value in vars(RunDir).items() if type(value).__name__ == "_Below"]
    made = [
        folder.input_data("train"),
        folder.marker("fetch"),
        folder.outcome("train", 0),
        folder.heartbeat("train", 0),
        folder.log("train"),
    ]
    assert len(fixed) > 10
    assert len({*fixed, *made}) == len(fixed) + len(made)
    assert all(path.is_relative_to(folder.root) and path != folder.root for path in fixed + made)


def test_finished_checkpoints_come_in_the_order_of_their_steps(folder: RunDir) -> None:
    assert folder.finished_checkpoints() == []
    for step in (900, 10000000000, 1200):
        folder.checkpoint(step).mkdir(parents=True)
    (folder.checkpoints / f"{TEMPORARY_PREFIX}step-0000002000").mkdir()
    assert [(step, path.name) for step, path in folder.finished_checkpoints()] == [
        (900, "step-0000000900"),
        (1200, "step-0000001200"),
        (10000000000, "step-10000000000"),
    ]


def test_outcomes_come_in_rank_order_and_of_one_program(folder: RunDir) -> None:
    for rank in (10, 2, 0):
        run_dir.write_json(folder.outcome("train", rank), {"rank": rank})
    run_dir.write_json(folder.outcome("evaluate", 0), {"rank": -1})
    assert [outcome["rank"] for outcome in folder.outcomes("train")] == [0, 2, 10]
    assert list(folder.outcomes("prepare")) == []


def test_a_new_start_clears_what_its_program_left_and_nothing_else(folder: RunDir) -> None:
    run_dir.write_json(folder.outcome("train", 0), {})
    run_dir.write_json(folder.outcome("evaluate", 0), {})
    run_dir.write_bytes(folder.heartbeat("train", 1), b"")
    folder.clear_program("train")
    folder.clear_program("train")
    assert names(folder.root) == ["heartbeats", "outcomes", "outcomes/evaluate-0.json"]


def test_half_written_things_are_cleared_with_all_they_hold(folder: RunDir) -> None:
    run_dir.write_bytes(folder.model / "config.json", b"{}")
    run_dir.write_bytes(folder.model / f"{TEMPORARY_PREFIX}1-weights", b"half")
    run_dir.write_bytes(folder.checkpoints / f"{TEMPORARY_PREFIX}step-1" / f"{TEMPORARY_PREFIX}1-x", b"half")
    run_dir.write_bytes(folder.checkpoints / f"{TEMPORARY_PREFIX}step-1" / "whole", b"whole")
    folder.clear_temporary()
    assert names(folder.root) == ["checkpoints", "model", "model/config.json"]


def test_a_folder_belongs_to_one_process_at_a_time(folder: RunDir) -> None:
    other = [
        sys.executable,
        "-c",
        "import sys; from job.run_dir import *\nwith exclusive(RunDir(Path(sys.argv[1]))): pass",
        str(folder.root),
    ]
    with exclusive(folder), pytest.raises(FencedError, match=r"Another process .* JOB_RUN__NAME"), exclusive(RunDir(folder.root)):
        pytest.fail("two at once")
    with exclusive(folder):
        refused = subprocess.run(other, cwd=ROOT, capture_output=True, text=True, check=False)
    assert "FencedError" in refused.stderr
    assert subprocess.run(other, cwd=ROOT, check=False).returncode == 0


def test_room_is_required_before_it_is_used(tmp_path):
    run_dir.require_room(tmp_path, 1)
    with pytest.raises(LocalIOError, match="bytes free") as caught:
        run_dir.require_room(tmp_path, 2**60)
    assert caught.value.exit_code == 74
    assert "JOB_RUN__DIR" in caught.value.hint


def test_a_full_disk_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert run_dir.refused_write(tmp_path) == ""
    assert run_dir.refused_write(tmp_path / "none") == "No such file or directory"
    memory = Path("/dev/shm")  # a disk whose room is counted at once
    monkeypatch.setattr(run_dir, "PROBE_BYTES", 2 * shutil.disk_usage(memory).total)
    assert run_dir.refused_write(memory) == "No space left on device"


def test_each_node_has_a_run_directory_of_its_own(tmp_path: Path) -> None:
    assert path_of(tmp_path, "run") == tmp_path / "run"
    assert path_of(tmp_path, "run", 2) == tmp_path / "run.node-2"
    assert path_of(Path("runs"), "run").is_absolute()
