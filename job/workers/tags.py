"""Tags of the words of a sentence: which scheme they follow, whether they keep to it, and the entities that they mark.

A tag is ``O`` or a prefix and a type (``B-PER``); a prefix alone marks an entity without a type.  Schemes:

    iob1    B begins an entity only after one of the same type; converted to iob2 when read
    iob2    B begins, I continues                          (also called BIO)
    iobes   B begins, I continues, E ends, S stands alone
    bilou   the same, with L for the end and U for one alone
    plain   no prefixes: every word has a label of its own (parts of speech)
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

Scheme = Literal["iob1", "iob2", "iobes", "bilou", "plain"]
OUTSIDE = "O"
PREFIXES: dict[Scheme, str] = {"iob1": "BI", "iob2": "BI", "iobes": "BIES", "bilou": "BILU", "plain": ""}
_TAG = re.compile(r"([BIESLU])(?:-(.*))?", re.DOTALL)
_TO_IOBES = {"L": "E", "U": "S"}

Tags = Sequence[str]
Span = tuple[str, int, int]
"""Type, first word and last word of an entity."""


@dataclass(frozen=True)
class Break:
    """The first tag of a sentence that the scheme does not allow where it stands: its position, and why."""

    at: int
    reason: str


def split_tag(tag: str) -> tuple[str, str]:
    """Prefix and type; ``("", tag)`` for a tag that has no prefix, ``("O", "")`` outside of entities."""
    if tag == OUTSIDE:
        return OUTSIDE, ""
    found = _TAG.fullmatch(tag)
    return (found[1], found[2] or "") if found else ("", tag)


def entity_types(names: Iterable[str]) -> tuple[str, ...]:
    """The types that prefixed tags name, sorted."""
    return tuple(sorted({kind for prefix, kind in map(split_tag, names) if prefix not in ("", OUTSIDE)}))


def scheme_of_names(names: Iterable[str]) -> Scheme | None:
    """The scheme that the prefixes alone allow, iob2 where it could be iob1 too; None when some tags have a prefix and others none."""
    prefixes = {split_tag(name)[0] for name in names} - {OUTSIDE}
    if "" in prefixes or not prefixes:
        return "plain" if prefixes <= {""} else None
    if prefixes <= set("BI"):
        return "iob2"
    if prefixes <= set("BIES"):
        return "iobes"
    return "bilou" if prefixes <= set("BILU") else None


def first_break(tags: Tags, scheme: Scheme) -> Break | None:
    """The first tag that cannot stand where it does; None for a sound sentence."""
    if scheme == "plain":
        return None
    before = (OUTSIDE, "")
    for at, tag in enumerate(tags):
        prefix, kind = split_tag(tag)
        reason = _reason(before, (prefix, kind), scheme)
        if reason:
            return Break(at, f"'{tag}' {reason}")
        before = (prefix, kind)
    if scheme in ("iobes", "bilou") and before[0] in ("B", "I"):
        return Break(len(tags) - 1, f"'{tags[-1]}' opens or continues an entity that never ends")
    return None


def _reason(before: tuple[str, str], tag: tuple[str, str], scheme: Scheme) -> str:
    """Why ``tag`` cannot follow ``before``; empty when it can."""
    prefix, kind = tag
    if prefix != OUTSIDE and prefix not in PREFIXES[scheme]:
        return f"is no tag of the scheme {scheme}"
    follows = before[0] in ("B", "I") and before[1] == kind
    if scheme == "iob1":
        after_one = before[0] != OUTSIDE and before[1] == kind
        return "" if prefix != "B" or after_one else "begins an entity where the scheme iob1 has an I"
    if prefix in ("I", "E", "L"):
        return "" if follows else "continues an entity that has not begun"
    if scheme in ("iobes", "bilou") and before[0] in ("B", "I"):
        return "stands where an entity has not ended"
    return ""


def to_iob2(tags: Tags) -> list[str]:
    """IOB tags, read as iob1 means them, as iob2: an I that continues nothing becomes a B."""
    found: list[str] = []
    before = (OUTSIDE, "")
    for tag in tags:
        prefix, kind = split_tag(tag)
        begins = prefix == "I" and not (before[0] in ("B", "I") and before[1] == kind)
        found.append("B" + tag[1:] if begins else tag)
        before = (prefix, kind)
    return found


def spans(tags: Tags, scheme: Scheme, *, strict: bool) -> set[Span]:
    """The entities of a sentence.

    Args:
        tags: of every word.
        scheme: iob2, iobes or bilou.
        strict: count only entities that begin and end as the scheme has it; otherwise as the CoNLL 2000 evaluation counts,
            where an entity also begins at a tag that should have continued one.
    """
    from seqeval.metrics.sequence_labeling import get_entities  # brings scikit-learn, which most programs never need here
    from seqeval.scheme import BILOU, IOB2, IOBES, Tokens

    if not strict:
        alike = [_TO_IOBES.get(tag[0], tag[0]) + tag[1:] if scheme == "bilou" and tag != OUTSIDE else tag for tag in tags]
        return {(kind, first, last) for kind, first, last in get_entities(alike)}
    kinds = {"iob2": IOB2, "iobes": IOBES, "bilou": BILOU}
    return {(entity.tag, entity.start, entity.end - 1) for entity in Tokens(list(tags), kinds[scheme]).entities}
