"""A task from its data to its scores in this process: inputs in place, then the bodies of the three worker programs."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

import torch

from job import run_dir as run_dirs
from job.records import EvalReport
from job.run_dir import RunDir
from job.settings import resolved, root
from job.workers import evaluate, prepare, train
from tests.support import tiny

# Two threads that wait for each other on a busy machine make milliseconds of what takes microseconds.
torch.set_num_threads(1)

Splits = Mapping[str, Mapping[str, bytes]]
"""Files of each split, by name."""


def place(folder: Path, model: Path, splits: Splits, **more: str) -> RunDir:
    """A run directory before its preparation, with settings written as for `tiny.environ`."""
    run_dir = RunDir(folder)
    shutil.copytree(model, run_dir.input_model)
    settings = {"TRAIN__GLOBAL_BATCH_SIZE": "8", "EVAL__BOOTSTRAP_SAMPLES": "200", "LIMITS__MAX_LEAKED_SHARE": "1", **more}
    for split, files in splits.items():
        settings[f"DATA__{split.upper()}_URI"] = "unused"
        for name, content in files.items():
            path = run_dir.input_data(split) / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        run_dirs.write_json(run_dir.input_data(split).with_suffix(".json"), {"kind": "files", "files": list(files), "uri": ["x"]})
    chosen = root.load(tiny.environ(folder, **settings))
    run_dirs.write_json(run_dir.settings, resolved.dump(chosen))
    run_dirs.write_json(run_dir.identity, {"settings_fingerprint": "s", "data_fingerprint": "d"})
    run_dirs.write_json(run_dir.attempt, {"number": 1, "nonce": "n"})
    return run_dir


def prepared(folder: Path, model: Path, splits: Splits, **more: str) -> RunDir:
    """`place`, prepared."""
    run_dir = place(folder, model, splits, **more)
    prepare.main(run_dir, resolved.read(run_dir.settings))
    return run_dir


def finished(run_dir: RunDir) -> EvalReport:
    """Train and evaluate a prepared run directory."""
    settings = resolved.read(run_dir.settings)
    train.main(run_dir, settings)
    evaluate.main(run_dir, settings)
    return EvalReport.read(run_dir.evaluation / "report.json")
