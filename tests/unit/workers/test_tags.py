"""Schemes of tags: recognised, checked tag by tag, and read as entities the way seqeval reads them."""

import random

import pytest
from seqeval.metrics import f1_score
from seqeval.scheme import BILOU, IOB2, IOBES

from job.workers.metrics.entities import Reading, f1, sentence_counts
from job.workers.tags import entity_types, first_break, scheme_of_names, spans, split_tag, to_iob2

LENIENT = ["B-PER", "I-PER", "I-LOC", "O", "I-PER"]


@pytest.mark.parametrize(
    ("tag", "parts"),
    [
        ("O", ("O", "")),
        ("B-PER", ("B", "PER")),
        ("I-a-b", ("I", "a-b")),
        ("S", ("S", "")),
        ("NOUN", ("", "NOUN")),
        ("X-PER", ("", "X-PER")),
    ],
)
def test_a_tag_is_prefix_and_type(tag, parts):
    assert split_tag(tag) == parts


@pytest.mark.parametrize(
    ("names", "scheme"),
    [
        (["O", "B-A", "I-A"], "iob2"),
        (["B-A"], "iob2"),
        (["O", "S-A", "B-A", "E-A", "I-A"], "iobes"),
        (["O", "U-A", "L-A", "B-A"], "bilou"),
        (["NOUN", "VERB", "O"], "plain"),
        (["O"], "plain"),
        (["O", "B-A", "MISC"], None),
        (["S-A", "U-A"], None),
    ],
)
def test_prefixes_name_the_scheme(names, scheme):
    assert scheme_of_names(names) == scheme


@pytest.mark.parametrize(
    ("scheme", "tags", "at"),
    [
        ("iob2", ["B-A", "I-A", "O", "B-B", "B-B"], None),
        ("iob2", ["O", "I-A"], 1),
        ("iob2", ["B-A", "I-B"], 1),
        ("iob1", ["I-A", "I-A", "B-A", "O", "I-B"], None),
        ("iob1", ["O", "B-A"], 1),
        ("iobes", ["B-A", "I-A", "E-A", "S-B", "O"], None),
        ("iobes", ["B-A", "O"], 1),
        ("iobes", ["S-A", "E-A"], 1),
        ("iobes", ["O", "B-A"], 1),
        ("iobes", ["U-A"], 0),
        ("bilou", ["B-A", "L-A", "U-A"], None),
        ("bilou", ["B-A", "U-A"], 1),
        ("plain", ["X", "I-A"], None),
        ("iob2", [], None),
    ],
)
def test_the_first_tag_that_cannot_stand_there(scheme, tags, at):
    found = first_break(tags, scheme)
    assert (found and found.at) == at


def test_iob1_becomes_iob2():
    assert to_iob2(["I-A", "I-A", "B-A", "O", "I-B", "I-A"]) == ["B-A", "I-A", "B-A", "O", "B-B", "B-A"]
    assert first_break(to_iob2(LENIENT), "iob2") is None


@pytest.mark.parametrize(("scheme", "kind"), [("iob2", IOB2), ("iobes", IOBES), ("bilou", BILOU)])
@pytest.mark.parametrize("strict", [True, False])
def test_entities_are_seqevals(scheme, kind, strict):
    """Random tags, sound or not: the counts give seqeval's own F1."""
    draw = random.Random(5)
    prefixes = {"iob2": "BI", "iobes": "BIES", "bilou": "BILU"}[scheme]
    names = ["O", *(f"{prefix}-{which}" for prefix in prefixes for which in ("PER", "LOC"))]
    truth, predicted = ([[draw.choice(names) for _ in range(12)] for _ in range(40)] for _ in range(2))
    predicted = [true if draw.random() < 0.5 else guess for true, guess in zip(truth, predicted, strict=True)]
    found = float(f1(sentence_counts(truth, predicted, Reading(scheme, strict)).sum(axis=0)))
    if strict:
        assert found == pytest.approx(f1_score(truth, predicted, mode="strict", scheme=kind))
        return
    alike = str.maketrans("LU", "ES") if scheme == "bilou" else {}
    readable = [[[tag[0].translate(alike) + tag[1:] for tag in tags] for tags in side] for side in (truth, predicted)]
    assert found == pytest.approx(f1_score(*readable))


def test_strict_and_lenient_differ_where_a_beginning_is_missing():
    assert spans(LENIENT, "iob2", strict=True) == {("PER", 0, 1)}
    assert spans(LENIENT, "iob2", strict=False) == {("PER", 0, 1), ("LOC", 2, 2), ("PER", 4, 4)}


def test_types():
    assert entity_types(["O", "B-LOC", "I-LOC", "B-PER", "noun"]) == ("LOC", "PER")
