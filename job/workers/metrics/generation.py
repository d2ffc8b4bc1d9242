"""Metrics of texts that a model wrote against the texts that were wanted.  N texts.

ROUGE from rouge-score (F-measure, words reduced to their stems by Porter's rules, which are English), BLEU and chrF from sacrebleu,
whose signatures say how texts were cut into words, so that numbers can be compared with published ones.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

ROUGES = {"rouge_1": "rouge1", "rouge_2": "rouge2", "rouge_l": "rougeL"}
"""Our names of the scores, and rouge-score's."""
NAMES = (*ROUGES, "bleu", "chrf", "exact_match")

Floats = npt.NDArray[np.float64]


def compute(written: Sequence[str], wanted: Sequence[str]) -> dict[str, Any]:
    """ROUGE (0 to 1, means over texts), BLEU and chrF (0 to 100, over all texts), share of exact matches, mean lengths in words."""
    # Late, as all metrics' libraries: most programs compute none.
    from sacrebleu.metrics.bleu import BLEU
    from sacrebleu.metrics.chrf import CHRF

    bleu, chrf = BLEU(), CHRF()
    references = [list(wanted)]
    return {
        **{name: float(rouge(written, wanted, name).mean()) for name in ROUGES},
        "bleu": float(bleu.corpus_score(list(written), references).score),
        "chrf": float(chrf.corpus_score(list(written), references).score),
        "exact_match": float(np.mean([text.strip() == right.strip() for text, right in zip(written, wanted, strict=True)])),
        "written_words": float(np.mean([len(text.split()) for text in written])),
        "wanted_words": float(np.mean([len(text.split()) for text in wanted])),
        "bleu_signature": str(bleu.get_signature()),
        "chrf_signature": str(chrf.get_signature()),
    }


def rouge(written: Sequence[str], wanted: Sequence[str], name: str = "rouge_l") -> Floats:
    """One of `ROUGES` of each text [N]."""
    at = list(ROUGES).index(name)
    return np.array([_rouges(text, right)[at] for text, right in zip(written, wanted, strict=True)], dtype=np.float64)


@lru_cache(maxsize=1)
def _scorer() -> Any:
    from rouge_score.rouge_scorer import RougeScorer

    return RougeScorer(list(ROUGES.values()), use_stemmer=True)


@lru_cache(maxsize=100_000)
def _rouges(text: str, right: str) -> tuple[float, ...]:
    scores = _scorer().score(right, text)
    return tuple(float(scores[name].fmeasure) for name in ROUGES.values())
