"""Sentences out of columns; every bad line is named."""

import pytest

from job.errors import DataError, SettingsError
from job.workers.readers.base import LABELLED, DataFile
from job.workers.readers.conll import read_conll
from job.workers.tagging import TAGGED_WORDS
from tests.support.inputs import data_settings

TEXT = "-DOCSTART- -X- O\n\n# a comment\nAnna NNP B-PER\nsings VB O\n\n\nLeipzig NNP B-LOC\n"
EXPECTED = [(["Anna", "sings"], ["B-PER", "O"]), (["Leipzig"], ["B-LOC"])]


def read(folder, text, **changes):
    path = folder / "a.conll"
    path.write_text(text)
    chunks = read_conll(DataFile(path, path.name), data_settings(**changes), TAGGED_WORDS)
    return [row for chunk in chunks for row in zip(chunk.values["words"], chunk.values["label"], strict=True)]


@pytest.mark.parametrize(
    "text", [TEXT, TEXT.replace("\n", "\r\n"), TEXT.rstrip(), TEXT.replace("a comment", "a  comment of six words here")]
)
def test_sentences(tmp_path, text):
    assert read(tmp_path, text) == EXPECTED


def test_tabs_divide_words_with_spaces(tmp_path):
    assert read(tmp_path, "New York\tB-LOC\nis\tO\n") == [(["New York", "is"], ["B-LOC", "O"])]


def test_other_columns(tmp_path):
    text = "1\tAnna\tNNP\t_\n2\tsings\tVB\t_\n"
    assert read(tmp_path, text, conll_token_column=2, conll_tag_column=3) == [(["Anna", "sings"], ["NNP", "VB"])]


def test_a_hash_may_be_a_word(tmp_path):
    assert read(tmp_path, "#\tO\n#tag\tB-TAG\n") == [(["#", "#tag"], ["O", "B-TAG"])]


@pytest.mark.parametrize(
    ("text", "changes", "says"),
    [
        ("Anna NNP B-PER\nsings O\n", {}, "a.conll, line 2: 2 columns, where the lines before have 3"),
        ("Anna\nsings\n", {}, "line 1: word and tag are both taken from column 1"),
        ("Anna O\n", {"conll_token_column": 3}, "line 1: there is no column 3; the line has 2"),
        ("Anna O\n", {"conll_tag_column": 4}, "line 1: there is no column 4; the line has 2"),
    ],
)
def test_bad_lines(tmp_path, text, changes, says):
    with pytest.raises(DataError, match=says):
        read(tmp_path, text, **changes)


def test_a_task_that_reads_no_words(tmp_path):
    path = tmp_path / "a.conll"
    path.write_text(TEXT)
    with pytest.raises(SettingsError, match="words with their tags"):
        list(read_conll(DataFile(path, path.name), data_settings(), LABELLED))
