import pytest

from job.errors import DataError
from job.workers.readers.base import ID_ROLE, LABELLED, DataFile, Role
from job.workers.readers.plain_text import read_documents
from tests.support.inputs import data_settings

ROLES = {"id": ID_ROLE, "text": Role("text_column")}
TEXT = b"one\r\nand more\r\n\r\n \ntwo\n\n\n"


@pytest.mark.parametrize(
    ("end", "expected"),
    [("file", [TEXT.decode()]), ("blank_line", ["one\r\nand more", "two"]), ("line", ["one", "and more", "two"])],
)
def test_where_a_document_ends(tmp_path, end, expected):
    (tmp_path / "a.txt").write_bytes(TEXT)
    (chunk,) = read_documents(DataFile(tmp_path / "a.txt", "a.txt"), data_settings(document_break=end), ROLES)
    assert chunk.values["text"] == expected
    assert chunk.values["id"] == [f"a.txt#{at}" for at in range(1, len(expected) + 1)]


def test_plain_text_has_no_labels(tmp_path):
    (tmp_path / "a.txt").write_bytes(TEXT)
    with pytest.raises(DataError, match="plain text"):
        list(read_documents(DataFile(tmp_path / "a.txt", "a.txt"), data_settings(), LABELLED))
