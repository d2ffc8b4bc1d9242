"""JSON lines: one object a line."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from job.errors import DataError
from job.settings.data import DataSettings
from job.workers.readers.base import LABELLED, Chunk, DataFile, Roles, asked_columns, check_columns, in_chunks
from job.workers.readers.streams import read_lines

_KINDS = {dict: "an object", list: "a list", str: "a text", int: "a number", float: "a number", bool: "true or false"}
_TOO_MUCH = {ValueError: "a number of more than 4,300 digits", RecursionError: "lists or objects nested hundreds deep"}


def read_json_lines(file: DataFile, data: DataSettings, roles: Roles = LABELLED) -> Iterator[Chunk]:
    """The asked columns of a JSON lines file; a key that an object lacks is a missing value.

    Raises:
        DataError: for a line that is not a JSON object, a column that no object of the file's beginning has, no lines.
    """
    asked, seen = asked_columns(data, roles), dict[str, None]()
    for objects in in_chunks(_objects(file, data)):
        for value in objects:
            seen.update(dict.fromkeys(value))
        check_columns(file.name, list(seen), data, roles)
        yield Chunk({role: [value.get(column) for value in objects] for role, column in asked.items()})


def _objects(file: DataFile, data: DataSettings) -> Iterator[dict[str, Any]]:
    for line, content in enumerate(read_lines(file, data.encoding, newline="\n"), start=1):
        if content.strip():
            yield _object(file, line, content)


def _object(file: DataFile, line: int, content: str) -> dict[str, Any]:
    if line == 1 and content.strip() == "[":
        raise _not_object(file, line, list)
    try:
        value = json.loads(content)
    except json.JSONDecodeError as error:
        raise DataError(
            f"{file.name}, line {line}, character {error.colno}: not valid JSON ({error.msg}).",
            "Write one JSON object a line, or set JOB_DATA__FORMAT to what the file is.",
        ) from error
    except (ValueError, RecursionError) as error:
        raise DataError(
            f"{file.name}, line {line}: JSON that cannot be read: {_TOO_MUCH[type(error)]}.", "See where the line comes from."
        ) from error
    if not isinstance(value, dict):
        raise _not_object(file, line, type(value))
    return value


def _not_object(file: DataFile, line: int, kind: type) -> DataError:
    return DataError(
        f"{file.name}, line {line}: {_KINDS.get(kind, 'null')} where a JSON object was expected.",
        "Write one JSON object a line; `jq -c '.[]'` makes lines of a JSON list.",
    )
