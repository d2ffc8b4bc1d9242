from xml.etree import ElementTree as ET

from job.reporting.charts import Words
from job.reporting.plots import Estimate, calibration, comparison, lengths

WORDS = Words("Title", "Description.")


def of_class(chart, tag, name):
    return [node for node in ET.fromstring(chart).iter(tag) if name in node.get("class", "").split()]


def test_lengths_marks_what_is_cut():
    chart = lengths(WORDS, [0, 10, 20, 30], [5, 3, 1], cut=20)
    assert len(of_class(chart, "rect", "one")) == 2
    assert len(of_class(chart, "rect", "lost")) == 1
    assert "cut at 20" in chart


def test_a_single_very_long_text_can_be_seen():
    chart = lengths(WORDS, [0, 10, 20], [1_000_000, 1], cut=None)
    assert min(float(bar.get("height")) for bar in of_class(chart, "rect", "bar")) >= 1


def test_no_lengths_no_chart():
    assert lengths(WORDS, [], [], None) is None
    assert lengths(WORDS, [0, 1], [0], None) is None


def test_calibration_dots_have_areas_like_the_counts():
    small, large = of_class(calibration(WORDS, [(0.6, 0.5, 25), (0.9, 0.9, 75)]), "circle", "bubble")
    assert float(small.get("r")) < float(large.get("r"))
    assert calibration(WORDS, []) is None


def test_comparison_shows_the_interval_of_the_result_only():
    chart = comparison(WORDS, [Estimate("This model", 0.9, 0.88, 0.92), Estimate("Before training", 0.5)], (0, 1))
    assert len(of_class(chart, "line", "interval")) == 3
    assert len(of_class(chart, "circle", "dot")) == 2
    assert comparison(WORDS, [], (0, 1)) is None


def test_comparison_without_bounds_covers_the_values():
    dots = of_class(comparison(WORDS, [Estimate("This model", 0.6), Estimate("Before training", 9.2)], None), "circle", "dot")
    assert all(0 <= float(dot.get("cx")) <= 360 for dot in dots)
