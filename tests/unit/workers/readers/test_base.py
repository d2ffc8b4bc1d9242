"""The check that the asked columns are there, and its remedies."""

import pytest

from job.errors import DataError
from job.workers.readers.base import CHUNK_ROWS, asked_columns, check_columns, in_chunks, shorten
from tests.support.inputs import data_settings


def refusal(present: list[str], **changes: str) -> DataError:
    with pytest.raises(DataError) as caught:
        check_columns("a.csv", present, data_settings(**changes))
    return caught.value


def test_only_asked_roles_have_a_column():
    assert asked_columns(data_settings()) == {"text": "text", "label": "label"}
    asked = asked_columns(data_settings(text_pair_column="other", id_column="key"))
    assert asked == {"text": "text", "pair": "other", "label": "label", "id": "key"}


def test_columns_that_are_there_pass():
    assert check_columns("a.csv", ["label", "extra", "text"], data_settings()) == {"text": "text", "label": "label"}


@pytest.mark.parametrize(
    ("changes", "variable"),
    [
        ({"text_column": "body"}, "JOB_DATA__TEXT_COLUMN"),
        ({"text_pair_column": "body"}, "JOB_DATA__TEXT_PAIR_COLUMN"),
        ({"label_column": "body"}, "JOB_DATA__LABEL_COLUMN"),
        ({"id_column": "body"}, "JOB_DATA__ID_COLUMN"),
    ],
)
def test_a_missing_column_names_its_variable(changes, variable):
    error = refusal(["text", "label"], **changes)
    assert error.message == "a.csv has no column 'body'; it has 'text', 'label'."
    assert error.hint.startswith(f"Set {variable} to")


def test_the_nearest_name_is_offered_whatever_its_case_and_spaces():
    assert "(nearest: ' Text ')" in refusal([" Text ", "label"]).hint
    assert "nearest" not in refusal(["zzzz", "label"]).hint


def test_a_file_of_one_wide_column_points_at_the_delimiter():
    assert "JOB_DATA__DELIMITER" in refusal(["text;label"]).hint


def test_a_column_that_occurs_twice_is_refused():
    assert refusal(["text", "label", "text"]).message == "a.csv has 2 columns named 'text'."


def test_long_and_many_names_are_shortened():
    message = refusal(["x" * 100, *map(str, range(20))]).message
    assert "x" * 41 not in message
    assert message.endswith("and 9 more.")
    assert shorten("short") == "short"


def test_chunks_are_bounded_and_lose_nothing():
    chunks = list(in_chunks(range(CHUNK_ROWS * 2 + 1)))
    assert [len(chunk) for chunk in chunks] == [CHUNK_ROWS, CHUNK_ROWS, 1]
    assert [one for chunk in chunks for one in chunk] == list(range(CHUNK_ROWS * 2 + 1))
