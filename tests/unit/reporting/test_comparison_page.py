"""The page of a comparison: whole, escaped, and with the best drawn above the others."""

import dataclasses

from job.reporting.comparison import Variant, compare
from job.reporting.comparison_page import MAX_DRAWN, render
from tests.support import sweeps


def test_the_best_is_drawn_first_and_notes_are_told():
    page = render(compare(sweeps.variants()), "s3://bucket/runs")
    assert page.index("reviews-1  0.9") < page.index("reviews-0  0.8")
    assert '<span class="value">0.912</span> <span class="unit">accuracy, reviews-1</span>' in page
    assert "Its interval overlaps reviews-2" in page
    assert "train.learning_rate" in page
    assert "No update was made" in page
    assert "s3://bucket/runs/reviews-1/attempts/" in page
    assert "http" not in page.replace("http-equiv", "").replace("https://example.org", "")


def test_what_comes_from_outside_is_escaped():
    page = render(compare([Variant("<b>", "failed", {"JOB_A": "<i>"}, note="<script>"), Variant("b", "x", {"JOB_A": 1})]), "<u>")
    for tag in ("<b>&lt;b&gt;", "&lt;i&gt;", "&lt;script&gt;", "&lt;u&gt;"):
        assert tag in page
    assert "<script" not in page
    assert "<svg" not in page
    assert 'class="big"' not in page


def test_a_long_sweep_is_drawn_in_part():
    one = sweeps.variants()[0]
    runs = [dataclasses.replace(one, name=f"r-{at}") for at in range(MAX_DRAWN + 3)]
    page = render(compare(runs), "place")
    assert "3 runs with lower places are not drawn." in page
    assert "The runs differ in no setting that decides the result." in page
    assert page.count('class="interval') == 3 * MAX_DRAWN
