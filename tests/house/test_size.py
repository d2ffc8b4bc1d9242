"""The size ratchets, on the package; and each of them on a text that breaks it."""

import pytest

from tests.support import house

PACKAGE = house.package_sources()


def written(text: str) -> list[house.Source]:
    return [house.Source("job/example.py", text)]


def function(lines: int) -> str:
    return "def f() -> None:\n" + "    x = 1\n" * (lines - 1)


@pytest.mark.parametrize("rule", [house.long_files, house.long_functions, house.many_parameters, house.many_methods])
def test_no_module_is_over_the_limit(rule):
    found = rule(PACKAGE)
    assert not found, "\n".join(found)


def test_most_functions_are_short():
    figures = house.figures(PACKAGE)
    assert figures["median function"] <= house.MAX_MEDIAN_LINES
    assert figures["95 % of functions"] <= house.MAX_P95_LINES


@pytest.mark.parametrize(
    ("rule", "fits", "breaks"),
    [
        (house.long_files, "x = 1\n" * 250, "x = 1\n" * 251),
        (house.long_functions, function(60), function(61)),
        (house.many_parameters, "def f(a, b, *c, d, e): ...", "def f(a, b, *c, d, e, **f): ..."),
        (house.many_parameters, "class A:\n def f(self, a, b, c, d, e): ...", "class A:\n def f(self, a, b, c, d, e, f): ..."),
        (house.many_methods, "class A:\n" + " def f(self): ...\n" * 10, "class A:\n" + " def f(self): ...\n" * 11),
    ],
)
def test_the_limits_bite(rule, fits, breaks):
    assert not rule(written(fits))
    assert len(rule(written(breaks))) == 1


def test_the_figures_count_lines():
    figures = house.figures(written("\n".join([function(8), function(12), function(20)])))
    assert (figures["median function"], figures["longest function"], figures["functions"]) == (12, 20, 3)
