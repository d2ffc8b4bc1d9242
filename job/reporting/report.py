"""The report: one HTML file that needs nothing else, neither network nor scripts, and can be mailed to a colleague.

Texts of the data are shown as text whatever is in them: every value is escaped, and the page's own policy forbids scripts and
anything from outside.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from job.reporting.bundle import ReportBundle
from job.reporting.sections.data import data
from job.reporting.sections.headline import headline
from job.reporting.sections.provenance import provenance
from job.reporting.sections.scores import scores
from job.reporting.sections.training import training

_UNIT = re.compile(r"(?<=\d) (?=(?:[kMGT]?B|s|min|h|%)\b|%)")
TEMPLATES = Path(__file__).parent / "templates"


def render(bundle: ReportBundle) -> str:
    """The report as an HTML page.  Parts that the bundle does not have are left out."""
    shown = bundle.masked()
    return (
        environment()
        .get_template("report.html.j2")
        .render(
            name=shown.name,
            headline=headline(shown),
            training=training(shown),
            scores=scores(shown),
            data=data(shown),
            provenance=provenance(shown),
        )
    )


def environment() -> Environment:
    """Where pages are made: every value is escaped, and what is not given is an error."""
    return Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_unbroken,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def _unbroken(value: Any) -> Any:
    """A number stays on one line with its unit."""
    return _UNIT.sub("\N{NO-BREAK SPACE}", value) if isinstance(value, str) and not isinstance(value, Markup) else value
