"""The rows of one split as they were given, in an Arrow file that is mapped, not loaded."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa

from job import run_dir as run_dirs
from job.errors import DataError
from job.settings.data import DataSettings
from job.workers.formats import TEXT_FOLDER, FormattedFiles, choose_format
from job.workers.readers.base import LABELLED, Chunk, DataFile, Roles
from job.workers.readers.delimited import DELIMITERS, read_delimited
from job.workers.readers.hub import read_hub, wanted_split
from job.workers.readers.json_lines import read_json_lines
from job.workers.readers.parquet import read_parquet
from job.workers.readers.plain_text import read_documents
from job.workers.readers.text_folder import read_text_folder
from job.workers.rows import RowMaker, schema_of

Reader = Callable[[DataFile, DataSettings, Roles], Iterator[Chunk]]
Progress = Callable[[], None]
READERS: dict[str, Reader] = {
    "csv": partial(read_delimited, delimiter=DELIMITERS["csv"]),
    "tsv": partial(read_delimited, delimiter=DELIMITERS["tsv"]),
    "jsonl": read_json_lines,
    "parquet": read_parquet,
    "text": read_documents,
}


@dataclass(frozen=True)
class Source:
    """All rows of one split: ``table`` has the columns of `rows.schema_of` the task's roles, in the order of the files.

    ``kinds`` are the kinds of label values (`rows.RowMaker`); ``label_names`` the classes that the data itself names, in
    order; ``starts`` the files, each with the number of rows before it.
    """

    split: str
    table: pa.Table
    kinds: frozenset[str]
    label_names: tuple[str, ...]
    starts: tuple[tuple[int, str], ...]
    notes: tuple[str, ...]

    def place(self, row: int) -> str:
        """Where a row (from 0) stands, for a message."""
        first, name = self.starts[bisect_right(self.starts, row, key=lambda start: start[0]) - 1]
        return f"{name}, row {row - first + 1}"

    def identifiers(self, rows: Any) -> list[str]:
        """The ids of some rows."""
        return [self.table["id"][int(row)].as_py() for row in rows]


@dataclass(frozen=True)
class Reading:
    """How sources are read: settings, what each column is for, and a folder that has to stay while the sources are used."""

    data: DataSettings
    scratch: Path
    roles: Roles = field(default_factory=lambda: LABELLED)


def read_source(run_dir: run_dirs.RunDir, split: str, reading: Reading, progress: Progress) -> Source:
    """Read a split's fetched files into the reading's folder.

    Args:
        run_dir: holds the fetched files and the manifest beside them.
        split: train, eval or test.
        reading: how the files are read.
        progress: called after each chunk.

    Raises:
        DataError: naming file, line or row, and column.
    """
    data, scratch, roles = reading.data, reading.scratch, reading.roles
    folder = run_dir.input_data(split)
    manifest = run_dirs.read_json(folder.with_name(f"{split}.json"))
    if manifest["kind"] == "hub":
        what = f"the data set's split '{wanted_split(split, data)}'"
        notes: tuple[str, ...] = ()
        chunks = _hub_chunks(what, read_hub(folder, split, data, scratch / "hub", roles))
    else:
        found = choose_format([DataFile(folder / name, name) for name in manifest["files"]], data, labelled="label" in roles)
        what, notes, chunks = _files_in_words(found), found.notes, _file_chunks(found, reading)
    writer = _Writer(RowMaker(split, data, roles), scratch / f"{split}.rows.arrow")
    for name, chunk in chunks:
        writer.write(name, chunk)
        progress()
    return writer.source(what, notes)


def _files_in_words(found: FormattedFiles) -> str:
    return found.files[0].name if len(found.files) == 1 else f"{len(found.files)} {found.format} files"


def _hub_chunks(what: str, chunks: Iterator[Chunk]) -> Iterator[tuple[str, Chunk]]:
    for chunk in chunks:
        yield what, chunk


def _file_chunks(found: FormattedFiles, reading: Reading) -> Iterator[tuple[str, Chunk]]:
    if found.format == TEXT_FOLDER:
        for chunk in read_text_folder(found.files, reading.data):
            yield "text folder", chunk
        return
    for file in found.files:
        num_rows = 0
        for chunk in READERS[found.format](file, reading.data, reading.roles):
            num_rows += len(chunk)
            yield file.name, chunk
        if num_rows == 0:
            raise DataError(f"{file.name} has no rows.", "Leave the file out of the data, or write it anew.")


class _Writer:
    """Appends chunks to an Arrow file and keeps count of where each file begins."""

    def __init__(self, maker: RowMaker, path: Path) -> None:
        self._maker, self._path = maker, path
        self._num_rows, self._starts = 0, list[tuple[int, str]]()
        self._label_names: tuple[str, ...] = ()
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = pa.OSFile(str(path), "wb")
        self._stream = pa.ipc.new_file(self._file, schema_of(maker.roles))

    def write(self, name: str, chunk: Chunk) -> None:
        if not self._starts or self._starts[-1][1] != name:
            self._starts.append((self._num_rows, name))
        first_row = self._num_rows - self._starts[-1][0] + 1
        self._stream.write_batch(self._maker.rows(chunk, name, first_row, self._num_rows))
        self._label_names = chunk.label_names or self._label_names
        self._num_rows += len(chunk)

    def source(self, what: str, notes: tuple[str, ...]) -> Source:
        self._stream.close()
        self._file.close()
        split = self._maker.split
        if self._num_rows == 0:
            raise DataError(
                f"The {split} data ({what}) has no rows.", f"Point JOB_DATA__{split.upper()}_URI at data that has rows."
            )
        table = pa.ipc.open_file(pa.memory_map(str(self._path))).read_all()
        note = f"The {split} data has {self._num_rows:,} rows, from {what}."
        return Source(split, table, frozenset(self._maker.kinds), self._label_names, tuple(self._starts), (note, *notes))
