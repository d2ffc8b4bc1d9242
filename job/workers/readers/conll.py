"""CoNLL columns: one word a line with its tags beside it, an empty line after each sentence.

Columns are divided by tabs, or by white space where the file's first line has no tab.  Lines that begin with ``-DOCSTART-`` divide
documents and lines that begin with ``#`` followed by a space are comments, as in CoNLL-U; both are left out.
"""

from __future__ import annotations

from collections.abc import Iterator

from job.errors import DataError, SettingsError
from job.settings.data import DataSettings
from job.workers.readers.base import LABELLED, Chunk, DataFile, Roles, in_chunks, shorten
from job.workers.readers.streams import read_lines

_DOCUMENT = "-DOCSTART-"
_COMMENT = "# "

Sentence = tuple[list[str], list[str]]
"""Words and tags."""


def read_conll(file: DataFile, data: DataSettings, roles: Roles = LABELLED) -> Iterator[Chunk]:
    """Sentences of a CoNLL file: ``words`` and ``label``.

    Raises:
        SettingsError: when the task reads no words.
        DataError: for a line with another number of columns than the first, or a column that is not there.
    """
    if "words" not in roles:
        raise SettingsError(
            f"{file.name} holds words with their tags (CoNLL columns), which the task does not read.",
            "Set JOB_TASK=token-classification, or JOB_DATA__FORMAT to what the file is.",
        )
    for chunk in in_chunks(_sentences(file, data)):
        yield Chunk({"words": [words for words, _ in chunk], "label": [tags for _, tags in chunk]})


def _sentences(file: DataFile, data: DataSettings) -> Iterator[Sentence]:
    words: list[str] = []
    tags: list[str] = []
    for fields in _rows(file, data):
        if fields:
            words.append(fields[0])
            tags.append(fields[1])
        elif words:
            yield words, tags
            words, tags = [], []
    if words:
        yield words, tags


def _rows(file: DataFile, data: DataSettings) -> Iterator[tuple[str, str] | None]:
    """Word and tag of each line, None between sentences."""
    divider: str | None = None
    width = 0
    for line, content in enumerate(read_lines(file, data.encoding, newline="\n"), start=1):
        row = content.rstrip("\r\n")
        if not row.strip() or row.startswith(_DOCUMENT):
            yield None
            continue
        if row.startswith(_COMMENT):
            continue
        if not width:
            divider = "\t" if "\t" in row else None
        fields = row.split(divider)
        _check_width(file, line, fields, width)
        width = width or len(fields)
        yield _chosen(file, line, fields, data)


def _check_width(file: DataFile, line: int, fields: list[str], width: int) -> None:
    if width and len(fields) != width:
        raise DataError(
            f"{file.name}, line {line}: {len(fields)} columns, where the lines before have {width}; it begins '{shorten(fields[0])}'.",
            "Correct the line: every word's line has the same columns, and an empty line ends a sentence.",
        )


def _chosen(file: DataFile, line: int, fields: list[str], data: DataSettings) -> tuple[str, str]:
    at = data.conll_token_column, data.conll_tag_column or len(fields)
    for number, variable in zip(at, ("JOB_DATA__CONLL_TOKEN_COLUMN", "JOB_DATA__CONLL_TAG_COLUMN"), strict=True):
        if number > len(fields):
            raise DataError(
                f"{file.name}, line {line}: there is no column {number}; the line has {len(fields)}.",
                f"Set {variable} to the number of a column that is there, counted from 1.",
            )
    if at[0] == at[1]:
        raise DataError(
            f"{file.name}, line {line}: word and tag are both taken from column {at[0]}.",
            "The lines of a CoNLL file have a word and its tag; set JOB_DATA__CONLL_TOKEN_COLUMN and JOB_DATA__CONLL_TAG_COLUMN.",
        )
    return fields[at[0] - 1], fields[at[1] - 1]
