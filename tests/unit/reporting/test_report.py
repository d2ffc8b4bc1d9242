import re
import subprocess
import sys
from html.parser import HTMLParser

import pytest

from job.reporting.bundle import ReportBundle
from job.reporting.report import render
from tests.support import bundles

KINDS = ("single_label", "multi_label", "many_classes", "whole_matrix", "regression")


class Page(HTMLParser):
    """Collects tags, attributes and text, and checks that tags close in order."""

    VOID = frozenset({"meta", "link", "br", "img"})

    def __init__(self, page):
        super().__init__()
        self.tags, self.attributes, self.open = [], [], []
        self.feed(page)
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [(tag, *pair) for pair in attrs]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


@pytest.mark.parametrize("kind", KINDS)
def test_page_is_whole_and_needs_nothing_from_outside(kind):
    page = Page(render(getattr(bundles, kind)()))
    assert not {"script", "iframe", "img", "object"} & set(page.tags)
    assert [value for _, name, value in page.attributes if name in ("src", "href", "action")] == ["data:,"]
    assert not [name for _, name, _ in page.attributes if name.startswith("on")]


def test_text_of_the_data_is_inert_and_still_readable():
    page = render(bundles.single_label())
    assert "<script>" not in page
    assert "&lt;script&gt;window.broken=1" in page


def test_a_hostile_name_is_inert_everywhere():
    bundle = ReportBundle(bundles.HOSTILE, prepared={"labels": [bundles.HOSTILE]}, versions={bundles.HOSTILE: bundles.HOSTILE})
    assert "<script" not in render(bundle)


def test_everything_asked_for_is_there():
    page = render(bundles.single_label())
    for words in (
        "0.921 to 0.952", "always the same answer 0.562", "Loss", "Learning rate", "Tokens per second", "Padding", "Lengths, training data",
        "Confusion matrix", "Calibration", "Each label", "Most confident mistakes", "Token ledger", "Time of each stage", "Attempts", "Versions",
        "JOB_TRAIN__LEARNING_RATE",
    ):  # fmt: skip
        assert words in page, words


def test_half_a_run_has_a_report():
    page = render(ReportBundle("half"))
    assert "The model was not evaluated." in page
    assert "<h2" not in page


def test_credentials_in_settings_are_masked():
    assert "user:pass" not in render(bundles.single_label())


def test_numbers_keep_their_units():
    assert not re.search(r"\d (?:%|kB|MB)[<. ]", render(bundles.single_label()))


def test_reporting_is_light():
    heavy = ("torch", "transformers", "datasets", "numpy", "pandas", "pyarrow", "sklearn")
    code = (
        "import sys, pkgutil, importlib, job.reporting as package\n"
        "for module in pkgutil.walk_packages(package.__path__, 'job.reporting.'): importlib.import_module(module.name)\n"
        f"print([name for name in {heavy} if name in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"
