"""Runs in a real store, in every state, side by side."""

import json
from datetime import UTC, datetime

import pytest

from job.errors import DataError, LocalIOError
from job.inspection import compare
from job.storage.commit import RunLog
from job.storage.local import LocalStore
from tests.support import sweeps


@pytest.fixture
def store(tmp_path):
    """Three published runs of a sweep, one that failed, one under way, one whose log has a gap, and a run of another name."""
    store = LocalStore(tmp_path / "store")
    for at, (rate, score) in enumerate(zip(sweeps.RATES, sweeps.SCORES, strict=True)):
        attempt = sweeps.begin(store, f"reviews-{9 + at}", **{"train.learning_rate": rate, "run.seed": 1})
        sweeps.publish(attempt, tmp_path / f"model-{at}", sweeps.evaluation(score))
    failed = sweeps.begin(store, "reviews-0", **{"train.learning_rate": 1.0, "run.seed": 1})
    failed.failed({"code": 93, "message": "Training diverged with hf_abcdefghijklmnopqrst."})
    (tmp_path / "checkpoint").mkdir()
    (tmp_path / "checkpoint/state.json").write_text("{}")
    running = sweeps.begin(store, "reviews-1", **{"train.learning_rate": 0.1, "run.seed": 1})
    running.commit_checkpoint(
        tmp_path / "checkpoint", {"step": 40}, {"name": "accuracy", "value": 0.871, "greater_is_better": True}
    )
    RunLog(store, "reviews-2").start("f")
    RunLog(store, "reviews-2").start("f")
    (tmp_path / "store/reviews-2/log/0000000001.json").unlink()
    sweeps.begin(store, "other")
    return store


def shown(store, pattern="reviews-*", page=None):
    text, code = compare.show(str(store.root), pattern, page)
    assert code == 0
    return text.splitlines()


def test_all_states_are_told_apart(store):
    lines = shown(store)
    rows = [line.split()[0] for line in lines[1:7]]
    assert rows == ["reviews-10", "reviews-11", "reviews-9", "reviews-0", "reviews-1", "reviews-2"]
    assert lines[0].split()[:4] == ["Run", "accuracy", "Interval", "train.learning_rate"]
    assert lines[1].split()[:6] == ["reviews-10", "0.912", "0.898", "to", "0.926", "3e-05"]
    assert lines[1].endswith("complete")
    assert lines[4].endswith("failed")
    assert lines[5].endswith("running, or ended without a word")
    assert lines[6].endswith("unusable")
    told = "\n".join(lines[7:])
    assert "Best: reviews-10, accuracy 0.912" in told
    assert "Its interval overlaps reviews-11:" in told
    assert "3 of 6 runs have no score: reviews-0 (failed)" in told
    assert "reviews-0: failed with 93 (hopeless)" in told
    assert "hf_abc" not in told
    assert "reviews-1: last commit at step 40, validation accuracy 0.871" in told
    assert "reviews-2: The run's log" in told


def test_a_pattern_chooses(store):
    assert [line.split()[0] for line in shown(store, "reviews-1?")[1:3]] == ["reviews-10", "reviews-11"]
    assert shown(store, "other")[-1] == "No run has published a score yet."
    with pytest.raises(DataError, match="has a name like 'nothing'; there are other, reviews-0") as caught:
        shown(store, "nothing")
    assert "--runs" in caught.value.hint


def test_the_page_is_written(store, tmp_path):
    page = tmp_path / "made/sweep.html"
    assert shown(store, page=page)[-1] == f"The page is {page}."
    written = page.read_text()
    assert written.startswith("<!DOCTYPE html>")
    assert "reviews-10" in written
    (tmp_path / "file").write_text("")
    with pytest.raises(LocalIOError):
        shown(store, page=tmp_path / "file/sweep.html")


@pytest.mark.parametrize("how", ["changed", "missing", "without a manifest"])
def test_scores_that_are_not_the_committed_ones_do_not_count(store, tmp_path, how):
    folder = next((tmp_path / "store/reviews-10/attempts").iterdir()) / "model"
    report = folder / "report/metrics.json"
    if how == "changed":
        report.write_text(json.dumps(sweeps.evaluation(0.999)))
    elif how == "missing":
        report.unlink()
    else:
        (folder / "MANIFEST.json").unlink()
    told = "\n".join(shown(store))
    assert "Best: reviews-11" in told
    assert "reviews-10: its published scores" in told
    assert "0.999" not in told


def test_time_is_that_of_all_attempts(tmp_path, monkeypatch):
    store = LocalStore(tmp_path / "store")
    sweeps.begin(store, "run").stopped()
    sweeps.begin(store, "run").stopped()
    # Two attempts of 90 s each, an hour apart.
    starts = (1_000_000, 1_000_090, 1_003_690, 1_003_780)
    for path, time in zip(sorted((tmp_path / "store/run/log").iterdir()), starts, strict=True):
        entry = json.loads(path.read_text())
        path.write_text(json.dumps({**entry, "time": datetime.fromtimestamp(time, UTC).isoformat()}))
    variant = compare.read(store, "run")
    assert variant.seconds == 180
    assert (variant.state, variant.settings["JOB_MODEL__URI"]) == ("stopped", "org/model")
    assert variant.note.startswith("stopped at ")
