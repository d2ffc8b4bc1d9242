from job.reporting.bundle import ReportBundle
from job.reporting.sections.data import data
from tests.support import bundles


def test_ledger_says_how_much_was_cut_even_where_it_was_nothing():
    rows = {row[0]: row[1:] for row in data(bundles.single_label())["ledger"].rows}
    assert rows["Examples cut"] == ("95 (1.8 %)", "12 (2.0 %)", "0")
    assert rows["Dropped: empty text"] == ("11", "11", "11")
    assert "Dropped: no label" not in rows


def test_labels_or_the_range_of_a_number():
    assert data(bundles.single_label())["labels"].rows[0][:2] == ("negative", "2,376 (44.0 %)")
    assert data(bundles.regression())["labels"].rows == [("Range", "1.000 to 5.000")]


def test_only_duplicates_that_there_are():
    assert data(bundles.single_label())["duplicates"] == [
        "14 within the training data",
        "2 validation texts that also stand in the training data",
    ]


def test_cut_is_drawn_where_something_was_cut():
    train, _, test = data(bundles.single_label())["figures"]
    assert "cut at 128" in train.chart
    assert "cut at" not in test.chart


def test_no_ledger_is_no_data():
    assert not any(data(ReportBundle("x")).values())
