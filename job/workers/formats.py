"""Which of the fetched files hold data, and in which format they are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from job.errors import DataError
from job.settings.data import DataSettings
from job.workers.readers.base import DataFile
from job.workers.readers.streams import COMPRESSIONS
from job.workers.readers.text_folder import is_text, labelled_texts

ENDINGS = {
    ".csv": "csv",
    ".tsv": "tsv",
    ".tab": "tsv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "jsonl",
    ".parquet": "parquet",
    ".pq": "parquet",
}
TEXT_FOLDER = "text-folder"
TEXT = "text"
_ABOUT_THE_DATA = frozenset({"readme", "license", "licence"})


@dataclass(frozen=True)
class FormattedFiles:
    """Files of one format, in order, and sentences about what was recognised or left out."""

    format: str
    files: tuple[DataFile, ...]
    notes: tuple[str, ...] = ()


def choose_format(files: Sequence[DataFile], data: DataSettings, *, labelled: bool = True) -> FormattedFiles:
    """The data files and their format: the one that the settings name, or the one that all endings agree on.

    Texts (.txt) are a folder of labels where the task reads labels, and plain text where it does not.

    Raises:
        DataError: when no file is there, an ending is unknown, or the files are of several formats.
    """
    used = [file for file in files if not _beside_the_data(file)]
    beside = [file.name for file in files if _beside_the_data(file)]
    notes = [f"{len(beside):,} files were ignored, being about the data: {', '.join(beside[:5])}."] if beside else []
    if not used:
        raise DataError(f"No data file among {len(files)} fetched files.", "Point JOB_DATA__TRAIN_URI at files that hold data.")
    kind = _by_ending(used, labelled=labelled) if data.format == "auto" else data.format
    if kind == TEXT_FOLDER:
        used, more = labelled_texts(used)
        notes += [f"Recognised a folder of texts: {len(used):,} files, labels by sub-folder.", *more]
    return FormattedFiles(kind, tuple(used), tuple(notes))


def _beside_the_data(file: DataFile) -> bool:
    """Hidden files, markers such as ``_SUCCESS``, and pages that describe the data."""
    name = PurePosixPath(file.name).name
    return name.startswith((".", "_")) or name.lower().partition(".")[0] in _ABOUT_THE_DATA


def _ending(name: str) -> str:
    path = PurePosixPath(name.lower())
    return PurePosixPath(path.stem).suffix if path.suffix in COMPRESSIONS else path.suffix


def _by_ending(files: Sequence[DataFile], *, labelled: bool) -> str:
    if not labelled and all(is_text(file.name) for file in files):
        return TEXT
    if not any(_ending(file.name) in ENDINGS for file in files) and any(is_text(file.name) and "/" in file.name for file in files):
        return TEXT_FOLDER
    found: dict[str, str] = {}
    for file in files:
        kind = ENDINGS.get(_ending(file.name))
        if kind is None:
            raise DataError(
                f"{file.name}: its ending '{_ending(file.name)}' does not say what it is; {', '.join(ENDINGS)} do, also with "
                f"{' or '.join(COMPRESSIONS)} after them.",
                "Set JOB_DATA__FORMAT, or point the URI at the data files alone.",
            )
        found.setdefault(kind, file.name)
    if len(found) > 1:
        listed = ", ".join(f"{name} is {kind}" for kind, name in found.items())
        raise DataError(
            f"The files are of several formats: {listed}.", "Point the URI at files of one format, or set JOB_DATA__FORMAT."
        )
    return next(iter(found))
