import json
import logging

from job.reporting.bundle import ReportBundle, kind, read_metrics


def write(path, *lines):
    path.write_text("".join(line if isinstance(line, str) else json.dumps(line) + "\n" for line in lines))
    return path


def test_no_file_is_no_records(tmp_path):
    assert read_metrics(tmp_path / "metrics.jsonl") == []


def test_later_line_wins_for_the_same_step_and_kind(tmp_path):
    path = write(
        tmp_path / "m",
        {"attempt": 1, "step": 10, "train/loss": 1.0},
        {"attempt": 1, "step": 10, "eval/loss": 2.0},
        {"attempt": 1, "step": 20, "train/loss": 0.9},
        {"attempt": 2, "step": 10, "train/loss": 1.5},
    )
    assert [(record["step"], kind(record), record["attempt"]) for record in read_metrics(path)] == [
        (10, "train", 2),
        (10, "eval", 1),
        (20, "train", 1),
    ]


def test_torn_and_foreign_lines_are_left_out_and_said(tmp_path, caplog):
    path = write(tmp_path / "m", {"step": 1, "train/loss": 1.0}, "[1]\n", {"loss": 1}, '{"step": 2, "trai')
    with caplog.at_level(logging.WARNING):
        assert [record["step"] for record in read_metrics(path)] == [1]
    assert "left out 3 lines" in caplog.text


def test_evaluation_at_step_zero_is_kept(tmp_path):
    path = write(tmp_path / "m", {"step": 0, "eval/loss": 0.7})
    assert ReportBundle("x", metrics=read_metrics(path)).curve("eval/loss") == [(0, 0.7)]


def test_curve_leaves_out_nulls():
    bundle = ReportBundle("x", metrics=[{"step": 1, "train/loss": None}, {"step": 2, "train/loss": 0.5}, {"step": 3}])
    assert bundle.curve("train/loss") == [(2, 0.5)]


def test_masked_takes_credentials_out_everywhere():
    bundle = ReportBundle("x", settings={"data": {"train_uri": ["s3://user:word@bucket"]}}, mistakes=[{"text": "hf_" + "a" * 30}])
    assert "word" not in repr(bundle.masked())
    assert "hf_a" not in repr(bundle.masked())
