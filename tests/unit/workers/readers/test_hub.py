"""Snapshots of Hub data sets, read without network."""

import pytest

from job.errors import DataError
from job.workers.readers.hub import read_hub, wanted_split
from tests.support.inputs import as_csv, as_parquet, data_settings, reviews

pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning")


@pytest.fixture
def snapshot(tmp_path):
    folder = tmp_path / "snapshot"
    folder.mkdir()
    (folder / "train.csv").write_bytes(as_csv(reviews(5)))
    (folder / "test.csv").write_bytes(as_csv(reviews(3)))
    return folder


def test_the_split_of_the_settings_is_read(snapshot, tmp_path):
    (chunk,) = read_hub(snapshot, "test", data_settings(), tmp_path / "cache")
    assert chunk.values["label"] == ["bad", "good", "good"]


def test_split_names_by_ours():
    data = data_settings(train_split="a", eval_split="b", test_split="c")
    assert [wanted_split(split, data) for split in ("train", "eval", "test")] == ["a", "b", "c"]


def test_an_unknown_split_names_those_that_are_there(snapshot, tmp_path):
    with pytest.raises(DataError, match=r"split 'validation' cannot be loaded: .*train.*test") as caught:
        list(read_hub(snapshot, "eval", data_settings(), tmp_path / "cache"))
    assert "JOB_DATA__EVAL_SPLIT" in caught.value.hint


def test_a_missing_column_is_named(snapshot, tmp_path):
    with pytest.raises(DataError, match="split 'train' has no column 'body'; it has 'text', 'label'"):
        list(read_hub(snapshot, "train", data_settings(text_column="body"), tmp_path / "cache"))


def test_configurations_of_the_data_sets_page(tmp_path):
    folder = tmp_path / "several"
    (folder / "en").mkdir(parents=True)
    (folder / "de").mkdir()
    (folder / "en/train.parquet").write_bytes(as_parquet(reviews(2)))
    (folder / "de/train.parquet").write_bytes(as_parquet(reviews(4)))
    entries = "".join(f"- config_name: {name}\n  data_files: {name}/*.parquet\n" for name in ("en", "de"))
    (folder / "README.md").write_text(f"---\nconfigs:\n{entries}---\n")
    (chunk,) = read_hub(folder, "train", data_settings(hub_config="de"), tmp_path / "cache")
    assert len(chunk) == 4
    with pytest.raises(DataError, match="cannot be loaded: Config name is missing") as caught:
        list(read_hub(folder, "train", data_settings(), tmp_path / "cache"))
    assert "JOB_DATA__HUB_CONFIG" in caught.value.hint


def test_broken_files_are_a_data_error(tmp_path):
    folder = tmp_path / "broken"
    folder.mkdir()
    (folder / "train.parquet").write_bytes(b"not parquet at all")
    with pytest.raises(DataError, match="split 'train' cannot be loaded"):
        list(read_hub(folder, "train", data_settings(), tmp_path / "cache"))
