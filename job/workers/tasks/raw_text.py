"""Raw text for language models: documents to windows, windows to packed records; nothing is cut off."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from job.settings.limits import LimitsSettings
from job.settings.root import Settings
from job.workers.framing import Framing
from job.workers.ledger import Described
from job.workers.readers.base import ID_ROLE, Role, Roles
from job.workers.receipt import Receipt, receipts
from job.workers.selection import Selection, check_filled, select_filled
from job.workers.splits import Strata
from job.workers.tables import Source
from job.workers.token_records import TokenEncoder
from job.workers.tokenization import Encoder, TokenizedSplit, TokenizerSetup

_NUM_PROBES = 3
_PROBE_CHARACTERS = 200


class RawText:
    """The `Preparation` of texts without labels.

    A task says in `frame` which special tokens stand around a text, in ``whole_windows`` whether around each window of it, and
    in `marked` which tokens of a record its receipt shows.
    """

    roles: Roles = {"id": ID_ROLE, "text": Role("text_column")}
    whole_windows: bool = False
    """As ``each_window`` of `Framing`."""

    def __init__(self, settings: Settings, setup: TokenizerSetup) -> None:
        self._setup = setup
        self._packed = settings.data.packing != "off"
        self._probes: list[dict[str, Any]] = []
        self._settings = settings

    def recognise(self, train: Source) -> list[str]:
        begin, end = ("".join(self._setup.tokenizer.convert_ids_to_tokens(ids)) for ids in self.frame())
        texts = [train.table["text"][at].as_py() or "" for at in range(min(_NUM_PROBES, train.table.num_rows))]
        shown = [text[:_PROBE_CHARACTERS] for text in texts]
        tokenizer = self._setup.tokenizer
        self._probes = [{"text": text, "ids": tokenizer(text, add_special_tokens=False)["input_ids"]} for text in shown]
        return [
            f"Each {'window' if self.whole_windows else 'document'} stands between {begin or 'nothing'} and {end or 'nothing'}.",
            f"Documents over {self._setup.max_length:,} tokens become several windows, of which nothing is lost.",
            "Windows share training records, and see nothing of each other." if self._packed else "Each window is a record.",
        ]

    def select(self, source: Source, limits: LimitsSettings) -> Selection:
        selection = select_filled(source, ["text"])
        check_filled(source, selection, "text", limits)
        return selection

    def strata(self, train: Source) -> Strata | None:
        return None

    def encoder(self, split: str) -> Encoder:
        # Held-out documents stay apart: each has a loss of its own, and the interval is one over documents.
        cutter = Framing(self._setup, *self.frame(), each_window=self.whole_windows)
        return TokenEncoder(cutter.tokenize, self._setup.max_length if self._packed and split == "train" else None)

    def check(self, name: str, split: TokenizedSplit, limits: LimitsSettings) -> None:
        """Nothing of its own: a document without a token is dropped as empty."""

    def describe(self, tokenized: Mapping[str, TokenizedSplit], records: Mapping[str, Any]) -> Described:
        return Described({}, samples=receipts(self._setup.tokenizer, [self.marked(row) for row in first_records(records["train"])]))

    def facts(self, tokenized: Mapping[str, TokenizedSplit]) -> dict[str, Any]:
        details = {"packed": self._packed, "tokenized": self._probes}
        return {"problem": "", "labels": [], "label_counts": [], "details": details}

    def frame(self) -> tuple[list[int], list[int]]:
        """Special tokens before and after a document."""
        raise NotImplementedError

    def marked(self, row: Mapping[str, Any]) -> Receipt:
        """A training record as the receipt shows it."""
        return Receipt(row["id"], row["input_ids"], row["targets"])


def first_records(dataset: Any) -> list[dict[str, Any]]:
    """The records that a receipt shows."""
    return list(dataset.select(range(min(_NUM_PROBES, len(dataset)))))


def probe(tokenizer: Any, ids: Sequence[int], targets: Sequence[int]) -> list[dict[str, Any]]:
    """A prompt whose text gives its tokens again: what the published tokenizer is compared by, and what is answered for the report.

    Args:
        tokenizer: the prepared one.
        ids: tokens [T] of a prompt with its answer.
        targets: [T], 1 for those of the answer.

    Returns:
        The prompt as text and tokens; nothing where it is none.
    """
    before = list(ids[: list(targets).index(1)])
    text = tokenizer.decode(before, skip_special_tokens=False, clean_up_tokenization_spaces=False)
    same = bool(before) and tokenizer(text, add_special_tokens=False)["input_ids"] == before
    return [{"text": text, "ids": before}] if same else []
