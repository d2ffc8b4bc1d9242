"""Publishing a folder that only looks like a model; report and card are real, from a bundle of the tests."""

from __future__ import annotations

import json

import pytest

from job import run_dir as run_dirs
from job.errors import FencedError, StopRequested
from job.records import EvalReport, FetchedInputs
from job.stages.publish import PACKAGES, publish, versions
from tests.support import bundles


@pytest.fixture
def trained(context):
    """The run directory as it stands after the evaluation."""
    bundle, run_dir = bundles.single_label(), context.run_dir
    for path, value in {
        run_dir.prepared / "prepared.json": bundle.prepared,
        run_dir.ledger: bundle.ledger,
        run_dir.root / "train.json": bundle.train,
        run_dir.evaluation / "mistakes.json": bundle.mistakes,
        run_dir.identity: {"settings_fingerprint": "s", "data_fingerprint": "d"},
        run_dir.model / "config.json": {},
    }.items():
        run_dirs.write_json(path, value)
    run_dir.metrics.write_text("".join(json.dumps(record) + "\n" for record in bundle.metrics))
    (run_dir.evaluation / "predictions.parquet").write_bytes(b"predictions")
    return FetchedInputs(bundle.sources), EvalReport(**bundle.evaluation)


def test_the_model_is_published_with_its_report_and_the_run_is_complete(context, trained, tmp_path):
    fetched, scored = trained
    published = publish(context, fetched, scored, {"train": 3.0})
    assert [entry.kind for entry in context.attempt.entries] == ["started", "published", "complete"]
    folder = tmp_path / "store" / "tiny" / "attempts" / context.attempt.nonce / "model"
    assert published.model_uri == folder.as_uri()
    manifest = json.loads((folder / "MANIFEST.json").read_bytes())
    paths = {entry["path"] for entry in manifest["files"]}
    assert paths >= {"config.json", "README.md", "report/report.html", "report/predictions.parquet", "report/metrics.jsonl"}
    assert (manifest["kind"], manifest["step"], manifest["data_fingerprint"]) == ("model", published.step, "d")
    assert published.value == scored.metrics[scored.main_metric]
    assert published.report_path == str(context.run_dir.report / "report.html")


def test_a_second_publication_leaves_nothing_of_the_first_report(context, trained):
    stale = [context.run_dir.report / "old.html", context.run_dir.model / "report" / "old.html"]
    for path in stale:
        path.parent.mkdir(parents=True)
        path.write_text("of an earlier attempt")
    publish(context, *trained, {})
    assert not any(path.exists() for path in stale)


def test_nothing_is_published_by_an_attempt_that_lost_the_run(context, trained, make_context, settings):
    newer = make_context(settings)
    with pytest.raises(FencedError):
        publish(context, *trained, {})
    assert [entry.kind for entry in newer.attempt.log.read()] == ["started", "started"]


def test_a_stop_before_publishes_nothing(context, trained):
    context.stop.request("SIGTERM")
    with pytest.raises(StopRequested):
        publish(context, *trained, {})
    assert [entry.kind for entry in context.attempt.entries] == ["started"]


def test_versions_are_of_what_made_the_result():
    assert versions().keys() == {"python", *PACKAGES}
