import json

from job.records import PublishedRun
from job.reporting.summary import render
from tests.support import bundles

PUBLISHED = PublishedRun("file:///store/run/model", "/runs/demo/report/report.html", 880, "accuracy", 0.937, "ab" * 32)


def test_summary_of_a_whole_run(tmp_path):
    bundle = bundles.single_label()
    for name, value in (("metrics", bundle.evaluation), ("training", bundle.train), ("timings", bundle.timings)):
        (tmp_path / f"{name}.json").write_text(json.dumps(value))
    (tmp_path / "metrics.jsonl").write_text("".join(json.dumps(record) + "\n" for record in bundle.metrics))
    lines = render(PUBLISHED, tmp_path).splitlines()
    assert [line.split("  ", 2)[1].strip() for line in lines[1:]] == [
        "accuracy",
        "always the same answer",
        "before training",
        "published step",
        "tokens/s",
        "time",
        "model",
        "report",
    ]
    assert lines[1].endswith("0.937  (95 % interval 0.921 to 0.952) on 1,000 test examples")
    assert lines[4].endswith("880 of 960")
    assert lines[6].endswith("fetch 0.31 s, prepare 6.4 s, train 58 s, evaluate 7.9 s, publish 0.80 s")


def test_summary_with_nothing_but_the_record(tmp_path):
    text = render(PUBLISHED, tmp_path)
    assert "0.937" in text
    assert "/runs/demo/report/report.html" in text
