"""What the documents say of the matrix is what was found."""

from tests.faults import record
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
    assert line.split(" | ")[1:] == ["200", "2", "1", "6 (9)", "5,000", "3.0 |"]


def test_the_page_shows_the_newest_results():
    """Between its marks stands what ``--document`` writes of the newest version that has results."""
    files = [*record.RESULTS.glob("*.jsonl")]
    assert len(files) == 1, "results of one version are kept"
    shown = record.PAGE.read_text().split(record.MARKS[0])[1].split(record.MARKS[1])[0]
    assert shown == record.document(files[0].stem)
