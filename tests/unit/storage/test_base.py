from job.errors import DataError
from job.storage.base import MissingObjectError, ObjectInfo


def test_missing_is_a_matter_of_data_and_infos_compare():
    assert issubclass(MissingObjectError, DataError)
    assert ObjectInfo("a", 1) == ObjectInfo("a", 1)
