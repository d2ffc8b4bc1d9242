"""Metrics of generated texts against the texts that were wanted.  N texts.

ROUGE from rouge-score (the scores of its Porter-stemmed F-measure), BLEU and chrF from sacrebleu, whose signatures say how
texts were cut into words, so that numbers can be compared with published ones.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

ROUGES = ("rouge1", "rouge2", "rougeL", "rougeLsum")
_MAIN_ROUGE = "rougeL"

Floats = npt.NDArray[np.float64]


def compute(generated: Sequence[str], wanted: Sequence[str]) -> dict[str, Any]:
    """ROUGE (0 to 1, means over texts), BLEU and chrF (0 to 100, over the corpus), exact matches, and mean lengths in words."""
    # Late, as all metrics' libraries: most programs compute none.
    from sacrebleu.metrics.bleu import BLEU
    from sacrebleu.metrics.chrf import CHRF

    bleu, chrf = BLEU(), CHRF()
    references = [list(wanted)]
    rouge = np.array([_rouge_row(text, right) for text, right in zip(generated, wanted, strict=True)]).mean(axis=0)
    return {
        **dict(zip(ROUGES, rouge.tolist(), strict=True)),
        "bleu": float(bleu.corpus_score(list(generated), references).score),
        "chrf": float(chrf.corpus_score(list(generated), references).score),
        "exact_match": float(np.mean([text.strip() == right.strip() for text, right in zip(generated, wanted, strict=True)])),
        "generated_words": float(np.mean([len(text.split()) for text in generated])),
        "wanted_words": float(np.mean([len(text.split()) for text in wanted])),
        "bleu_signature": str(bleu.get_signature()),
        "chrf_signature": str(chrf.get_signature()),
    }


def main_rows(generated: Sequence[str], wanted: Sequence[str]) -> Floats:
    """ROUGE-L of each text [N], for the confidence interval of its mean."""
    at = ROUGES.index(_MAIN_ROUGE)
    return np.array([_rouge_row(text, right)[at] for text, right in zip(generated, wanted, strict=True)])


@lru_cache(maxsize=1)
def _scorer() -> Any:
    from rouge_score.rouge_scorer import RougeScorer

    return RougeScorer(list(ROUGES), use_stemmer=True)


@lru_cache(maxsize=100_000)
def _rouge_row(text: str, right: str) -> tuple[float, ...]:
    scores = _scorer().score(right, text)
    return tuple(float(scores[name].fmeasure) for name in ROUGES)
