"""The libraries' scores, and what they are at both ends."""

import pytest
from rouge_score.rouge_scorer import RougeScorer
from sacrebleu.metrics import BLEU, CHRF

from job.workers.metrics.generation import compute, main_rows

WANTED = ["the cat sat on the mat today", "a dog barked at the moon", "nothing"]
GENERATED = ["the cat was sitting on the mat", "a dog barked at the moon", ""]


def test_scores_are_the_librarys():
    found = compute(GENERATED, WANTED)
    assert found["bleu"] == pytest.approx(BLEU().corpus_score(GENERATED, [WANTED]).score)
    assert found["chrf"] == pytest.approx(CHRF().corpus_score(GENERATED, [WANTED]).score)
    scorer = RougeScorer(["rougeL"], use_stemmer=True)
    rows = [scorer.score(wanted, text)["rougeL"].fmeasure for text, wanted in zip(GENERATED, WANTED, strict=True)]
    assert main_rows(GENERATED, WANTED).tolist() == rows
    assert found["rougeL"] == pytest.approx(sum(rows) / 3)
    assert found["exact_match"] == pytest.approx(1 / 3)
    assert "tok:13a" in found["bleu_signature"]


def test_the_right_answer_is_perfect():
    found = compute(WANTED, WANTED)
    assert (found["rouge1"], found["exact_match"]) == (1.0, 1.0)
    assert found["bleu"] == pytest.approx(100)
