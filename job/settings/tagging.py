"""Settings of token classification."""

from __future__ import annotations

from typing import Literal

from job.settings.group import Group


class TaggingSettings(Group):
    """Token classification: which pieces of a word are labelled, how entities are counted."""

    label_pieces: Literal["first", "all"] = "first"
    """`first`: of the pieces that the tokenizer makes of a word only the first is trained on; `all`: all of them, the others as continuing the entity."""

    strict: bool = True
    """Count only entities that begin and end as the scheme has it; `false` counts as the CoNLL 2000 evaluation does, where a missing beginning is forgiven."""
