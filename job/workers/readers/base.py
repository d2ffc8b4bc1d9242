"""What readers have in common: the file they are given, the chunk they yield, and the check that the asked columns are there."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Literal, TypeVar

from job.errors import DataError
from job.settings.data import DataSettings

CHUNK_ROWS = 2_000
"""Rows that a reader holds as Python objects at once."""
_SHOWN_NAMES = 12
_SHOWN_CHARACTERS = 40
_SEPARATORS = ",;\t|"

T = TypeVar("T")


@dataclass(frozen=True)
class Role:
    """What a column is for: the field of `DataSettings` that names the column, and how its values are kept.

    A role whose field is None is not asked for.  Kinds: ``text``; ``label`` (a name, a number, or a list of them, kept as a list
    of texts); ``id``; ``words`` (a list of texts); ``json`` (a text, a list or an object, kept as JSON).
    """

    field: str
    kind: Literal["text", "label", "id", "words", "json"] = "text"

    @property
    def variable(self) -> str:
        """The environment variable that names the column."""
        return f"JOB_DATA__{self.field.upper()}"


Roles = Mapping[str, Role]
"""What a task reads, by role, in the order of the columns of `tables.Source`."""
ID_ROLE = Role("id_column", "id")
LABELLED: Roles = {
    "id": ID_ROLE,
    "text": Role("text_column"),
    "pair": Role("text_pair_column"),
    "label": Role("label_column", "label"),
}
"""Texts, or pairs of texts, with a label."""


@dataclass(frozen=True)
class DataFile:
    """A fetched file: where it lies, and the name by which its owner knows it."""

    path: Path
    name: str


@dataclass(frozen=True)
class Chunk:
    """Rows of one file: ``values`` by role (text, pair, label, id ...), all lists of one length.

    ``label_names`` are the names of all classes in their order, where the file itself states them.
    """

    values: dict[str, list[Any]]
    label_names: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(next(iter(self.values.values())))


def asked_columns(data: DataSettings, roles: Roles = LABELLED) -> dict[str, str]:
    """Column by role, for the roles that the settings ask for."""
    columns = {name: getattr(data, role.field) for name, role in roles.items()}
    return {name: column for name, column in columns.items() if column is not None}


def check_columns(file_name: str, present: Sequence[str], data: DataSettings, roles: Roles = LABELLED) -> dict[str, str]:
    """`asked_columns`, once all of them are there.

    Raises:
        DataError: naming the missing column, those that are there, the nearest of them, and the variable to set.
    """
    asked = asked_columns(data, roles)
    for role, column in asked.items():
        variable = roles[role].variable
        if column not in present:
            raise DataError(f"{file_name} has no column '{column}'; it has {_listed(present)}.", _remedy(variable, column, present))
        if list(present).count(column) > 1:
            raise DataError(
                f"{file_name} has {list(present).count(column)} columns named '{column}'.",
                f"Rename one of them, or set {variable} to another column.",
            )
    return asked


def in_chunks(rows: Iterable[T]) -> Iterator[list[T]]:
    """The rows in lists of at most `CHUNK_ROWS`."""
    iterator = iter(rows)
    while chunk := list(islice(iterator, CHUNK_ROWS)):
        yield chunk


def shorten(text: str) -> str:
    """A piece of data as a message may show it."""
    return text if len(text) <= _SHOWN_CHARACTERS else text[:_SHOWN_CHARACTERS] + "..."


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(f"'{shorten(name)}'" for name in names[:_SHOWN_NAMES])
    more = f" and {len(names) - _SHOWN_NAMES} more" if len(names) > _SHOWN_NAMES else ""
    return f"{shown}{more}" if names else "none"


def _remedy(variable: str, column: str, present: Sequence[str]) -> str:
    if any("\0" in name for name in present):
        return "The names hold zero bytes, as UTF-16 read as another encoding does: set JOB_DATA__ENCODING=utf-16-le (or -be)."
    if len(present) == 1 and any(separator in present[0] for separator in _SEPARATORS):
        return "The columns seem to be divided by another character: set JOB_DATA__DELIMITER, or JOB_DATA__FORMAT."
    plain = {name.strip().casefold(): name for name in present}
    near = difflib.get_close_matches(column.strip().casefold(), plain, n=1, cutoff=0.6)
    nearest = f" (nearest: '{shorten(plain[near[0]])}')" if near else ""
    return (
        f"Set {variable} to the name of a column that is there{nearest}; if the file begins without a line of column names, "
        "set JOB_DATA__HEADER=false and JOB_DATA__COLUMN_NAMES."
    )
