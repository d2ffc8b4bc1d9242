import re
from xml.etree import ElementTree as ET

from job.reporting.charts import MAX_POINTS, WIDTH, Series, Words, curves, smoothed, thinned

WORDS = Words("Loss", "It falls.")


def drawn(*series, **options):
    return ET.fromstring(curves(WORDS, series, **options))


def of_class(root, tag, name):
    return [node for node in root.iter(tag) if name in node.get("class", "").split()]


def texts(root):
    return [node.text for node in root.iter("text")]


def test_nothing_to_draw_is_no_chart():
    assert curves(WORDS, [Series("training", [])]) is None


def test_two_curves_are_named_at_their_ends_one_is_not():
    points = [(1, 1.0), (2, 0.5)]
    both = drawn(Series("training", points), Series("validation", points, "two"))
    names = of_class(both, "text", "name")
    assert [node.text for node in names] == ["training", "validation"]
    assert float(names[1].get("y")) - float(names[0].get("y")) >= 13
    assert not of_class(drawn(Series("training", points)), "text", "name")


def test_a_single_point_is_a_dot():
    assert len(of_class(drawn(Series("training", [(10, 0.7)])), "circle", "dot")) == 1


def test_a_long_restless_curve_gets_its_mean_a_smooth_one_does_not():
    points = [(step, step % 7) for step in range(200)]
    assert len(of_class(drawn(Series("training", points)), "path", "faint")) == 1
    assert not of_class(drawn(Series("rate", points, noisy=False)), "path", "faint")


def test_best_step_is_marked_inside_the_range_only():
    points = [(1, 1.0), (100, 0.5)]
    assert "best" in texts(drawn(Series("x", points), best=50))
    assert "best" not in texts(drawn(Series("x", points), best=200))


def test_everything_stays_inside_the_picture():
    root = drawn(
        Series("training", [(step, 1 / step) for step in range(1, 1000)]), Series("validation", [(500, 0.2), (999, 0.1)], "two")
    )
    height = float(root.get("viewBox").split()[3])
    for node in of_class(root, "path", "curve"):
        for x, y in re.findall(r"([\d.-]+) ([\d.-]+)", node.get("d")):
            assert 0 <= float(x) <= WIDTH
            assert 0 <= float(y) <= height


def test_thinned_keeps_the_last_point_and_the_mean():
    points = [(step, float(step)) for step in range(10_000)]
    few = thinned(points)
    assert len(few) <= MAX_POINTS
    assert few[-1] == points[-1]
    assert few[0] == (12.0, 12.0)


def test_smoothed_leaves_a_line_a_line():
    points = [(step, 2.0 * step) for step in range(20)]
    assert smoothed(points, 7) == points
