"""Parquet: typed values, class names, broken files."""

import gzip

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from job.errors import DataError
from job.workers.readers import streams
from job.workers.readers.base import DataFile
from job.workers.readers.parquet import read_parquet
from tests.support.inputs import as_parquet, data_settings

ROWS = [{"text": "a", "label": 1}, {"text": None, "label": None}]


def read(tmp_path, content: bytes, name: str = "a.parquet", **changes):
    path = tmp_path / name
    path.write_bytes(content)
    return list(read_parquet(DataFile(path, name), data_settings(**changes)))


def test_values_keep_their_types(tmp_path):
    (chunk,) = read(tmp_path, as_parquet(ROWS))
    assert chunk.values == {"text": ["a", None], "label": [1, None]}
    assert chunk.label_names == ()


def test_a_compressed_parquet_file_is_unpacked_and_cleared_away(tmp_path):
    (chunk,) = read(tmp_path, gzip.compress(as_parquet(ROWS)), "a.parquet.gz")
    assert chunk.values["text"] == ["a", None]
    assert [path.name for path in tmp_path.iterdir()] == ["a.parquet.gz"]


def test_dictionary_columns_are_texts(tmp_path):
    path = tmp_path / "d.parquet"
    pq.write_table(pa.table({"text": pa.array(["a", "a"]).dictionary_encode(), "label": [True, False]}), path)
    (chunk,) = read_parquet(DataFile(path, "d.parquet"), data_settings())
    assert chunk.values == {"text": ["a", "a"], "label": [True, False]}


def test_a_bomb_is_not_unpacked(tmp_path, monkeypatch):
    monkeypatch.setattr(streams, "FREE_BYTES", 1 << 20)
    monkeypatch.setattr(streams, "MAX_EXPANSION", 40)
    table = pa.table({"text": pa.array(["good " * 200] * 10_000), "label": pa.array([1] * 10_000)})
    for stored in (table, table.set_column(0, "text", table["text"].dictionary_encode())):
        pq.write_table(stored, tmp_path / "bomb.parquet")
        seen = 0
        with pytest.raises(DataError, match=r"bomb\.parquet comes to more than 1,048,576 bytes"):
            for chunk in read_parquet(DataFile(tmp_path / "bomb.parquet", "bomb.parquet"), data_settings()):
                seen += len(chunk.values["text"])
        assert seen < 2_000
    pq.write_table(table[:1_000], tmp_path / "small.parquet")
    assert len(read(tmp_path, (tmp_path / "small.parquet").read_bytes())) == 1


def test_class_names_of_the_schema_are_used(tmp_path):
    from datasets import ClassLabel, Dataset, Features, Value

    features = Features({"text": Value("string"), "label": ClassLabel(names=["zero", "one"])})
    Dataset.from_dict({"text": ["a", "b", "c"], "label": [1, 0, -1]}, features=features).to_parquet(tmp_path / "c.parquet")
    (chunk,) = read(tmp_path, (tmp_path / "c.parquet").read_bytes())
    assert chunk.values["label"] == ["one", "zero", None]
    assert chunk.label_names == ("zero", "one")


@pytest.mark.parametrize(
    "content", [b"text,label\na,1\n", b"PAR1", as_parquet(ROWS)[:-30], as_parquet(ROWS)[:40] + bytes(20) + as_parquet(ROWS)[60:]]
)
def test_what_is_not_sound_is_refused(tmp_path, content):
    with pytest.raises(DataError, match=r"a\.parquet is not a sound Parquet file"):
        read(tmp_path, content)


def test_an_empty_file_is_refused(tmp_path):
    with pytest.raises(DataError, match=r"a\.parquet is empty"):
        read(tmp_path, b"")


def test_a_missing_column_is_named(tmp_path):
    with pytest.raises(DataError, match=r"a\.parquet has no column 'body'; it has 'text', 'label'"):
        read(tmp_path, as_parquet(ROWS), text_column="body")
