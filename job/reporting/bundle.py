"""Everything that the report, the model card and the summary say, in one record, gathered by whoever publishes.

The parts are plain JSON values as they lie in the run directory, so that a report can be made again from a published run
without the code that produced it.  Any part may be empty: a report of half a run is better than none.
"""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from job.reporting.masking import Masker

logger = logging.getLogger(__name__)

Metrics = list[dict[str, Any]]


@dataclass(frozen=True)
class ReportBundle:
    """The run as told afterwards.

    Args:
        name: name of the run.
        settings: resolved settings, group by group, secrets masked.
        sources: `InputSource` as a dict, by role (``model``, ``data/train`` ...).
        prepared: `PreparedData` as a dict.
        ledger: the token ledger, ``ledger.json``.
        train: `TrainResult` as a dict.
        evaluation: `EvalReport` as a dict.
        mistakes: the most confident mistakes, worst first: id, text, label, prediction, score.
        metrics: records of ``metrics.jsonl`` as `read_metrics` gives them.
        timings: seconds by stage, in the order they ran.
        attempts: one dict per start of the run: ``number``, ``started``, ``steps`` (last step reached), and one of
            ``complete``, ``stopped``, ``failed`` (when it ended, or why).
        versions: version by package.
    """

    name: str
    settings: dict[str, Any] = field(default_factory=dict)
    sources: dict[str, dict[str, Any]] = field(default_factory=dict)
    prepared: dict[str, Any] = field(default_factory=dict)
    ledger: dict[str, Any] = field(default_factory=dict)
    train: dict[str, Any] = field(default_factory=dict)
    evaluation: dict[str, Any] = field(default_factory=dict)
    mistakes: list[dict[str, Any]] = field(default_factory=list)
    metrics: Metrics = field(default_factory=list)
    timings: dict[str, float] = field(default_factory=dict)
    attempts: list[dict[str, Any]] = field(default_factory=list)
    versions: dict[str, str] = field(default_factory=dict)

    @property
    def problem(self) -> str:
        """single_label, multi_label or regression; empty when nothing was prepared."""
        return str(self.prepared.get("problem") or self.ledger.get("problem") or "")

    @property
    def main_metric(self) -> str:
        return str(self.evaluation.get("main_metric", ""))

    def masked(self) -> ReportBundle:
        """The same without anything that looks like a secret: a report is passed on."""
        masker = Masker()
        return ReportBundle(**{part.name: masker.mask_all(getattr(self, part.name)) for part in fields(self)})

    def curve(self, key: str) -> list[tuple[float, float]]:
        """(step, value) of every metric record that holds ``key`` as a finite number."""
        return [(record["step"], record[key]) for record in self.metrics if isinstance(record.get(key), int | float)]


def read_metrics(path: Path) -> Metrics:
    """Read ``metrics.jsonl``: one record per step and kind, in step order, training before evaluation.

    A run that was stopped and continued may have logged a step twice; the later record counts.  The last line may be torn
    by a kill and is then left out, as is any line that is no record (with a warning).  No file: no records.
    """
    if not path.is_file():
        return []
    newest: dict[tuple[int, str], dict[str, Any]] = {}
    bad = 0
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        record = _parse(line)
        if record is None:
            bad += 1
        else:
            newest[int(record["step"]), kind(record)] = record
    if bad:
        logger.warning("left out %d lines of %s that are no metric records", bad, path.name)
    return [newest[key] for key in sorted(newest, key=lambda key: (key[0], key[1] == "eval"))]


def kind(record: dict[str, Any]) -> str:
    """What a record is about: ``eval`` when it holds evaluation scores, else ``train``."""
    return "eval" if any(key.startswith("eval/") for key in record) else "train"


def _parse(line: str) -> dict[str, Any] | None:
    try:
        record = json.loads(line)
    except json.JSONDecodeError:
        return None
    return record if isinstance(record, dict) and isinstance(record.get("step"), int) else None
