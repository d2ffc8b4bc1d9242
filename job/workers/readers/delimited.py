"""CSV and TSV: exact about quotes, line ends and the number of fields.

Python's csv module rather than pandas: pandas fills short rows with NaN, turns texts such as "null" into missing values, and
leaves out a quote that is never closed together with all that follows.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator

from job.errors import DataError
from job.settings.data import DataSettings
from job.workers.readers.base import LABELLED, Chunk, DataFile, Roles, check_columns, in_chunks, shorten
from job.workers.readers.streams import read_lines

DELIMITERS = {"csv": ",", "tsv": "\t"}
_LONGEST_FIELD = 1 << 27
_QUOTES_REMEDY = "Correct the line; if quotes are plain text in this file, set JOB_DATA__QUOTING=none."

Record = tuple[int, list[str]]
"""A row's fields, with the number of the line it begins on."""


def read_delimited(file: DataFile, data: DataSettings, roles: Roles = LABELLED, *, delimiter: str) -> Iterator[Chunk]:
    """The asked columns of a CSV or TSV file.

    Raises:
        DataError: for missing columns, rows with too few or too many fields, quotes that do not close, no rows.
    """
    delimiter = data.delimiter or delimiter
    records = _plain(file, data, delimiter) if data.quoting == "none" else _quoted(file, data, delimiter)
    names = _header(file, records) if data.header else list(data.column_names)
    positions = {role: names.index(column) for role, column in check_columns(file.name, names, data, roles).items()}
    for chunk in in_chunks(_of_equal_width(file, records, names, header=data.header)):
        yield Chunk({role: [fields[at] for fields in chunk] for role, at in positions.items()})


def _header(file: DataFile, records: Iterator[Record]) -> list[str]:
    record = next(records, None)
    if record is None:
        raise DataError(f"{file.name} is empty: it has not even a line of column names.", "Write the file anew, or leave it out.")
    return record[1]


def _of_equal_width(file: DataFile, records: Iterator[Record], names: list[str], *, header: bool) -> Iterator[list[str]]:
    for line, fields in records:
        if len(fields) != len(names):
            expected = "the header has" if header else "JOB_DATA__COLUMN_NAMES names"
            raise DataError(
                f"{file.name}, line {line}: {len(fields)} fields, where {expected} {len(names)}; it begins '{shorten(fields[0])}'.",
                "Correct the line, or set JOB_DATA__DELIMITER, JOB_DATA__QUOTING or JOB_DATA__COLUMN_NAMES to what the file has.",
            )
        yield fields


def _plain(file: DataFile, data: DataSettings, delimiter: str) -> Iterator[Record]:
    """Quotes are plain text, so a line is a row; a carriage return inside it stays where it is."""
    for line, content in enumerate(read_lines(file, data.encoding, newline="\n"), start=1):
        row = content.removesuffix("\n").removesuffix("\r")
        if row:
            yield line, row.split(delimiter)


def _quoted(file: DataFile, data: DataSettings, delimiter: str) -> Iterator[Record]:
    csv.field_size_limit(_LONGEST_FIELD)
    reader = csv.reader(read_lines(file, data.encoding, newline=""), delimiter=delimiter, strict=True)
    line = 1
    try:
        for fields in reader:
            if fields:
                yield line, fields
            line = reader.line_num + 1
    except csv.Error as error:
        raise _bad_quotes(file, line, reader.line_num, error) from error


def _bad_quotes(file: DataFile, first: int, last: int, error: csv.Error) -> DataError:
    if "unexpected end of data" in str(error):
        return DataError(f"{file.name}, line {first}: a quote opens in this row and never closes.", _QUOTES_REMEDY)
    return DataError(f"{file.name}, line {last}: not valid CSV ({error}).", _QUOTES_REMEDY)
