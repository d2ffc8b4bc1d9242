"""Metrics of search by embeddings: does each query find its own document among all documents of the split?

Each query has one document that is right, so the average precision is the reciprocal rank.  N queries, M documents, D the
embedding's size.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

CUTOFFS = (1, 5, 10)
NDCG_CUTOFF = 10
_CELLS_AT_ONCE = 4_000_000

Floats = npt.NDArray[np.float64]
Ranks = npt.NDArray[np.int64]


def ranks(queries: npt.NDArray[Any], documents: npt.NDArray[Any], own: Ranks) -> Ranks:
    """Rank [N], from 1, of each query's own document, by cosine similarity.

    A document that is as near as the right one counts before it, so a model that gives all texts one vector is not rewarded.

    Args:
        queries: [N, D].
        documents: [M, D], each text once.
        own: [N] number of each query's document.
    """
    sought, stock = _unit(queries), _unit(documents)
    found = np.empty(len(sought), dtype=np.int64)
    size = max(1, _CELLS_AT_ONCE // max(1, len(stock)))
    for start in range(0, len(sought), size):
        scores = sought[start : start + size] @ stock.T
        right = scores[np.arange(len(scores)), own[start : start + len(scores)]]
        found[start : start + len(scores)] = (scores >= right[:, None]).sum(axis=1)
    return found


def compute(places: Ranks) -> dict[str, Any]:
    """Recall at several cut-offs, mean reciprocal rank, nDCG and the median rank, of ranks [N] from 1."""
    reciprocal = 1.0 / places
    gain = np.where(places <= NDCG_CUTOFF, 1.0 / np.log2(places + 1), 0.0)
    return {
        **{f"recall_at_{cutoff}": float((places <= cutoff).mean()) for cutoff in CUTOFFS},
        "mrr": float(reciprocal.mean()),
        f"ndcg_at_{NDCG_CUTOFF}": float(gain.mean()),
        "median_rank": float(np.median(places)),
    }


def _unit(vectors: npt.NDArray[Any]) -> Floats:
    exact = vectors.astype(np.float64)
    unit: Floats = exact / np.maximum(np.linalg.norm(exact, axis=-1, keepdims=True), 1e-12)
    return unit
