"""The libraries' scores, and what they are at both ends."""

import pytest
from rouge_score.rouge_scorer import RougeScorer
from sacrebleu.metrics import BLEU, CHRF

from job.workers.metrics.generation import NAMES, compute, rouge

WANTED = ["the cat sat on the mat today", "a dog barked at the moon", "nothing"]
WRITTEN = ["the cat was sitting on the mat", "a dog barked at the moon", ""]


def test_scores_are_the_librarys():
    found = compute(WRITTEN, WANTED)
    assert found["bleu"] == pytest.approx(BLEU().corpus_score(WRITTEN, [WANTED]).score)
    assert found["chrf"] == pytest.approx(CHRF().corpus_score(WRITTEN, [WANTED]).score)
    scorer = RougeScorer(["rouge2", "rougeL"], use_stemmer=True)
    for name, theirs in (("rouge_l", "rougeL"), ("rouge_2", "rouge2")):
        rows = [scorer.score(wanted, text)[theirs].fmeasure for text, wanted in zip(WRITTEN, WANTED, strict=True)]
        assert rouge(WRITTEN, WANTED, name).tolist() == rows
        assert found[name] == pytest.approx(sum(rows) / 3)
        assert 0 < found[name] < 1
    assert found["exact_match"] == pytest.approx(1 / 3)
    assert (found["written_words"], found["wanted_words"]) == (pytest.approx(13 / 3), pytest.approx(14 / 3))
    assert "tok:13a" in found["bleu_signature"]
    assert set(NAMES) <= set(found)


def test_the_right_answer_is_perfect():
    found = compute(WANTED, WANTED)
    assert (found["rouge_1"], found["rouge_l"], found["exact_match"]) == (1.0, 1.0, 1.0)
    assert found["bleu"] == pytest.approx(100)


def test_another_answer_is_none():
    found = compute(["wholly other words"], ["nothing"])
    assert [found[name] for name in ("rouge_1", "rouge_l", "exact_match")] == [0, 0, 0]
