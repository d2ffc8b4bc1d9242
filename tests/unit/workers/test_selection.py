"""Which rows are used, and when too few are."""

import pyarrow as pa
import pytest

from job.errors import DataError
from job.settings.limits import LimitsSettings
from job.workers.labels import LabelScheme
from job.workers.readers.base import Chunk
from job.workers.rows import SCHEMA, RowMaker
from job.workers.selection import Count, check_filled, check_limit, check_selection, select, select_filled
from job.workers.tables import Source
from tests.support.inputs import data_settings

SCHEME = LabelScheme("single_label", "", ("a", "b"))
ANY = LimitsSettings(max_empty_share=1, max_unlabelled_share=1, max_unknown_label_share=1)


def source(texts: list, labels: list, split: str = "eval", pairs: list | None = None) -> Source:
    maker = RowMaker(split, data_settings(text_pair_column=None if pairs is None else "pair"))
    values = {"text": texts, "label": labels} | ({} if pairs is None else {"pair": pairs})
    return Source(
        split, pa.Table.from_batches([maker.rows(Chunk(values), "a.csv", 1, 0)], SCHEMA), frozenset(), (), ((0, "a.csv"),), ()
    )


def parts(given: Source) -> list[list[int]]:
    selection = select(given, SCHEME)
    return [rows.tolist() for rows in (selection.kept, selection.empty, selection.unlabelled, selection.unknown)]


def test_every_row_is_in_one_part():
    given = source(["x", "", None, " \n\u00a0", "x", "x", "", "y", ""], ["a", "a", "b", "b", None, "z", None, "b", "z"])
    assert parts(given) == [[0, 7], [1, 2, 3, 6, 8], [4], [5]]


def test_a_pair_is_empty_when_either_text_is():
    assert parts(source(["x", "x", ""], ["a", "a", "a"], pairs=["y", "", "y"]))[:2] == [[0], [1, 2]]


@pytest.mark.parametrize(
    ("texts", "labels", "message", "variable"),
    [
        (["x", "", "", ""], list("abab"), "3 of 4 eval examples (75.00%) have no text", "JOB_LIMITS__MAX_EMPTY_SHARE"),
        (["x"] * 4, ["a", None, "b", "a"], "1 of 4 eval examples (25.00%) have no label", "JOB_LIMITS__MAX_UNLABELLED_SHARE"),
        (["x"] * 4, list("abza"), "does not have ('z')", "JOB_LIMITS__MAX_UNKNOWN_LABEL_SHARE"),
    ],
)
def test_limits_name_count_share_and_examples(texts, labels, message, variable):
    given = source(texts, labels)
    with pytest.raises(DataError) as caught:
        check_selection(given, select(given, SCHEME), SCHEME, LimitsSettings())
    assert message in caught.value.message
    assert f"{variable} allows " in caught.value.message
    assert "For example: eval-" in caught.value.message
    assert variable in caught.value.hint
    check_selection(given, select(given, SCHEME), SCHEME, ANY)


def test_a_training_label_outside_the_list_is_always_an_error():
    given = source(["x", "x"], ["a", "z"], split="train")
    with pytest.raises(
        DataError, match=r"1 training examples have a label outside JOB_DATA__LABELS: 'z'; the first is a\.csv, row 2"
    ):
        check_selection(given, select(given, SCHEME), SCHEME, ANY)


def test_nothing_left_is_an_error():
    given = source(["", "x"], ["a", "z"])
    with pytest.raises(DataError, match="No example of the eval data is left"):
        check_selection(given, select(given, SCHEME), SCHEME, ANY)


@pytest.mark.parametrize(("count", "passes"), [(0, True), (1, True), (2, False)])
def test_a_share_at_the_limit_passes(count, passes):
    limits = LimitsSettings(max_leaked_share=0.1)
    if passes:
        check_limit(Count("test", "x", count, 10, ["a"]), "max_leaked_share", limits)
    else:
        with pytest.raises(DataError, match=r"2 of 10 test examples \(20\.00%\)"):
            check_limit(Count("test", "x", count, 10, ["a"]), "max_leaked_share", limits)


def test_rows_with_an_empty_column_are_sorted_out():
    given = source(["film", " ", None, "good"], [["a"]] * 4)
    selection = select_filled(given, ["text"])
    assert selection.kept.tolist() == [0, 3]
    assert selection.empty.tolist() == [1, 2]
    check_filled(given, selection, "text", LimitsSettings(max_empty_share=0.5))
    with pytest.raises(DataError, match=r"2 of 4 eval examples \(50.00%\) have no text; JOB_LIMITS__MAX_EMPTY_SHARE allows"):
        check_filled(given, selection, "text", LimitsSettings())
    nothing = source(["", " "], [["a"]] * 2)
    with pytest.raises(DataError, match="none has text"):
        check_filled(nothing, select_filled(nothing, ["text"]), "text", LimitsSettings(max_empty_share=1))
