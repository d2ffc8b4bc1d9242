import pytest

from job.errors import UnusableError
from job.storage.local import LocalStore
from job.storage.log import Log, LogEntry


@pytest.fixture
def log(tmp_path):
    return Log(LocalStore(tmp_path), "run/")


def entry(number, **fields):
    return LogEntry(number, "started", 1, "nonce", fields)


def test_round_trip():
    made = entry(3, text="ü", list=[1, None])
    again = LogEntry.from_bytes(made.to_bytes())
    assert again == made
    assert again["text"] == "ü"
    assert again.time.endswith("+00:00")


@pytest.mark.parametrize(
    "data", [b"", b"{", b"[]", b"{}", b'{"schema": 1}', b'{"schema": 1, "number": 1, "more": 2}', b"\xff", b"[" * 100_000]
)
def test_damage_is_said(data):
    with pytest.raises(UnusableError, match="damaged"):
        LogEntry.from_bytes(data)


def test_another_schema_is_said():
    data = entry(1).to_bytes().replace(b'"schema": 1', b'"schema": 9')
    with pytest.raises(UnusableError, match="schema 9"):
        LogEntry.from_bytes(data)


def test_each_number_is_given_once(log):
    assert log.read() == []
    assert log.put(entry(1, by="first"))
    assert not log.put(entry(1, by="second"))
    assert log.put(entry(2))
    assert [found.number for found in log.read()] == [1, 2]
    assert log.read_one(1)["by"] == "first"
    assert log.key(1) == "run/log/0000000001.json"


def test_gaps_and_foreign_objects_are_said(log):
    for number in (1, 2, 3):
        log.put(entry(number))
    log.store.delete(log.key(2))
    with pytest.raises(UnusableError, match=r"gap: 0000000002\.json"):
        log.read()
    log.store.write_bytes("run/log/0000000002.json.bak", b"")
    with pytest.raises(UnusableError, match=r"foreign object, '0000000002\.json\.bak'"):
        log.read()


def test_an_entry_in_anothers_place_is_said(log):
    log.put(entry(1))
    log.store.write_bytes(log.key(2), log.store.read_bytes(log.key(1)))
    with pytest.raises(UnusableError, match=r"Entry 2 .* says that it is 1"):
        log.read()
    with pytest.raises(UnusableError, match="vanished"):
        log.read_one(3)
