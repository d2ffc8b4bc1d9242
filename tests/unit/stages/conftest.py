"""One attempt at a run in a local store, everything real but the workers.  The disk is not waited for: nobody cuts the power here."""

from __future__ import annotations

import io
import os
from pathlib import Path

import pytest

from job import run_dir as run_dirs
from job.cluster.stop import StopRequest
from job.cluster.supervise import Crew
from job.cluster.topology import Topology
from job.reporting.progress import Progress
from job.run_dir import RunDir
from job.settings import resolved
from job.settings.root import Settings
from job.stages import uploader
from job.stages.context import RunContext
from job.storage.commit import RunLog
from job.storage.local import LocalStore
from tests.support import tiny


@pytest.fixture(autouse=True)
def _no_sync(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "fsync", lambda _: None)


@pytest.fixture(autouse=True)
def _no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    """A failed upload is tried again at once, and nobody looks for its end ten times a second only."""
    monkeypatch.setattr(uploader, "FIRST_PAUSE_S", 0.01)
    monkeypatch.setattr(uploader, "POLL_S", 0.01)


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    return tiny.environ(tmp_path)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return tiny.settings(tmp_path, CHECKPOINT__MAX_FAILED_UPLOADS="3")


@pytest.fixture
def make_context(tmp_path: Path):
    """``make_context(settings)``: a new attempt at the run."""

    def make(settings: Settings) -> RunContext:
        run_dir = RunDir(tmp_path / "runs" / "tiny")
        run_dir.root.mkdir(parents=True, exist_ok=True)
        attempt = RunLog(LocalStore(tmp_path / "store"), settings.run.name).start(resolved.fingerprint(settings))
        crew = Crew(run_dir, Topology(1, 0, 1, 1, "cpu"), StopRequest(run_dir.stop), {}, 30)
        return RunContext(settings, run_dir, attempt, crew, Progress(io.StringIO(), "json"))

    return make


@pytest.fixture
def context(make_context, settings) -> RunContext:
    return make_context(settings)


@pytest.fixture
def inputs(tmp_path: Path) -> Path:
    """A model folder of the right names, and data."""
    (tmp_path / "model").mkdir()
    for name in ("config.json", "tokenizer.json", "model.safetensors"):
        (tmp_path / "model" / name).write_text("{}")
    tiny.write_csv(tmp_path / "train.csv", tiny.sentences(5))
    return tmp_path


@pytest.fixture
def checkpoint(context):
    """``checkpoint(step)``: a finished checkpoint waits for its upload."""
    run_dirs.write_json(context.run_dir.marker("fetch"), {"sources": {"model": {"revision": "abc"}}})
    run_dirs.write_json(context.run_dir.identity, {"settings_fingerprint": "s", "data_fingerprint": "d"})

    def make(step: int, metric: float | None = None) -> Path:
        folder = context.run_dir.checkpoint(step)
        scored = None if metric is None else {"name": "accuracy", "value": metric, "greater_is_better": True}
        run_dirs.write_json(folder / "state.json", {"step": step, "metric": scored})
        (folder / "metrics.jsonl").write_text(f'{{"step": {step}}}\n', encoding="utf-8")
        return folder

    return make
