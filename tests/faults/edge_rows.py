"""SIGKILL at every edge of the publish protocol: before and after each object, manifest, log entry and deletion."""

from __future__ import annotations

import json
import random
import signal

from tests.faults.bench import Subject, send, wait
from tests.faults.outcome import Outcome

CHECKPOINT = ("best.safetensors", "metrics.jsonl", "model.safetensors", "optimizer.safetensors", "state.json")
MODEL = (
    *("MANIFEST.json", "README.md", "config.json", "ledger.json", "metrics.json", "metrics.jsonl", "model.safetensors"),
    *("predictions.parquet", "report.html", "settings.json", "sources.json", "timings.json", "tokenizer.json"),
    *("tokenizer_config.json", "training.json", "versions.json"),
)
MOMENTS = ("before", "after")
CHANGES = (
    "a probe",
    *(f"attempt: {name}" for name in ("logs-node-0-evaluate-N.jsonl", "logs-node-0-prepare-N.jsonl", "logs-node-0-train-N.jsonl")),
    "attempt: metrics-N.jsonl",
    "checkpoints: MANIFEST.json",
    *(f"checkpoints: {name}" for name in CHECKPOINT),
    "deletion of checkpoints: MANIFEST.json",
    *(f"deletion of checkpoints: {name}" for name in CHECKPOINT),
    *(f"entry {kind}" for kind in ("committed", "complete", "deleted", "published", "started")),
    *(f"model: {name}" for name in MODEL),
)
"""Kinds of changes that an undisturbed run makes to its store; `num_changes` holds them against such a run."""
EDGES = [f"{moment} {kind}" for kind in CHANGES for moment in MOMENTS]
LEAST = 5
"""Kills at each edge."""
STRIDE = 7
"""From one run's first edge to the next run's: no divisor of their number, so that each comes first in some run."""


def kill_at_edge(subject: Subject, draw: random.Random, _: float) -> Outcome:
    """The edge that was met least, or the next of the list; a run takes some in a row.

    What a continued run does not come by again is no hit; the next run, from its start, comes by all of them.
    """
    counts = num_changes(subject)
    edge = subject.next_kind(EDGES, subject.seed * STRIDE + subject.starts)
    moment, _, kind = edge.partition(" ")
    number = draw.randint(1, min(2, counts[kind]))
    code = wait(subject.start(fault=f"edge:{moment}:{number}:{kind}"))
    hit = code == -signal.SIGKILL
    send(subject.workers() if hit and draw.random() < 0.5 else [], signal.SIGKILL)
    wrong = [] if hit or code == 0 else [f"the failpoint was answered with {code}"]
    return Outcome(hit=hit, what=f"{edge} ({number})", kind=edge, violations=wrong, done=not hit)


def num_changes(subject: Subject) -> dict[str, int]:
    """How often an undisturbed run changes its store, by kind; counted once for all runs with these inputs."""
    known = subject.inputs.folder / "num-changes.json"
    if not known.exists():
        other = Subject(subject.inputs, subject.inputs.folder / "counted", subject.changes)
        assert wait(other.start(fault=f"count:{known}")) == 0, other.log().read_text()
    counts = dict(json.loads(known.read_text()))
    assert counts.keys() == {*CHANGES}, f"put CHANGES right: {counts.keys() ^ {*CHANGES}}"
    return counts
