import pytest

from job import pipeline
from job.demo import run
from job.errors import CrashError, SettingsError


class Process:
    def __init__(self, code):
        self.code = code

    def wait(self):
        return self.code


@pytest.fixture
def started(monkeypatch, tmp_path):
    """The demo in an empty folder, with the worker and the pipeline replaced; what they were called with."""
    calls = {"code": 0}
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(run, "write_data", lambda folder: folder.mkdir(parents=True))
    monkeypatch.setattr(run.launch, "start", lambda command, log: calls.update(command=command, log=log) or Process(calls["code"]))
    monkeypatch.setattr(pipeline, "main", lambda environ: calls.update(environ=environ) or 7)
    return calls


def test_demo_runs_the_pipeline_on_what_it_made(started, tmp_path):
    assert run.main({"JOB_TRAIN__EPOCHS": "1"}) == 7
    assert started["command"].argv[1:] == ("-m", "job.workers.demo", str(tmp_path / "runs" / "demo"))
    assert started["environ"]["JOB_TRAIN__EPOCHS"] == "1"
    assert started["environ"]["JOB_MODEL__URI"] == str(tmp_path / "runs" / "demo" / "model")


def test_demo_begins_anew(started, tmp_path):
    left = tmp_path / "runs" / "demo" / "left"
    left.mkdir(parents=True)
    run.main({})
    assert not left.exists()


def test_a_wrong_setting_leaves_everything_as_it_was(started, tmp_path):
    kept = tmp_path / "runs" / "demo" / "kept"
    kept.mkdir(parents=True)
    with pytest.raises(SettingsError):
        run.main({"JOB_TRAIN__EPOCHS": "-1"})
    assert kept.exists()


def test_a_worker_that_fails_is_named_with_its_log(started):
    started["code"] = 1
    with pytest.raises(CrashError, match=r"demo\.log"):
        run.main({})
