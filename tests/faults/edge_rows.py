"""SIGKILL at every edge of the publish protocol: before and after each object, manifest, log entry and deletion."""

from __future__ import annotations

import json
import random
import signal

from tests.faults.bench import Subject, send, wait
from tests.faults.outcome import Outcome

MOMENTS = ("before", "after")
STRIDE = 7
"""From one run's first edge to the next run's: no divisor of their number, so that each comes first in some run."""


def kill_at_edge(subject: Subject, draw: random.Random, _: float) -> Outcome:
    """The next edge of the list; a run takes some in a row.  What a continued run does not come by again is no hit."""
    found = edges(subject)
    kind, moment = found[(subject.seed * STRIDE + subject.starts) % len(found)]
    number = draw.randint(1, min(2, num_changes(subject)[kind]))
    code = wait(subject.start(fault=f"edge:{moment}:{number}:{kind}"))
    hit = code == -signal.SIGKILL
    send(subject.workers() if hit and draw.random() < 0.5 else [], signal.SIGKILL)
    wrong = [] if hit or code == 0 else [f"the failpoint was answered with {code}"]
    return Outcome(hit=hit, what=f"{moment} {kind} ({number})", kind=f"{moment} {kind}", violations=wrong, done=not hit)


def edges(subject: Subject) -> list[tuple[str, str]]:
    """(kind of change, moment) of all edges that an undisturbed run has."""
    return [(kind, moment) for kind in sorted(num_changes(subject)) for moment in MOMENTS]


def num_changes(subject: Subject) -> dict[str, int]:
    """How often an undisturbed run changes its store, by kind; counted once for all runs with these inputs."""
    known = subject.inputs.folder / "num-changes.json"
    if not known.exists():
        other = Subject(subject.inputs, subject.inputs.folder / "counted", subject.changes)
        assert wait(other.start(fault=f"count:{known}")) == 0, other.log().read_text()
    return dict(json.loads(known.read_text()))
