"""Texts that occur more than once, inside a split and across splits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from job.errors import DataError
from job.settings.limits import LimitsSettings
from job.workers.selection import Count, check_limit
from job.workers.tokenization import Digests, TokenizedSplit


@dataclass(frozen=True)
class Overlap:
    """Counts of examples, and the shares of validation and test examples whose text also stands in the training data.

    ``contradictions`` are training texts that occur with different labels.
    """

    duplicates: dict[str, int]
    leaked_share: dict[str, float]
    contradictions: int


def measure_overlap(splits: Mapping[str, TokenizedSplit]) -> Overlap:
    """Count repeated texts.  Texts are compared by 64 bits of their sha256, enough for ten million of them."""
    digests: dict[str, Digests] = {name: split.column("digests") for name, split in splits.items()}
    train = digests["train"]
    duplicates = {"within_train": len(train) - len(np.unique(train))}
    for name, other in (("eval", "train"), ("test", "train"), ("test", "eval")):
        both = name in digests and other in digests
        duplicates[f"{name}_in_{other}"] = int(np.isin(digests[name], digests[other]).sum()) if both else 0
    leaked = {name: duplicates[f"{name}_in_train"] / len(digests[name]) for name in digests if name != "train"}
    return Overlap(duplicates, leaked, _contradictions(train, splits["train"]))


def check_overlap(splits: Mapping[str, TokenizedSplit], overlap: Overlap, limits: LimitsSettings) -> None:
    """Hold the leaked shares against ``JOB_LIMITS__MAX_LEAKED_SHARE``.

    Raises:
        DataError: with count, share, limit, and what to do.
    """
    train = splits["train"].column("digests")
    for name in overlap.leaked_share:
        digests = splits[name].column("digests")
        leaked = np.flatnonzero(np.isin(digests, train))
        what = "a text that also stands in the training data"
        count = Count(name, what, len(leaked), len(digests), splits[name].examples(leaked))
        check_limit(count, "max_leaked_share", limits)


def check_truncation(name: str, split: TokenizedSplit, limits: LimitsSettings) -> None:
    """Hold the share of cut texts against ``JOB_LIMITS__MAX_TRUNCATED_SHARE``.

    Raises:
        DataError: with count, share, limit, and what to do.
    """
    cut = np.flatnonzero(split.column("tokens_in") > split.column("tokens_kept"))
    count = Count(name, "more tokens than fit, and were cut", len(cut), split.num_examples, split.examples(cut))
    check_limit(count, "max_truncated_share", limits)


def check_not_empty(name: str, split: TokenizedSplit) -> None:
    """Refuse a split of which tokenizing left nothing.

    Raises:
        DataError: naming the split.
    """
    if split.num_examples == 0:
        raise DataError(
            f"The tokenizer finds no token in any of the {name} texts (such as {', '.join(split.without_tokens[:3])}).",
            "Choose a model whose tokenizer knows the script of the texts, or correct the data.",
        )


def _contradictions(digests: Digests, split: TokenizedSplit) -> int:
    if split.num_examples == 0:
        return 0
    if not split.labels:
        return 0
    labels = np.unique(split.column("labels").reshape(len(digests), -1), axis=0, return_inverse=True)[1].ravel()
    pairs = np.unique(np.stack([digests, labels.astype(np.uint64)], axis=1), axis=0)
    return int((np.unique(pairs[:, 0], return_counts=True)[1] > 1).sum())
