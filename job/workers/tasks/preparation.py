"""What a task has to say for itself before training: which columns it reads, which rows it can use, how rows become records.

The prepare program does the rest for all tasks: reading, splits and subsets, writing, lengths, limits, duplicates, the ledger.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from job.settings.limits import LimitsSettings
from job.workers.ledger import Described
from job.workers.readers.base import Roles
from job.workers.selection import Selection
from job.workers.splits import Strata
from job.workers.tables import Source
from job.workers.tokenization import Encoder, TokenizedSplit


class Preparation(Protocol):
    """One run's preparation; made with the settings and a `TokenizerSetup`, used by one program, in this order.

    It may give the tokenizer what belongs to the published model (a chat template): the tokenizer is saved afterwards.
    """

    roles: Roles
    """The columns, in the order of `Source.table`; `ID_ROLE` under ``id`` has to be among them."""

    def recognise(self, train: Source) -> list[str]:
        """Look at all training rows once, before anything else; sentences for the ledger about what was recognised.

        Raises:
            DataError: when it would have to be guessed what the data means.
        """
        ...

    def select(self, source: Source, limits: LimitsSettings) -> Selection:
        """The usable rows of a source, and those that are left out by reason, held against the limits (`select_filled`).

        Raises:
            DataError: naming the first unusable row, or the limit that is passed.
        """
        ...

    def strata(self, train: Source) -> Strata | None:
        """Stratum [N] of each training row, for shares that are set aside in proportion; None to draw them at random."""
        ...

    def encoder(self, split: str) -> Encoder:
        """Rows to records, for the split of this name (``train``, ``eval``, ``test``)."""
        ...

    def check(self, name: str, split: TokenizedSplit, limits: LimitsSettings) -> None:
        """Refuse a tokenized split for a reason of the task's own.

        Raises:
            DataError: naming what is wrong.
        """
        ...

    def describe(self, tokenized: Mapping[str, TokenizedSplit], records: Mapping[str, Any]) -> Described:
        """What the ledger says beside counts and lengths.

        Args:
            tokenized: by split.
            records: the written records by split, as `datasets.Dataset`.
        """
        ...

    def facts(self, tokenized: Mapping[str, TokenizedSplit]) -> dict[str, Any]:
        """``problem``, ``labels`` and ``label_counts`` of `PreparedData`, and in ``details`` what else training has to know."""
        ...
