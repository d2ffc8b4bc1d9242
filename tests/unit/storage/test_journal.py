import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from job.errors import FencedError
from job.storage.journal import Journal
from job.storage.local import LocalStore
from job.storage.log import Log, LogEntry


@pytest.fixture
def log(tmp_path):
    return Log(LocalStore(tmp_path), "run/")


@pytest.fixture
def journal(log):
    return Journal(log, 1, "mine", [])


def test_entries_follow_each_other(journal, log):
    journal.append("started")
    journal.append("committed", step=4, manifest="run/x/MANIFEST.json")
    assert log.read() == journal.entries
    assert (journal.last_step, journal.last_commit) == (4, "run/x/MANIFEST.json")
    assert journal.uri_of(journal.entries[1]) == f"{log.store.uri}/run/x"


def test_several_threads_append_in_turn(journal, log):
    gate = threading.Barrier(8)

    def append(index):
        gate.wait(10)
        journal.append("part", index=index)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(append, range(8)))
    assert sorted(entry["index"] for entry in log.read()) == list(range(8))


def test_anothers_entry_is_a_fence_for_good(journal, log):
    journal.append("started")
    journal.check_owner()
    log.put(LogEntry(2, "started", 2, "other"))
    for action in (lambda: journal.append("complete"), journal.check_owner, lambda: journal.append("complete")):
        with pytest.raises(FencedError, match="Attempt 2"):
            action()
    assert len(log.read()) == 2


def test_our_own_late_entry_is_no_fence(journal, log):
    journal.append("started")
    log.put(LogEntry(2, "committed", 1, "mine", {"step": 1, "manifest": "a/M"}))
    journal.check_owner()
    journal.append("committed", step=2, manifest="b/M")
    assert [entry.fields.get("step") for entry in log.read()] == [None, 1, 2]
    assert journal.entries == log.read()


def test_unfenced_passes_over_anothers_entry(log):
    journal = Journal(log, 1, "mine", [], fenced=False)
    log.put(LogEntry(1, "started", 2, "other"))
    journal.check_owner()
    assert journal.append("complete").number == 2


def test_history():
    entries = [
        LogEntry(1, "started", 1, "a", time="t1"),
        LogEntry(2, "committed", 1, "a", {"step": 5}),
        LogEntry(3, "stopped", 1, "a", {"message": "asked"}),
        LogEntry(4, "started", 2, "b", time="t2"),
        LogEntry(5, "complete", 2, "b", {}, time="t3"),
    ]
    assert Journal(None, 2, "b", entries).history() == [
        {"number": 1, "started": "t1", "steps": 5, "stopped": "asked"},
        {"number": 2, "started": "t2", "steps": None, "complete": "t3"},
    ]


def test_nothing_committed_yet(journal):
    assert (journal.last_step, journal.last_commit, journal.history()) == (None, None, [])
