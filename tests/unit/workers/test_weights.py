"""The accounts of what is new in a model; whole models are in tests/integration/test_model.py."""

from types import SimpleNamespace

import pytest

from job.errors import SettingsError
from job.workers.weights import Head, _notes, _refuse_gaps, _renamed

MODEL = SimpleNamespace(base_model_prefix="bert")


def test_a_head_and_a_pooler_may_be_new():
    _refuse_gaps(MODEL, {"classifier.weight", "bert.pooler.dense.weight"}, {"classifier.bias": ((5,), (2,))})


def test_the_body_may_not():
    with pytest.raises(SettingsError, match=r"2 parameters of its body .*\(bert\.a, bert\.b\)"):
        _refuse_gaps(MODEL, {"classifier.weight", "bert.b", "bert.a"}, {})
    with pytest.raises(SettingsError, match=r"bert\.a is \(3,\) in the weights, \(4,\) by config\.json"):
        _refuse_gaps(MODEL, set(), {"bert.a": ((3,), (4,))})


def test_what_is_new_replaced_or_left_out_is_said():
    new, replaced, left = _notes(Head(), {"score.weight"}, {"score.bias": ((5,), (2,))}, {f"lm.{at}" for at in range(9)})
    assert new == "The classification head is new and starts from random weights: score.weight."
    assert "score.bias [5] → [2]" in replaced
    assert left == "Not used from the checkpoint: lm.0, lm.1, lm.2, lm.3, lm.4, lm.5 and 3 more."
    assert _notes(Head(), set(), {}, set()) == []


def test_new_names_of_a_kept_head_are_said():
    assert "LABEL_0, LABEL_1 → ham, spam" in _renamed(["LABEL_0", "LABEL_1"], ["ham", "spam"])
