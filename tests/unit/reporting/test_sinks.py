import json
import math

from job.reporting.sinks import MetricsFile


def steps(path):
    return [json.loads(line)["step"] for line in path.read_text().splitlines()]


def test_nothing_is_touched_before_the_first_record(tmp_path):
    path = tmp_path / "run" / "metrics.jsonl"
    metrics = MetricsFile(path)
    assert not path.parent.exists()
    metrics.append({"step": 1})
    assert steps(path) == [1]


def test_each_record_is_on_disk_at_once(tmp_path):
    metrics = MetricsFile(tmp_path / "m")
    for step in range(3):
        metrics.append({"step": step})
        assert steps(tmp_path / "m") == list(range(step + 1))


def test_numbers_that_json_does_not_know_become_null(tmp_path):
    MetricsFile(tmp_path / "m").append({"step": 1, "train/loss": math.nan, "more": [math.inf, 1.5], "inner": {"x": -math.inf}})
    assert json.loads((tmp_path / "m").read_text()) == {"step": 1, "train/loss": None, "more": [None, 1.5], "inner": {"x": None}}


def test_a_torn_line_is_removed_before_the_next_record(tmp_path):
    (tmp_path / "m").write_text('{"step": 1}\n{"step": 2, "tra')
    MetricsFile(tmp_path / "m").append({"step": 2})
    assert steps(tmp_path / "m") == [1, 2]


def test_truncate_after_forgets_later_steps(tmp_path):
    metrics = MetricsFile(tmp_path / "m")
    for step in (10, 20, 30):
        metrics.append({"step": step})
    metrics.truncate_after(20)
    metrics.append({"step": 25})
    assert steps(tmp_path / "m") == [10, 20, 25]


def test_truncating_what_is_not_there_is_no_error(tmp_path):
    MetricsFile(tmp_path / "m").truncate_after(5)
    assert not (tmp_path / "m").exists()
