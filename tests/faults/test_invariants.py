"""Invariants that no whole run breaks today, on logs that break them."""

import json
import types

import pytest

from tests.faults import invariants
from tests.faults.bench import NAME, Subject
from tests.support import jobs

SCORES = {8: 0.5, 16: 0.9, 24: 0.7, 32: 0.6}


def log(subject, *entries):
    folder = subject.store / NAME / "log"
    folder.mkdir(parents=True, exist_ok=True)
    for number, (kind, fields) in enumerate(entries, 1):
        (folder / f"{number:010d}.json").write_text(json.dumps({"number": number, "kind": kind, "fields": fields, "nonce": "a"}))


def commits(greater_is_better):
    metric = {"name": "m", "greater_is_better": greater_is_better}
    return [
        ("committed", {"step": step, "manifest": f"{step}", "metric": {**metric, "value": value}}) for step, value in SCORES.items()
    ]


@pytest.mark.parametrize(("greater_is_better", "best", "other"), [(True, "16", "8"), (False, "8", "16")])
def test_the_best_commit_is_not_deleted(tmp_path, greater_is_better, best, other):
    subject = Subject(None, tmp_path)
    log(subject, *commits(greater_is_better), ("deleted", {"manifests": [other]}))
    assert invariants._kept(subject.entries()) == []
    log(subject, *commits(greater_is_better), ("deleted", {"manifests": [best]}))
    assert invariants._kept(subject.entries()) == ["entry 5 deletes the best commit"]


def test_of_equals_one_is_enough_and_without_scores_none_is_best(tmp_path):
    subject = Subject(None, tmp_path)
    metric = {"name": "m", "greater_is_better": True, "value": 0.5}
    made = [("committed", {"step": step, "manifest": f"{step}", "metric": metric}) for step in SCORES]
    log(subject, *made, ("deleted", {"manifests": ["8", "16"]}))
    assert invariants._kept(subject.entries()) == []
    made = [("committed", {"step": step, "manifest": f"{step}"}) for step in SCORES]
    log(subject, *made, ("deleted", {"manifests": ["8", "16"]}))
    assert invariants._kept(subject.entries()) == []


@pytest.mark.parametrize("code", [0, 75, -9, None])
def test_who_ends_with_0_has_completed_the_run(tmp_path, code):
    subject = Subject(None, tmp_path)
    subject.started.append(("here", types.SimpleNamespace(returncode=code)))
    log(subject, ("started", {}))
    assert bool(invariants.check_ending(subject)) is (code == 0)
    log(subject, ("started", {}), ("complete", {}))
    assert invariants.check_ending(subject) == []


def test_a_next_start_does_not_hide_that_the_last_one_said_nothing(tmp_path, monkeypatch):
    subject = Subject(None, tmp_path)
    monkeypatch.setattr(Subject, "environ", lambda *_: {})
    monkeypatch.setattr(jobs, "start", lambda *_, **__: types.SimpleNamespace(returncode=0))
    log(subject, ("started", {}))
    subject.start()
    assert subject.unsaid == 0
    subject.start()
    log(subject, ("started", {}), ("complete", {}))
    assert invariants.check_ending(subject) != []
