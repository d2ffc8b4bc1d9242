"""Habits that a reader may rely on, on the package; and each rule on a text that breaks it."""

import pytest

from tests.support import house

PACKAGE = house.package_sources()
UNIT_TESTS = {str(path.relative_to(house.ROOT)): path.read_text() for path in (house.ROOT / "tests/unit").rglob("test_*.py")}
RULES = {
    house.unannotated: ["def f(a: int): ...", "def f(a) -> None: ...", "def f(*a) -> None: ..."],
    house.without_docstring: ["x = 1"],
    house.prints: ["print(1)"],
    house.swallowed: [
        "try: f()\nexcept: g()",
        "try: f()\nexcept KeyError: pass",
        "try: f()\nexcept KeyError: ...",
        "try: f()\nexcept Exception: g()",
        "try: f()\nexcept (KeyError, BaseException) as e: g()",
        "with contextlib.suppress(Exception): f()",
    ],
    house.environment_reads: ["os.environ['A']", "os.getenv('A')", "from os import environ"],
    house.registry_hosts: ["# https://" + "pypi" + ".org/simple", "image: " + "ghcr" + ".io/org/name"],
}
HARMLESS = '''"""Why this module is here."""

import os


def f(self: int, *names: str) -> str:
    try:
        return g()
    except KeyError:
        return "default"
    except Exception as error:
        log.warning("failed", error=error)
        raise
'''


@pytest.mark.parametrize("rule", RULES)
def test_the_package_keeps_the_rule(rule):
    found = rule(PACKAGE)
    assert not found, "\n".join(found)


@pytest.mark.parametrize("rule", RULES)
def test_the_rule_bites(rule):
    assert not rule([house.Source("job/example.py", HARMLESS)])
    for text in RULES[rule]:
        assert rule([house.Source("job/example.py", text)]), text


def test_no_registry_is_named_in_any_file():
    found = house.registry_hosts(house.tracked_texts())
    assert not found, "\n".join(found)


def test_no_module_is_called_utils():
    assert not house.forbidden_names(PACKAGE)
    assert house.forbidden_names([house.Source("job/utils.py", ""), house.Source("job/helpers/text.py", "")]) == [
        "job/utils.py",
        "job/helpers/text.py",
    ]


def test_every_module_has_a_unit_test_of_its_name():
    found = house.without_unit_test(PACKAGE, UNIT_TESTS)
    assert not found, "\n".join(found)


def test_the_unit_test_rule_bites():
    module = house.Source("job/a/b.py", "")
    assert house.without_unit_test([module], {}) == ["job/a/b.py has no test in tests/unit/a/test_b.py"]
    assert house.without_unit_test([module], {"tests/unit/a/test_b.py": "x = 1"})
    assert not house.without_unit_test([module], {"tests/unit/a/test_b.py": "def test_x(): ..."})
    assert not house.without_unit_test([house.Source("job/a/__init__.py", '"""Doc."""')], {})
    assert house.without_unit_test([house.Source("job/a/__init__.py", "def f(): ...")], {}) == [
        "job/a/__init__.py has no test in tests/unit/a/test_a.py"
    ]


def test_the_variables_of_the_tests_are_read_in_one_place():
    """`tests/support/parts.py` takes them out of the environment; a test that looked for itself would be skipped for ever."""
    read = ("environ", "getenv")
    allowed = {"tests/support/parts.py", "tests/support/provision.py", "tests/conftest.py"}
    for path in (house.ROOT / "tests").rglob("*.py"):
        lines = path.read_text(encoding="utf-8").splitlines()
        found = [line for line in lines if ("JOB_REAL" in line or "JOB_TEST" in line) and any(word in line for word in read)]
        assert not found or str(path.relative_to(house.ROOT)) in allowed, path
