"""Ranks by hand, and against scikit-learn's nDCG and label ranking."""

import numpy as np
import pytest
from sklearn.metrics import label_ranking_average_precision_score, ndcg_score

from job.workers.metrics.retrieval import compute, ranks


def test_ranks_by_hand():
    documents = np.array([[1.0, 0.0], [0.0, 2.0], [3.0, 3.0]])
    queries = np.array([[5.0, 0.1], [1.0, 0.9], [0.0, 1.0]])
    assert ranks(queries, documents, np.array([0, 0, 2])).tolist() == [1, 2, 2]


def test_one_vector_for_everything_is_the_worst_answer():
    same = np.ones((7, 3))
    assert ranks(same, same, np.arange(7)).tolist() == [7] * 7


def test_scores_are_the_librarys():
    draw = np.random.default_rng(3)
    queries, documents = draw.normal(size=(40, 6)), draw.normal(size=(60, 6))
    own = draw.permutation(60)[:40]
    found = compute(ranks(queries, documents, own))
    unit = [side / np.linalg.norm(side, axis=1, keepdims=True) for side in (queries, documents)]
    similarities, truth = unit[0] @ unit[1].T, np.eye(60)[own]
    assert found["mrr"] == pytest.approx(label_ranking_average_precision_score(truth, similarities))
    assert found["ndcg_at_10"] == pytest.approx(ndcg_score(truth, similarities, k=10))
    order = np.argsort(-similarities, axis=1)
    for cutoff in (1, 5, 10):
        hits = [own[at] in order[at, :cutoff] for at in range(40)]
        assert found[f"recall_at_{cutoff}"] == pytest.approx(np.mean(hits))


def test_blocks_do_not_change_the_ranks(monkeypatch):
    draw = np.random.default_rng(4)
    queries, documents = draw.normal(size=(25, 4)), draw.normal(size=(30, 4))
    whole = ranks(queries, documents, np.arange(25))
    monkeypatch.setattr("job.workers.metrics.retrieval._CELLS_AT_ONCE", 90)
    assert ranks(queries, documents, np.arange(25)).tolist() == whole.tolist()
