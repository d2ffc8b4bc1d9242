from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from job import records
from job.records import EvalReport, FetchedInputs, InputSource, PreparedData, PublishedRun, Record, TrainResult

SOURCE = InputSource(uri="hf://org/name", revision="0" * 40, num_files=3, size_bytes=10, sha256="f" * 64)
EXAMPLES = [
    SOURCE,
    FetchedInputs(sources={"model": SOURCE.as_dict()}, resumed_step=120),
    FetchedInputs(sources={}),
    PreparedData({"train": 2}, {"train": 20}, "single_label", ["no", "yes"], [1, 1], 16, "abc"),
    TrainResult(step=5, epoch=0.5, best_step=4, best_metric="loss", best_value=None, num_parameters=7, engine={"kind": "single"}),
    EvalReport(
        "test",
        2,
        "accuracy",
        {"accuracy": 0.5, "confusion_matrix": [[1, 0], [1, 0]]},
        {"low": 0.1},
        {"majority": {"accuracy": 0.5}},
    ),
    PublishedRun("s3://bucket/run/model", "report/report.html", 5, "accuracy", 0.5, "f" * 64),
]


@pytest.mark.parametrize("record", EXAMPLES, ids=lambda record: type(record).__name__)
def test_a_record_comes_back_from_disk_as_it_was(record: Record, tmp_path: Path) -> None:
    record.write(tmp_path / "markers" / "record.json")
    assert type(record).read(tmp_path / "markers" / "record.json") == record


def test_every_record_is_tried_and_frozen() -> None:
    kinds = {kind for kind in vars(records).values() if isinstance(kind, type) and issubclass(kind, Record) and kind is not Record}
    assert kinds == {type(record) for record in EXAMPLES}
    for record in EXAMPLES:
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(record, dataclasses.fields(record)[0].name, "changed")


@pytest.mark.parametrize(
    "content", ['{"uri": "x"}', '{"uri": "x", "revision": "", "num_files": 1, "size_bytes": 1, "sha256": "", "later": 1}']
)
def test_a_record_of_another_version_is_not_taken_for_this_one(content: str, tmp_path: Path) -> None:
    (tmp_path / "record.json").write_text(content)
    with pytest.raises(TypeError):
        InputSource.read(tmp_path / "record.json")


def test_no_record_is_told_from_a_bad_one(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        InputSource.read(tmp_path / "none.json")
