"""What the documents say of the matrix is what was found, and what it lacks is made first."""

import dataclasses

import pytest

from tests.faults import record
from tests.faults.bench import Subject
from tests.faults.driver import Result
from tests.faults.matrix import ROWS


def _kept(tmp_path, *results):
    file = tmp_path / "results" / "abc.jsonl"
    for result in results:
        record.keep(file, result)
    return record.read(file)


def test_counts_are_of_faults_that_met_a_run(tmp_path):
    found = _kept(
        tmp_path,
        Result("kill", 1, "worker after 1 s", "worker", True, 2.0, lost_steps=3, local_bytes=1000),
        Result("kill", 2, "node after 1 s", "node", True, 4.0, lost_steps=9, local_bytes=5000, violations=["a step is lost"]),
        Result("kill", 3, "", "", False, 3.0),
    )
    assert record.num_hits(found, "kill") == 2
    (line,) = [line for line in record.table(found).splitlines() if line.startswith(f"| {ROWS['kill'].title} |")]
    assert line.split(" | ")[1:] == ["200", "2, not done", "1", "6 (9)", "5,000", "3.0 |"]


def _hits(**kinds):
    return [{"row": "kill", "kind": kind, "hit": True} for kind, count in kinds.items() for _ in range(count)]


@pytest.fixture
def least(monkeypatch):
    """Row ``kill`` with four faults, two of each of two kinds."""
    row = dataclasses.replace(ROWS["kill"], count=4, least={"node": 2, "group": 2})
    monkeypatch.setitem(ROWS, "kill", row)


@pytest.mark.usefixtures("least")
def test_a_row_is_done_with_its_count_and_the_least_of_each_kind():
    assert record.is_done(_hits(node=2, group=2), "kill")
    assert not record.is_done(_hits(node=2, group=1), "kill")
    assert not record.is_done(_hits(node=9, group=1), "kill")
    assert record.lacking(_hits(node=9, group=1), "kill") == {"group": 1}
    assert not record.is_done([*_hits(node=9, group=1), {"row": "kill", "kind": "group", "hit": False}], "kill")
    assert record.is_done(_hits(node=1), "kill", count=1), "who asks for a number gets that one"


@pytest.mark.usefixtures("least")
def test_the_page_says_so_of_a_row_without_the_least_of_a_kind(tmp_path, monkeypatch):
    monkeypatch.setattr(record, "RESULTS", tmp_path)
    monkeypatch.setattr(record, "ROWS", {"kill": ROWS["kill"]})
    for kinds, done in (["node"] * 9, False), (["group"] * 2, True):
        for kind in kinds:
            record.keep(record.results("abc"), Result("kill", 1, "", kind, True, 1.0))
        page = record.document("abc")
        assert ("not done" in page) is not done
        assert ("Every row has its full count" in page) is done
    assert "`kill`, 2 kinds, each 2 to 9 times" in page


def test_the_page_lists_a_kind_that_never_came(tmp_path, monkeypatch):
    monkeypatch.setattr(record, "RESULTS", tmp_path)
    record.keep(record.results("abc"), Result("edge", 1, "", "before entry complete", True, 1.0))
    assert "`edge`, 76 kinds, 76 of them not done, each 0 to 1 times" in record.document("abc")


def test_the_kind_that_lacks_most_comes_next_and_of_equals_each_in_turn(tmp_path):
    subject = Subject(None, tmp_path)
    assert [subject.next_kind("abc", turn) for turn in range(4)] == ["a", "b", "c", "a"]
    subject.lacking.update(a=1, b=2, c=2)
    assert [subject.next_kind("abc", turn) for turn in range(4)] == ["b", "b", "c", "b"]


def test_each_signal_comes_in_each_phase():
    assert len(ROWS["stop"].least) == 12
    assert all(count == 10 for count in ROWS["stop"].least.values())


def test_the_page_shows_the_newest_results():
    """Between its marks stands what ``--document`` writes of the newest version that has results."""
    files = [*record.RESULTS.glob("*.jsonl")]
    assert len(files) == 1, "results of one version are kept"
    shown = record.PAGE.read_text().split(record.MARKS[0])[1].split(record.MARKS[1])[0]
    assert shown == record.document(files[0].stem)
