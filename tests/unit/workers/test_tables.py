"""A split's files as one table, and places in them."""

import pytest

from job.errors import DataError
from job.workers.tables import READERS, Reading, read_source
from tests.support.inputs import as_csv, as_json_lines, data_settings, reviews, write_inputs


def read(tmp_path, files: dict[str, bytes], split: str = "train", **changes):
    run_dir = write_inputs(tmp_path / "run", {split: files})
    beats = []
    return read_source(run_dir, split, Reading(data_settings(**changes), tmp_path / "scratch"), lambda: beats.append(1)), beats


def test_files_are_read_in_the_order_of_the_manifest(tmp_path):
    source, beats = read(tmp_path, {"b.csv": as_csv(reviews(2)), "a.csv": as_csv(reviews(3))})
    assert source.table["text"].to_pylist() == [row["text"] for row in reviews(2) + reviews(3)]
    assert source.identifiers([0, 4]) == ["train-1", "train-5"]
    assert [source.place(row) for row in (0, 1, 2, 4)] == ["b.csv, row 1", "b.csv, row 2", "a.csv, row 1", "a.csv, row 3"]
    assert len(beats) == 2
    assert source.notes == ("The train data has 5 rows, from 2 csv files.",)
    assert source.kinds == {"text"}


def test_a_text_folder_is_one_source(tmp_path):
    source, _ = read(tmp_path, {"pos/1.txt": b"good", "neg/1.txt": b"bad", "unsup/1.txt": b"?"})
    assert source.table["id"].to_pylist() == ["pos/1.txt", "neg/1.txt"]
    assert source.table["label"].to_pylist() == [["pos"], ["neg"]]
    assert source.place(1) == "text folder, row 2"
    assert "which holds unlabelled texts" in source.notes[-1]


def test_a_data_set_of_the_hub(tmp_path):
    run_dir = write_inputs(tmp_path / "run", {"eval": {"validation.jsonl": as_json_lines(reviews(4))}}, kind="hub")
    source = read_source(run_dir, "eval", Reading(data_settings(), tmp_path / "scratch"), lambda: None)
    assert source.table.num_rows == 4
    assert source.place(3) == "the data set's split 'validation', row 4"


def test_a_file_without_rows_is_named(tmp_path):
    with pytest.raises(DataError, match=r"b\.csv has no rows"):
        read(tmp_path, {"a.csv": as_csv(reviews(2)), "b.csv": b"text,label\n"})


def test_the_table_is_mapped_from_disk(tmp_path):
    import pyarrow as pa

    before = pa.total_allocated_bytes()
    source, _ = read(tmp_path, {"a.csv": as_csv([{"text": "x" * 10_000, "label": "a"}] * 500)})
    assert source.table.nbytes > 5_000_000
    assert pa.total_allocated_bytes() - before < 1_000_000


def test_every_format_has_a_reader():
    assert set(READERS) == {"csv", "tsv", "jsonl", "parquet", "text"}
