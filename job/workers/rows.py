"""From a reader's plain values to rows of one schema, with the place in the message where a value is of the wrong kind.

Labels become texts whatever they were: 3 and "3" are the same class, and what kind of values they came from is kept apart, for
`labels` to decide what they mean.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from numbers import Integral, Real
from typing import Any

import pyarrow as pa

from job.errors import DataError
from job.settings.data import DataSettings
from job.workers.readers.base import LABELLED, Chunk, Role, Roles, asked_columns

_TYPES = {
    "id": pa.string(),
    "text": pa.large_string(),
    "label": pa.list_(pa.string()),
    "words": pa.list_(pa.large_string()),
    "json": pa.large_string(),
}


def schema_of(roles: Roles) -> pa.Schema:
    """The columns of rows: one a role, by the role's kind; null where there is no value."""
    return pa.schema([(name, _TYPES[role.kind]) for name, role in roles.items()])


SCHEMA = schema_of(LABELLED)
"""``pair`` is null where there is none; ``label`` holds one text for a single label, null where there is none."""


@dataclass
class RowMaker:
    """Makes rows of one source: every role of ``roles``, of which ``id`` is made up where no column has it.

    ``kinds`` gathers what label values were: text, flag (true or false), whole, real, list.
    """

    split: str
    data: DataSettings
    roles: Roles = field(default_factory=lambda: LABELLED)
    kinds: set[str] = field(default_factory=set)

    def rows(self, chunk: Chunk, name: str, first_row: int, offset: int) -> pa.RecordBatch:
        """A chunk as rows.

        Args:
            chunk: values by role.
            name: the file's name, for messages.
            first_row: number of the chunk's first row in its file, from 1.
            offset: number of rows of the source before this chunk.

        Raises:
            DataError: naming file, row and column of a value that is no text, or no label.
        """
        columns = asked_columns(self.data, self.roles)
        converters = {"label": self._label, "id": _identifier, "words": _words, "json": _json}
        made: list[pa.Array] = []
        for role, about in self.roles.items():
            values = chunk.values.get(role)
            if values is None:
                made.append(self._absent(about, len(chunk), offset))
                continue
            place = _Place(name, first_row, about, columns.get(role, role))
            convert = converters.get(about.kind, _text)
            converted = [_convert(convert, value, place, at) for at, value in enumerate(values)]
            made.append(_array(converted, _TYPES[about.kind], place))
        return pa.RecordBatch.from_arrays(made, schema=schema_of(self.roles))

    def _absent(self, role: Role, length: int, offset: int) -> pa.Array:
        if role.kind == "id":
            return pa.array([f"{self.split}-{offset + at}" for at in range(1, length + 1)], pa.string())
        return pa.nulls(length, _TYPES[role.kind])

    def _label(self, value: Any) -> list[str] | None:
        if value is None:
            return None
        if isinstance(value, (list, tuple)):
            self.kinds.add("list")
            return [self._name(one) for one in value]
        if self.data.label_delimiter is not None and isinstance(value, str):
            self.kinds.add("list")
            return [part.strip() for part in value.split(self.data.label_delimiter) if part.strip()]
        return None if isinstance(value, str) and not value.strip() else [self._name(value)]

    def _name(self, value: Any) -> str:
        if isinstance(value, str):
            self.kinds.add("text")
            return value
        if isinstance(value, bool):
            self.kinds.add("flag")
            return str(value).lower()
        if isinstance(value, Integral):
            self.kinds.add("whole")
            return str(value)
        if isinstance(value, (Real, Decimal)):
            self.kinds.add("real")
            return str(value)
        raise _WrongKindError("a name, a number, or a list of them")


@dataclass(frozen=True)
class _Place:
    file: str
    first_row: int
    role: Role
    column: str

    def error(self, at: int, what: str) -> DataError:
        return DataError(
            f"{self.file}, row {self.first_row + at}, column '{self.column}': {what}.",
            f"Correct the value, or set {self.role.variable} to the column that is meant.",
        )


class _WrongKindError(Exception):
    """A value cannot stand in its column; the text says what can."""


def _convert(convert: Callable[[Any], Any], value: Any, place: _Place, at: int) -> Any:
    try:
        return convert(value)
    except _WrongKindError as error:
        raise place.error(at, f"{_kind(value)} where {error} was expected") from error


def _text(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value
    raise _WrongKindError("text")


def _words(value: Any) -> list[str] | None:
    if value is None or (isinstance(value, (list, tuple)) and all(isinstance(word, str) for word in value)):
        return value if value is None else list(value)
    raise _WrongKindError("a list of texts")


def _json(value: Any) -> str | None:
    """Lists and objects, also written as JSON text, and texts that are no such thing."""
    if value is None:
        return None
    found = value
    if isinstance(value, str) and value.lstrip()[:1] in {"[", "{"}:
        with contextlib.suppress(ValueError, RecursionError):  # a text may begin with a bracket
            found = json.loads(value)
    try:
        return json.dumps(found, ensure_ascii=False)
    except (TypeError, RecursionError) as error:
        raise _WrongKindError("a text, a list or an object") from error


def _identifier(value: Any) -> str:
    if isinstance(value, (str, int)) and not isinstance(value, bool):
        return str(value)
    raise _WrongKindError("a text or whole number that identifies the example")


def _array(values: Sequence[Any], kind: pa.DataType, place: _Place) -> pa.Array:
    try:
        return pa.array(values, kind)
    except UnicodeEncodeError as error:
        at = next(at for at, value in enumerate(values) if not _encodable(value))
        raise place.error(at, "half of a surrogate pair, which is no character") from error


def _encodable(value: Any) -> bool:
    try:
        str(value).encode()
    except UnicodeEncodeError:
        return False
    return True


def _kind(value: Any) -> str:
    if value is None:
        return "nothing"
    kinds = {bool: "true or false", int: "a number", float: "a number", list: "a list", dict: "an object", bytes: "bytes"}
    return kinds.get(type(value), f"a value of type {type(value).__name__}")
