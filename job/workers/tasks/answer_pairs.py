"""The preparation that `dpo` and `reward` share: pairs of answers, rendered and checked."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from job.settings.limits import LimitsSettings
from job.settings.root import Settings
from job.workers.answer_pairs import PAIRS, SIDES, PairEncoder, as_exchange, parse_pair
from job.workers.exchanges import Exchanges
from job.workers.ledger import Described
from job.workers.receipt import Receipt, receipts
from job.workers.selection import Count, Selection, check_filled, check_limit, select_filled
from job.workers.splits import Strata
from job.workers.tables import Source
from job.workers.tasks.raw_text import first_records, probe
from job.workers.tokenization import Encoder, TokenizedSplit, TokenizerSetup


class AnswerPairs:
    """The `Preparation`."""

    problem = "preference"
    labels: tuple[str, ...] = ()
    roles = PAIRS

    def __init__(self, settings: Settings, setup: TokenizerSetup) -> None:
        self._settings = settings
        self._tokenizer = setup.tokenizer
        self._exchanges = Exchanges(settings, setup.tokenizer)
        self._encoder = PairEncoder(setup, self._exchanges)
        self._probes: list[dict[str, Any]] = []

    def recognise(self, train: Source) -> list[str]:
        row, place = _row(train, 0), train.place(0)
        if row["chosen"] is None or row["rejected"] is None:
            return []
        parse_pair(row, place)
        return self._exchanges.notes(as_exchange(row, "chosen"), place)

    def select(self, source: Source, limits: LimitsSettings) -> Selection:
        columns = [*SIDES, *(["prompt"] if self._settings.data.prompt_column else [])]
        selection = select_filled(source, columns)
        check_filled(source, selection, " and ".join(columns), limits)
        for row in selection.kept.tolist():
            parse_pair(_row(source, row), source.place(row))
        return selection

    def strata(self, train: Source) -> Strata | None:
        return None

    def encoder(self, split: str) -> Encoder:
        return self._encoder

    def check(self, name: str, split: TokenizedSplit, limits: LimitsSettings) -> None:
        total = split.num_examples + len(split.without_targets)
        what = "the same answer twice, or one of which nothing is left after cutting"
        count = Count(name, what, len(split.without_targets), total, split.without_targets[:3])
        check_limit(count, "max_masked_share", limits)

    def describe(self, tokenized: Mapping[str, TokenizedSplit], records: Mapping[str, Any]) -> Described:
        first = first_records(records["train"])
        rows = [Receipt(f"{row['id']}, {side}", row[f"{side}_ids"], row[f"{side}_targets"]) for row in first for side in SIDES]
        ends = ", ".join(repr(token) for token in self._tokenizer.convert_ids_to_tokens(sorted(self._encoder.stops)))
        self._probes = [found for row in first for found in probe(self._tokenizer, row["chosen_ids"], row["chosen_targets"])]
        samples = receipts(self._tokenizer, rows)
        return Described({"problem": self.problem}, notes={"train": [f"Answers end with {ends}."]}, samples=samples)

    def facts(self, tokenized: Mapping[str, TokenizedSplit]) -> dict[str, Any]:
        details = {"tokenized": self._probes, "stops": sorted(self._encoder.stops)}
        return {"problem": self.problem, "labels": list(self.labels), "label_counts": [], "details": details}


class RewardPairs(AnswerPairs):
    """The same pairs, for a model that gives each answer a number."""

    problem = "reward"
    labels = ("reward",)


def _row(source: Source, row: int) -> dict[str, Any]:
    return {name: source.table[name][row].as_py() for name in PAIRS}
