"""What the tags of the training data are: their scheme, their names in the order of their ids, and whether they keep to it.

Shapes: W words of a sentence.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from job.errors import DataError
from job.settings.data import DataSettings
from job.settings.limits import LimitsSettings
from job.workers.readers.base import ID_ROLE, Role, Roles, shorten
from job.workers.selection import Count, Selection, check_limit
from job.workers.tables import Source
from job.workers.tags import OUTSIDE, Break, Scheme, entity_types, first_break, scheme_of_names, split_tag, to_iob2

TAGGED_WORDS: Roles = {"id": ID_ROLE, "words": Role("tokens_column", "words"), "label": Role("tags_column", "label")}
MAX_NAMES = 512
"""More distinct tags than this are not taken for tags."""
_NUMBERS = frozenset({"whole", "list"})
_SCHEME_REMEDY = (
    "Correct the tags; JOB_DATA__TAG_SCHEME=iob1 takes an I- without its B- for a beginning, JOB_DATA__TAG_SCHEME=plain gives every "
    "tag a class of its own and looks for no entities."
)

Row = tuple[int, list[str] | None, list[str] | None]
"""Number of the row from 0, words, tags."""


@dataclass(frozen=True)
class Tagging:
    """How tags become numbers: ``names`` in the order of their ids.

    ``scheme`` is that of ``names``: iob1 stands for tags that were read as iob1 and are kept as iob2.  With ``numbers`` the data
    holds places in the list of names.
    """

    scheme: Scheme
    names: tuple[str, ...]
    numbers: bool = False

    @property
    def kept_scheme(self) -> Scheme:
        """The scheme after reading."""
        return "iob2" if self.scheme == "iob1" else self.scheme

    def index(self) -> Mapping[str, int]:
        """Ids by name."""
        return {name: at for at, name in enumerate(self.names)}

    def read(self, tags: Sequence[str]) -> list[str]:
        """Tags of the data as names of `kept_scheme`; what is no place in the list stays as it is."""
        named = [self.names[int(tag)] if tag.isdecimal() and int(tag) < len(self.names) else tag for tag in tags]
        named = named if self.numbers else list(tags)
        return to_iob2(named) if self.scheme == "iob1" else named


def rows_of(source: Source) -> Iterator[Row]:
    """All rows of a source."""
    row = 0
    for batch in source.table.to_batches():
        for words, tags in zip(batch.column("words").to_pylist(), batch.column("label").to_pylist(), strict=True):
            yield row, words, tags
            row += 1


def recognise_tags(train: Source, data: DataSettings) -> tuple[Tagging, list[str]]:
    """The tagging, from settings and training data, and sentences about it.

    Raises:
        DataError: when it would have to be guessed, there is only one tag, or the tags do not keep to the scheme.
    """
    counts = Counter(tag for _, _, tags in rows_of(train) for tag in tags or ())
    if not counts:
        raise DataError("No word of the training data has a tag.", "Set JOB_DATA__TAGS_COLUMN to the column that holds the tags.")
    numbers = train.kinds <= _NUMBERS and not train.label_names
    if numbers and not data.labels:
        raise DataError(
            f"The tags are numbers ({', '.join(sorted(counts)[:5])}), and nothing says what they mean.",
            "Set JOB_DATA__LABELS to the names of the tags in the order of their numbers, such as O,B-PER,I-PER.",
        )
    found = data.labels or train.label_names or tuple(sorted(counts, key=_place_of_name))
    if len(found) > MAX_NAMES:
        raise DataError(
            f"The training data has {len(found):,} distinct tags (such as {', '.join(map(repr, found[:3]))}): these are hardly tags.",
            "Set JOB_DATA__TAGS_COLUMN, or JOB_DATA__CONLL_TAG_COLUMN, to the column that holds the tags.",
        )
    tagging, reason = _scheme(train, found, numbers=numbers, asked=data.tag_scheme)
    if len(tagging.names) < 2:
        raise DataError(
            f"All words of the training data have the same tag, '{shorten(found[0])}': there is nothing to learn.",
            "Set JOB_DATA__TAGS_COLUMN to the column that holds the tags, or add sentences with other tags.",
        )
    return tagging, _notes(tagging, reason)


def select_tagged(source: Source, tagging: Tagging, limits: LimitsSettings) -> Selection:
    """The usable rows: with words, and with one known tag for each.

    Raises:
        DataError: naming the first row with more words than tags or the other way round, the first tag that the scheme does not
            allow where it stands, or the limit that is passed.
    """
    index = tagging.index()
    kinds: dict[str, list[int]] = {"kept": [], "empty": [], "unlabelled": [], "unknown": []}
    strangers: dict[str, None] = {}
    for row, words, tags in rows_of(source):
        if not words or not any(word.strip() for word in words):
            kinds["empty"].append(row)
        elif not tags:
            kinds["unlabelled"].append(row)
        else:
            _check_length(source, row, words, tags)
            read = tagging.read(tags)
            unknown = [tag for tag in read if tag not in index]
            strangers.update(dict.fromkeys(unknown))
            if not unknown and (broken := first_break(read, tagging.kept_scheme)):
                raise _broken(source, row, broken, tagging.scheme)
            kinds["unknown" if unknown else "kept"].append(row)
    selection = Selection(*(np.array(kinds[name], dtype=np.int64) for name in ("kept", "empty", "unlabelled", "unknown")))
    _check_selection(source, selection, list(strangers), limits)
    return selection


def _scheme(train: Source, names: Sequence[str], *, numbers: bool, asked: str) -> tuple[Tagging, str]:
    """The tagging, and why its scheme is what it is."""
    guess = scheme_of_names(names)
    if guess is None and asked == "auto":
        one_of_each = {split_tag(name)[0]: name for name in names if name != OUTSIDE}
        raise DataError(
            f"The tags are of no one scheme: {', '.join(repr(shorten(name)) for name in one_of_each.values())} stand side by side.",
            "Correct the tags, or set JOB_DATA__TAG_SCHEME.",
        )
    if asked == "iob1" or (asked == "auto" and guess == "iob2" and _is_iob1(train, Tagging("plain", tuple(names), numbers))):
        begun = tuple(f"B{name[1:]}" for name in names if split_tag(name)[0] == "I")
        named = (*names, *(name for name in begun if name not in names))
        reason = (
            "JOB_DATA__TAG_SCHEME says so" if asked == "iob1" else "B- stands only after an entity of the same type; kept as iob2"
        )
        return Tagging("iob1", named if numbers else tuple(sorted(named, key=_place_of_name)), numbers), reason
    scheme: Scheme = guess or "plain" if asked == "auto" else asked  # type: ignore[assignment]
    reason = "the tags' prefixes say so" if asked == "auto" else "JOB_DATA__TAG_SCHEME says so"
    return Tagging(scheme, tuple(names), numbers), reason


def _is_iob1(train: Source, plain: Tagging) -> bool:
    """Whether the tags break the rules of iob2 and keep those of iob1."""
    breaks = False
    for _, _, tags in rows_of(train):
        read = plain.read(tags or ())
        breaks = breaks or first_break(read, "iob2") is not None
        if first_break(read, "iob1") is not None:
            return False
    return breaks


def _place_of_name(name: str) -> tuple[bool, str, str]:
    """O first, then by type, then by prefix."""
    prefix, kind = split_tag(name)
    return name != OUTSIDE, kind, prefix


def _notes(tagging: Tagging, reason: str) -> list[str]:
    notes = [f"The tags are {tagging.scheme}: {reason}."]
    types = entity_types(tagging.names) if tagging.scheme != "plain" else tagging.names
    what = "classes of words" if tagging.scheme == "plain" else "types of entities"
    return [*notes, f"{len(types)} {what}: {', '.join(shorten(name) or '(without a name)' for name in types[:50])}."]


def _check_length(source: Source, row: int, words: Sequence[str], tags: Sequence[str]) -> None:
    if len(words) != len(tags):
        raise DataError(
            f"{source.place(row)}: {len(words)} words and {len(tags)} tags.",
            "Correct the data: every word needs one tag.",
        )


def _broken(source: Source, row: int, broken: Break, scheme: Scheme) -> DataError:
    return DataError(
        f"{source.place(row)}, word {broken.at + 1}: the tag {broken.reason}, in the scheme {scheme}.",
        _SCHEME_REMEDY,
    )


def _check_selection(source: Source, selection: Selection, strangers: Sequence[str], limits: LimitsSettings) -> None:
    total = source.table.num_rows
    for rows, what, name in (
        (selection.empty, "no words", "max_empty_share"),
        (selection.unlabelled, "no tags", "max_unlabelled_share"),
    ):
        check_limit(Count(source.split, what, len(rows), total, source.identifiers(rows[:3])), name, limits)
    listed = ", ".join(f"'{shorten(name)}'" for name in strangers[:5])
    if source.split == "train" and len(selection.unknown):
        raise DataError(
            f"{len(selection.unknown):,} training sentences have a tag outside JOB_DATA__LABELS: {listed}; the first is "
            f"{source.place(int(selection.unknown[0]))}.",
            "Add the tag to JOB_DATA__LABELS, or correct the data.",
        )
    what = f"a tag that the training data does not have ({listed})"
    count = Count(source.split, what, len(selection.unknown), total, source.identifiers(selection.unknown[:3]))
    check_limit(count, "max_unknown_label_share", limits)
    if len(selection.kept) == 0:
        raise DataError(f"No sentence of the {source.split} data is left: none has both words and tags.", "Correct the data.")
