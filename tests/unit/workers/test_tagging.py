"""Which scheme the tags of a source follow; which rows can be used; which are refused, by name."""

import pyarrow as pa
import pytest

from job.errors import DataError
from job.settings.limits import LimitsSettings
from job.workers.rows import schema_of
from job.workers.tables import Source
from job.workers.tagging import MAX_NAMES, TAGGED_WORDS, Tagging, recognise_tags, rows_of, select_tagged
from tests.support.inputs import data_settings

IOB2 = Tagging("iob2", ("O", "B-A", "I-A"))


def source(*tags, split="train", kinds=("list", "text"), words=None, names=()):
    given = words or [[f"w{at}" for at in range(len(each or []))] for each in tags]
    ids = [f"{split}-{at}" for at in range(len(tags))]
    table = pa.table({"id": ids, "words": given, "label": list(tags)}, schema=schema_of(TAGGED_WORDS))
    return Source(split, table, frozenset(kinds), tuple(names), ((0, "a.conll"),), ())


@pytest.mark.parametrize(
    ("tags", "scheme", "names"),
    [
        ([["B-A", "I-A", "O"], ["B-B"]], "iob2", ("O", "B-A", "I-A", "B-B")),
        ([["I-A", "I-A", "B-A", "O"]], "iob1", ("O", "B-A", "I-A")),
        ([["S-A", "O", "B-A", "E-A"]], "iobes", ("O", "B-A", "E-A", "S-A")),
        ([["U-A", "O", "B-A", "L-A"]], "bilou", ("O", "B-A", "L-A", "U-A")),
        ([["NOUN", "VERB"]], "plain", ("NOUN", "VERB")),
    ],
)
def test_recognised(tags, scheme, names):
    found, notes = recognise_tags(source(*tags), data_settings())
    assert (found.scheme, found.names) == (scheme, names)
    assert scheme in notes[0]
    select_tagged(source(*tags), found, LimitsSettings())


def test_iob1_is_kept_as_iob2():
    found, _ = recognise_tags(source(["I-A", "B-A"], ["O", "I-B"]), data_settings())
    assert found.kept_scheme == "iob2"
    assert found.read(["I-A", "B-A", "I-B"]) == ["B-A", "B-A", "B-B"]
    assert {"B-B", "I-B"} <= set(found.names)


def test_numbers_are_places_in_the_list():
    rows = source(["0", "1", "2"], kinds=("list", "whole"))
    found, _ = recognise_tags(rows, data_settings(labels="O,B-A,I-A"))
    assert (found.scheme, found.read(["2", "0", "7"])) == ("iob2", ["I-A", "O", "7"])
    with pytest.raises(DataError, match="tags are numbers"):
        recognise_tags(rows, data_settings())


def test_names_that_the_data_states():
    found, _ = recognise_tags(source(["O", "B-A"], names=("O", "B-A", "I-A")), data_settings())
    assert found.names == ("O", "B-A", "I-A")


@pytest.mark.parametrize(
    ("tags", "changes", "says"),
    [
        ([["O", "O"]], {}, "same tag, 'O'"),
        ([["B-A", "MISC"]], {}, "of no one scheme: 'B-A', 'MISC'"),
        ([["S-A", "U-A"]], {}, "of no one scheme"),
        ([[f"t{at}" for at in range(MAX_NAMES + 1)]], {}, "hardly tags"),
        ([None], {}, "No word of the training data has a tag"),
    ],
)
def test_what_would_have_to_be_guessed(tags, changes, says):
    with pytest.raises(DataError, match=says):
        recognise_tags(source(*tags), data_settings(**changes))


@pytest.mark.parametrize(
    ("tags", "words", "says"),
    [
        (
            [["B-A"], ["O", "I-A"]],
            None,
            "a.conll, row 2, word 2: the tag 'I-A' continues an entity that has not begun, in the scheme iob2",
        ),
        ([["B-A", "O"]], [["w"]], "a.conll, row 1: 1 words and 2 tags"),
        ([["B-A"], ["B-Z"]], None, "1 training sentences have a tag outside JOB_DATA__LABELS: 'B-Z'; the first is a.conll, row 2"),
        ([[], ["B-A"]], None, "have no words"),
        ([None, ["B-A"]], [["w"], ["w"]], "have no tags"),
    ],
)
def test_refused(tags, words, says):
    with pytest.raises(DataError, match=says):
        select_tagged(source(*tags, words=words), IOB2, LimitsSettings())


def test_every_row_has_its_place():
    given = source(["B-A"], None, ["O"], ["B-Z"], ["O", "O"], split="eval", words=[["a"], ["b"], [" "], ["c"], ["d", "e"]])
    open_limits = LimitsSettings(max_empty_share=1, max_unlabelled_share=1, max_unknown_label_share=1)
    found = select_tagged(given, IOB2, open_limits)
    assert [rows.tolist() for rows in (found.kept, found.empty, found.unlabelled, found.unknown)] == [[0, 4], [2], [1], [3]]
    assert len(list(rows_of(given))) == 5
    with pytest.raises(DataError, match="a tag that the training data does not have"):
        select_tagged(given, IOB2, LimitsSettings(max_empty_share=1, max_unlabelled_share=1))
