"""What is gone from a log leaves no gap when it was its tail; who saw it notices."""

import json

import pytest

from tests.faults.bench import NAME, Subject
from tests.faults.memory import Memory


@pytest.fixture
def subject(tmp_path):
    subject = Subject(None, tmp_path)
    (subject.store / NAME / "log").mkdir(parents=True)
    for number, (kind, step) in enumerate([("started", 0), ("committed", 8), ("committed", 16)], 1):
        write(subject, number, kind, step)
    return subject


def path(subject, number):
    return subject.store / NAME / "log" / f"{number:010d}.json"


def write(subject, number, kind, step):
    path(subject, number).write_text(json.dumps({"number": number, "kind": kind, "fields": {"step": step}}))


def test_a_log_may_grow(subject):
    memory = Memory()
    assert memory.look(subject) == []
    assert memory.look(subject) == []
    write(subject, 4, "committed", 16)
    write(subject, 5, "stopped", 16)
    assert memory.look(subject) == []


def test_a_lost_tail_is_noticed(subject):
    memory = Memory()
    memory.look(subject)
    path(subject, 3).unlink()
    assert memory.look(subject) == [
        "entry 0000000003.json of the log was there and is gone",
        "the newest commit was of step 16 and is of 8",
    ]
    assert memory.look(subject) == [], "said once"


def test_a_lost_log_is_noticed(subject):
    memory = Memory()
    memory.look(subject)
    for number in (1, 2, 3):
        path(subject, number).unlink()
    assert memory.look(subject)[-1] == "the newest commit was of step 16 and is of none"


def test_another_entry_in_the_same_place_is_noticed(subject):
    memory = Memory()
    memory.look(subject)
    write(subject, 1, "started", 1)
    assert memory.look(subject) == ["entry 0000000001.json of the log was there and is another"]


def test_an_older_commit_in_the_newest_ones_place_is_noticed(subject):
    memory = Memory()
    memory.look(subject)
    write(subject, 4, "committed", 8)
    assert memory.look(subject) == ["the newest commit was of step 16 and is of 8"]
