"""The evaluation program on a prepared run directory, by one process and by two, against transformers' own pipeline."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import socket
import sys
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import torch
import transformers
from datasets import load_from_disk

from job import run_dir as run_dirs
from job.errors import CrashError
from job.records import EvalReport, PreparedData
from job.run_dir import RunDir
from job.settings import resolved
from job.workers import prepare
from job.workers.evaluate import open_subject
from job.workers.tasks import make_task
from tests.support import tiny, warm

SPLIT_SIZES = {"train": 60, "eval": 20, "test": 37}
ROWS = {
    "single_label": lambda at, text, label: (text, label),
    "multi_label": lambda at, text, label: (text, f"{label};odd" if at % 2 else label),
    "regression": lambda at, text, label: (text, f"{len(text) / 10:.2f}"),
}


def make_run(folder: Path, problem: str, **more: str) -> RunDir:
    """Everything that training leaves behind, with a model that was not trained."""
    settings = {"DATA__TEXT_COLUMN": "text", "LIMITS__MAX_LEAKED_SHARE": "1", "EVAL__BOOTSTRAP_SAMPLES": "200", **more}
    if problem == "multi_label":
        settings["DATA__LABEL_DELIMITER"] = ";"
    run_dir = RunDir(folder / "runs" / "tiny")
    for seed, (split, count) in enumerate(SPLIT_SIZES.items()):
        rows = [ROWS[problem](at, *row) for at, row in enumerate(tiny.sentences(count, seed))]
        path = tiny.write_csv(run_dir.input_data(split) / "part.csv", rows)
        run_dirs.write_json(
            run_dir.input_data(split).with_suffix(".json"), {"kind": "files", "files": [path.name], "uri": [str(path)]}
        )
        settings[f"DATA__{split.upper()}_URI"] = str(path)
    tiny.write_model(run_dir.input_model, initializer_range=0.3)
    chosen = tiny.write_settings(folder, run_dir.root, **settings)
    prepare.main(run_dir, chosen)
    prepared = PreparedData.read(run_dir.prepared / "prepared.json")
    assert prepared.problem == problem
    tokenizer = transformers.AutoTokenizer.from_pretrained(run_dir.prepared / "tokenizer")
    torch.manual_seed(7)
    model = make_task(chosen, prepared, tokenizer).load_model(str(run_dir.input_model), from_config=False)
    model.save_pretrained(run_dir.model)
    tokenizer.save_pretrained(run_dir.model)
    return run_dir


def evaluate(run_dir: RunDir, world_size: int = 1) -> list[int]:
    """Run the program as the launcher does; the exit codes by rank."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    base = {name: value for name, value in os.environ.items() if not name.startswith("JOB_")}
    base |= {
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
        "WORLD_SIZE": str(world_size),
        "OMP_NUM_THREADS": "1",
        "HF_HUB_OFFLINE": "1",
    }
    command = [sys.executable, "-m", "job.workers.evaluate", str(run_dir.root)]
    with contextlib.ExitStack() as opened:
        started = []
        for rank in range(world_size):
            log = opened.enter_context((run_dir.root / f"stderr-{rank}").open("w"))
            started.append(warm.Popen(command, env=base | {"RANK": str(rank), "LOCAL_RANK": str(rank)}, stderr=log))
        return [process.wait(timeout=300) for process in started]


@pytest.fixture(scope="module")
def kept() -> dict[str, Path]:
    """Run directories by problem, made once; tests work on copies."""
    return {}


@pytest.fixture
def fresh(kept, tmp_path, tmp_path_factory) -> Callable[[str], RunDir]:
    def copy(problem: str) -> RunDir:
        if problem not in kept:
            kept[problem] = make_run(tmp_path_factory.mktemp(problem), problem).root
        return RunDir(shutil.copytree(kept[problem], tmp_path / "run"))

    return copy


@pytest.mark.parametrize("problem", ROWS)
def test_the_report_is_of_the_published_bytes(fresh, problem):
    run_dir = fresh(problem)
    assert evaluate(run_dir) == [0]
    report = EvalReport.read(run_dir.evaluation / "report.json")
    assert (report.split, report.num_examples) == ("test", 37)
    assert report.interval["metric"] == report.main_metric
    assert report.interval["value"] == pytest.approx(report.metrics[report.main_metric])
    assert report.interval["low"] <= report.interval["value"] <= report.interval["high"]
    assert set(report.baselines) == {"majority", "untrained"}
    if problem == "regression":
        assert report.baselines["majority"]["r2"] <= 0
    compare_with_pipeline(run_dir, problem, report)
    assert not list(run_dir.root.glob(".tmp-*"))


def compare_with_pipeline(run_dir: RunDir, problem: str, report: EvalReport) -> None:
    """Predictions and scores as a user gets them from the folder."""
    found = pq.read_table(run_dir.evaluation / "predictions.parquet").to_pylist()
    dataset = load_from_disk(str(run_dir.prepared / "test"))
    assert [row["id"] for row in found] == dataset["id"][:]
    assert [row["text_sha256"] for row in found] == dataset["text_sha256"][:]
    pipe = transformers.pipeline("text-classification", model=str(run_dir.model), top_k=None)
    names = PreparedData.read(run_dir.prepared / "prepared.json").labels or ["LABEL_0"]
    right = 0
    for row, answer in zip(found, pipe(dataset["text"][:], truncation=True), strict=True):
        theirs = {each["label"]: each["score"] for each in answer}
        assert row["scores"] == pytest.approx([theirs[name] for name in names], abs=1e-5)
        right += row["label"] == row["prediction"]
        if problem == "single_label":
            assert row["prediction"] == max(theirs, key=theirs.get)
    if problem == "single_label":
        assert report.metrics["accuracy"] == right / 37
        assert json.loads((run_dir.evaluation / "mistakes.json").read_text())[0]["prediction"] in names


def test_two_processes_give_the_same_report(fresh):
    run_dir = fresh("single_label")
    assert evaluate(run_dir) == [0]
    one = EvalReport.read(run_dir.evaluation / "report.json")
    assert evaluate(run_dir, 2) == [0, 0]
    two = EvalReport.read(run_dir.evaluation / "report.json")
    assert two.interval == one.interval
    assert two.metrics["confusion_matrix"] == one.metrics["confusion_matrix"]
    assert two.metrics["loss"] == pytest.approx(one.metrics["loss"], rel=1e-6)
    assert two.baselines["untrained"]["loss"] == pytest.approx(one.baselines["untrained"]["loss"], rel=1e-6)


def test_a_stop_request_leaves_nothing_half_done(fresh):
    run_dir = fresh("single_label")
    run_dir.stop.touch()
    assert evaluate(run_dir, 2) == [75, 75]
    assert not run_dir.evaluation.exists()


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda folder: edit(folder / "config.json", id2label={"0": "x", "1": "y"}), "names its labels ['x', 'y']"),
        (lambda folder: edit(folder / "config.json", n_layers=3), "does not load as it was"),
        (
            lambda folder: edit(folder / "tokenizer.json", post_processor=None),
            "does not give the tokens that the model was trained on",
        ),
    ],
    ids=["other labels", "a layer more", "another tokenizer"],
)
def test_a_folder_that_is_not_what_was_trained_is_a_crash(fresh, spoil, message):
    run_dir = fresh("single_label")
    spoil(run_dir.model)
    with pytest.raises(CrashError, match=re.escape(message)):
        open_subject(run_dir, resolved.read(run_dir.settings)).appraisal.load_published(run_dir.model)


def edit(path: Path, **changes: object) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))
