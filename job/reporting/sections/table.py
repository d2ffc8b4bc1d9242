"""What a table of the report is, whatever it is about."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Table:
    """A table whose first column names its rows.

    Args:
        caption: what it shows; read out before it.
        columns: heads, the first one over the row names.
        rows: cells as text.
        numeric: whether the cells after the first are numbers, to be set right-aligned.
    """

    caption: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    numeric: bool = True

    def __bool__(self) -> bool:
        return bool(self.rows)
