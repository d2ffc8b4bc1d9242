import pytest

from job.errors import DataError, SettingsError
from job.inspection.places import find_runs
from job.storage.commit import RunLog
from job.storage.local import LocalStore


@pytest.fixture
def output(tmp_path):
    store = LocalStore(tmp_path / "store")
    RunLog(store, "one").start("settings")
    RunLog(store, "two").start("settings")
    return tmp_path / "store"


def test_an_output_and_one_run_in_it(output):
    store, names = find_runs(str(output))
    assert (store.root, names) == (output, ["one", "two"])
    for text in (f"{output}/two", f"{output}/two/", (output / "two").as_uri()):
        store, names = find_runs(text)
        assert (store.root, names) == (output, ["two"])


def test_a_place_without_runs(tmp_path):
    with pytest.raises(DataError, match="no run"):
        find_runs(str(tmp_path))


def test_no_place_for_runs():
    with pytest.raises(SettingsError, match="Hub"):
        find_runs("hf://org/name")
