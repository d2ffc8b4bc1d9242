"""Which files are data, and in which format."""

import pytest

from job.errors import DataError
from job.workers.formats import choose_format
from job.workers.readers.base import DataFile
from tests.support.inputs import data_settings


def choose(*names: str, **changes: str):
    return choose_format([DataFile(None, name) for name in names], data_settings(**changes))


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("a.csv", "csv"),
        ("a.CSV", "csv"),
        ("a.b.tsv.gz", "tsv"),
        ("a.tab", "tsv"),
        ("x/a.jsonl.zst", "jsonl"),
        ("a.ndjson", "jsonl"),
        ("a.json", "jsonl"),
        ("a.parquet", "parquet"),
        ("a.pq", "parquet"),
        ("pos/a.txt", "text-folder"),
        ("pos/a.txt.gz", "text-folder"),
    ],
)
def test_the_ending_tells_the_format(name, kind):
    assert choose(name).format == kind


def test_the_settings_are_stronger_than_the_ending():
    assert choose("a.txt", "b.data", format="tsv").format == "tsv"


def test_files_about_the_data_are_ignored_with_a_note():
    found = choose("_SUCCESS", ".part.crc", "README.md", "data/LICENSE", "a.csv")
    assert [file.name for file in found.files] == ["a.csv"]
    assert found.notes == ("4 files were ignored, being about the data: _SUCCESS, .part.crc, README.md, data/LICENSE.",)


def test_a_text_folder_says_what_it_recognised():
    found = choose("pos/a.txt", "neg/b.txt", "list.feat")
    assert found.notes == ("Recognised a folder of texts: 2 files, labels by sub-folder.", "1 files were ignored: no .txt file.")


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (("a.csv", "b.jsonl"), "several formats: a.csv is csv, b.jsonl is jsonl"),
        (("a.xlsx",), "a.xlsx: its ending '.xlsx' does not say what it is"),
        (("a.csv", "b.pdf.gz"), "b.pdf.gz: its ending '.pdf'"),
        (("a.txt",), "a.txt: its ending '.txt'"),
        (("noending",), "noending: its ending ''"),
        (("_SUCCESS",), "No data file among 1 fetched files"),
    ],
)
def test_what_cannot_be_recognised_is_refused(names, message):
    with pytest.raises(DataError, match=message.replace(".", r"\.")):
        choose(*names)


def test_texts_are_plain_text_where_no_label_is_read():
    files = [DataFile(None, name) for name in ("a.txt", "pos/b.txt.gz")]
    assert choose_format(files, data_settings(), labelled=False).format == "text"
    assert choose_format([DataFile(None, "a.jsonl")], data_settings(), labelled=False).format == "jsonl"
