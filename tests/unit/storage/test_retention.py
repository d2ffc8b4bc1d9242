import pytest

from job.storage.local import LocalStore
from job.storage.log import LogEntry
from job.storage.retention import (
    announced,
    delete_payload,
    fruitless_attempts,
    fruitless_stops,
    left_over,
    live_commits,
    payload_folder,
    superseded,
)


def commits(*values, name="accuracy", greater=True):
    def metric(value):
        return None if value is None else {"name": name, "value": value, "greater_is_better": greater}

    return [
        LogEntry(number, "committed", 1, "n", {"step": number, "manifest": f"a/step-{number}/M", "metric": metric(value)})
        for number, value in enumerate(values, 1)
    ]


def steps(entries):
    return [entry["step"] for entry in entries]


@pytest.mark.parametrize(
    ("values", "greater", "expected"),
    [
        ([], True, []),
        ([1.0, 2.0], True, []),
        ([1.0, 2.0, 3.0, 4.0], True, [1, 2]),
        ([9.0, 2.0, 3.0, 4.0], True, [2]),
        ([9.0, 2.0, 3.0, 4.0], False, [1]),
        ([9.0, 9.0, 3.0, 4.0], True, [1]),
        ([None, None, None, None], True, [1, 2]),
        ([5.0, None, None, None], True, [2]),
        ([0.0, None, 1.0, None], False, [2]),
    ],
)
def test_the_newest_and_the_best_stay(values, greater, expected):
    assert steps(superseded(commits(*values, greater=greater), 2)) == expected


def test_the_best_is_by_the_newest_metric():
    entries = commits(99.0, 1.0, name="loss") + commits(None, None, 0.7, 0.6, 0.5, 0.4)[2:]
    assert steps(superseded(entries, 2)) == [1, 2, 4]


def test_deleted_ones_are_not_there():
    entries = [*commits(1.0, 2.0, 3.0), LogEntry(4, "deleted", 1, "n", {"manifests": ["a/step-1/M"]})]
    assert steps(live_commits(entries)) == [2, 3]
    assert steps(superseded(entries, 1)) == [2]


def test_a_payload_goes_with_all_it_has_and_nothing_else(tmp_path):
    store = LocalStore(tmp_path)
    for key in ("a/step-1/M", "a/step-1/x", "a/step-1/y/z", "a/step-10/x", "a/step-2/x"):
        store.write_bytes(key, b"")
    delete_payload(store, "a/step-1/M")
    assert [info.key for info in store.list("")] == ["a/step-10/x", "a/step-2/x"]
    assert payload_folder(commits(1.0)[0]) == "a/step-1/"


@pytest.mark.parametrize(
    ("kinds", "expected"),
    [
        ("", 0),
        ("started", 0),
        ("started stopped started stopped", 2),
        ("started stopped started failed started stopped", 2),
        ("started stopped started committed stopped", 1),
        ("started stopped started published", 0),
    ],
)
def test_fruitless_stops(kinds, expected):
    assert fruitless_stops([LogEntry(1, kind, 1, "n") for kind in kinds.split()]) == expected


@pytest.mark.parametrize(
    ("kinds", "expected"),
    [
        ("", 0),
        ("started", 1),
        ("started failed started", 2),
        ("started failed started committed", 0),
        ("started committed failed started started", 2),
        ("started stopped started", 1),
    ],
)
def test_fruitless_attempts(kinds, expected):
    assert fruitless_attempts([LogEntry(1, kind, 1, "n") for kind in kinds.split()]) == expected


@pytest.mark.parametrize(("code", "expected"), [(70, 2), (71, 2), (69, 1), (74, 1), (64, 1), (65, 1), (77, 1)])
def test_only_ends_that_blame_the_run_are_fruitless(code, expected):
    entries = [
        LogEntry(1, "started", 1, "a"),
        LogEntry(2, "failed", 1, "a", {"code": code}),
        LogEntry(3, "started", 2, "b"),
    ]
    assert fruitless_attempts(entries) == expected


def test_a_commit_that_is_listed_twice_is_one():
    entries = commits(1.0, 2.0)
    twice = [entries[0], entries[0], entries[1]]
    assert [entry["step"] for entry in live_commits(twice)] == [entry["step"] for entry in entries]
    assert superseded(twice, 2) == []


def test_what_is_left_of_deleted_payloads_takes_one_listing_a_place(tmp_path, monkeypatch):
    store, listed = LocalStore(tmp_path), []
    for key in ("a/step-7/x", "a/step-70/x", "a/step-9/M", "b/step-1/M", "b/step-2/y/z"):
        store.write_bytes(key, b"")
    entries = [LogEntry(step, "deleted", 1, "n", {"manifests": [f"a/step-{step}/M"]}) for step in range(1, 10)]
    entries.append(LogEntry(10, "deleted", 2, "m", {"manifests": ["b/step-2/M", "b/step-3/M"]}))
    found = LocalStore.list
    monkeypatch.setattr(LocalStore, "list", lambda self, prefix: (listed.append(prefix), found(self, prefix))[1])
    assert [*left_over(store, announced(entries))] == ["a/step-7/M", "a/step-9/M", "b/step-2/M"]
    assert listed == ["a/", "b/"]
