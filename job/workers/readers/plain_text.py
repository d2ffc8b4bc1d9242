"""Plain text: the documents of a file, which end with the file, at blank lines, or with each line."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby

from job.errors import DataError
from job.settings.data import DataSettings
from job.workers.readers.base import LABELLED, Chunk, DataFile, Roles, in_chunks
from job.workers.readers.streams import read_lines, read_text


def read_documents(file: DataFile, data: DataSettings, roles: Roles = LABELLED) -> Iterator[Chunk]:
    """The documents of a text file, each with the file's name and its own number as id.

    Raises:
        DataError: when the task reads more than a text, or the file cannot be decoded.
    """
    if set(roles) != {"id", "text"}:
        raise DataError(
            f"{file.name} is plain text, which holds nothing but texts, and this task also reads {', '.join(set(roles) - {'id', 'text'})}.",
            "Set JOB_DATA__FORMAT to what the file is, or JOB_TASK to one that learns from raw text.",
        )
    number = 0
    for texts in in_chunks(_documents(file, data)):
        yield Chunk({"text": texts, "id": [f"{file.name}#{number + at}" for at in range(1, len(texts) + 1)]})
        number += len(texts)


def _documents(file: DataFile, data: DataSettings) -> Iterator[str]:
    if data.document_break == "file":
        yield read_text(file, data.encoding)
        return
    lines = read_lines(file, data.encoding, newline="\n")
    if data.document_break == "line":
        yield from (line.rstrip("\r\n") for line in lines if line.strip())
        return
    for filled, block in groupby(lines, key=lambda line: bool(line.strip())):
        if filled:
            yield "".join(block).rstrip("\r\n")
