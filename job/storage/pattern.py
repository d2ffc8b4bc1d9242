"""Wildcards over object names with the meaning they have in a shell: ``*`` stops at a slash, ``**`` does not, dots stay hidden."""

from __future__ import annotations

import re

_NOT_HIDDEN = r"(?!\.)"


def translate(pattern: str) -> str:
    """A regular expression, for ``re.fullmatch``, that matches what ``glob.glob(pattern, recursive=True)`` finds among files."""
    parts = pattern.split("/")
    pieces: list[str] = []
    for index, part in enumerate(parts):
        is_last = index == len(parts) - 1
        if part == "**":
            pieces.append(rf"(?:{_NOT_HIDDEN}[^/]+/)*" + (rf"{_NOT_HIDDEN}[^/]+" if is_last else ""))
        else:
            pieces.append((_NOT_HIDDEN if part[:1] in {"*", "?", "["} else "") + _part(part) + ("" if is_last else "/"))
    return "".join(pieces)


def _part(part: str) -> str:
    """One part between slashes."""
    return re.sub(r"\*+|\?|\[!?\]?[^\]/]*\]|[^*?\[]+|\[", _piece, part)


def _piece(found: re.Match[str]) -> str:
    piece = found[0]
    if piece.startswith("*"):
        return "[^/]*"
    if piece == "?":
        return "[^/]"
    if piece.startswith("[") and len(piece) > 1:
        inside = re.sub(r"([\\\[&~|])", r"\\\1", piece[1:-1])
        return f"(?!/)[^{inside[1:]}]" if inside.startswith("!") else f"(?!/)[{inside}]"
    return re.escape(piece)
