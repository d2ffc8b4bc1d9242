"""CSV and TSV: nothing in a text changes, and nothing wrong passes."""

import pytest

from job.errors import DataError
from job.workers.readers.base import CHUNK_ROWS, DataFile
from job.workers.readers.delimited import read_delimited
from tests.support.inputs import data_settings

HEADERLESS = {"header": False, "column_names": ("text", "label")}


def read(tmp_path, content: str | bytes, delimiter: str = ",", **changes):
    path = tmp_path / "a.csv"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    chunks = read_delimited(DataFile(path, "a.csv"), data_settings(**changes), delimiter=delimiter)
    return [row for chunk in chunks for row in zip(chunk.values["text"], chunk.values["label"], strict=True)]


def refusal(tmp_path, content: str | bytes, **changes) -> DataError:
    with pytest.raises(DataError) as caught:
        read(tmp_path, content, **changes)
    return caught.value


def test_columns_are_found_by_name(tmp_path):
    assert read(tmp_path, "label,x,text\nL,1,T\n") == [("T", "L")]


def test_quotes_enclose_delimiters_line_ends_and_quotes(tmp_path):
    assert read(tmp_path, 'text,label\r\n"a, ""b""\r\nc",L\r\n') == [('a, "b"\r\nc', "L")]


@pytest.mark.parametrize("text", ["null", "NaN", "NA", "None", "#N/A", "", "  spaces  ", "1e5", "true"])
def test_texts_stay_what_they_are(tmp_path, text):
    assert read(tmp_path, f"text,label\n{text},{text}\n") == [(text, text)]


def test_plain_quotes_survive(tmp_path):
    content = '"Not so "good"\tL\n"""\tL\n'
    assert read(tmp_path, content, "\t", quoting="none", **HEADERLESS) == [('"Not so "good"', "L"), ('"""', "L")]


def test_a_carriage_return_inside_a_plain_line_is_text(tmp_path):
    assert read(tmp_path, "a\rb\tL\r\n", "\t", quoting="none", **HEADERLESS) == [("a\rb", "L")]


@pytest.mark.parametrize("quoting", ["minimal", "none"])
def test_unusual_line_separators_are_text(tmp_path, quoting):
    text = "a\x85b\u2028c\x0bd\x1ce"
    assert read(tmp_path, f"{text},L\n", quoting=quoting, **HEADERLESS) == [(text, "L")]


@pytest.mark.parametrize("quoting", ["minimal", "none"])
def test_blank_lines_and_a_missing_last_line_end_are_no_rows(tmp_path, quoting):
    assert read(tmp_path, "text,label\n\na,L\n\nb,M", quoting=quoting) == [("a", "L"), ("b", "M")]


def test_the_delimiter_of_the_settings_is_stronger(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("text;label\na,b;L\n")
    (chunk,) = read_delimited(DataFile(path, "a.csv"), data_settings(delimiter=";"), delimiter=",")
    assert chunk.values == {"text": ["a,b"], "label": ["L"]}


def test_chunks_are_bounded(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("text,label\n" + "a,L\n" * (CHUNK_ROWS + 1))
    lengths = [len(chunk) for chunk in read_delimited(DataFile(path, "a.csv"), data_settings(), delimiter=",")]
    assert lengths == [CHUNK_ROWS, 1]


@pytest.mark.parametrize("quoting", ["minimal", "none"])
def test_ragged_rows_name_the_line(tmp_path, quoting):
    assert refusal(tmp_path, "text,label\na,L\na,b,L\n", quoting=quoting).message == (
        "a.csv, line 3: 3 fields, where the header has 2; it begins 'a'."
    )
    assert refusal(tmp_path, "text,label\na\n", quoting=quoting).message.startswith("a.csv, line 2: 1 fields")


def test_lines_are_counted_through_quoted_line_ends(tmp_path):
    assert refusal(tmp_path, 'text,label\n"a\nb\nc",L\nx\n').message.startswith("a.csv, line 5: 1 fields")


def test_column_names_that_do_not_fit_are_named(tmp_path):
    message = refusal(tmp_path, "a,b,L\n", header=False, column_names=("text", "label")).message
    assert message.startswith("a.csv, line 1: 3 fields, where JOB_DATA__COLUMN_NAMES names 2")


def test_a_quote_that_never_closes_names_the_row_it_opens_in(tmp_path):
    error = refusal(tmp_path, 'text,label\na,L\n"open,L\nb,L\n')
    assert error.message == "a.csv, line 3: a quote opens in this row and never closes."
    assert "JOB_DATA__QUOTING=none" in error.hint


def test_text_after_a_closing_quote_is_refused(tmp_path):
    assert refusal(tmp_path, 'text,label\na,L\n"a" b,L\n').message.startswith("a.csv, line 3: not valid CSV")


def test_utf_16_without_a_mark_is_recognised_by_its_header(tmp_path):
    assert "JOB_DATA__ENCODING=utf-16-le" in refusal(tmp_path, "text,label\na,L\n".encode("utf-16-le")).hint


def test_an_empty_header_is_refused(tmp_path):
    assert "not even a line of column names" in refusal(tmp_path, "\n\n").message
