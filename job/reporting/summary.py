"""The short table at the end of a run: the result, what it beats, what it cost, where it lies."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from job.records import PublishedRun
from job.reporting import formats
from job.reporting.bundle import ReportBundle, read_metrics
from job.reporting.sections.headline import estimates, metric_name, result


def render(published: PublishedRun, folder: Path) -> str:
    """The table as text, for a terminal or a log.

    Args:
        published: where the model lies.
        folder: the report's folder with its JSON files; what is missing there is left out.
    """
    bundle = ReportBundle(
        name="",
        evaluation=_read(folder / "metrics.json"),
        train=_read(folder / "training.json"),
        timings=_read(folder / "timings.json"),
        metrics=read_metrics(folder / "metrics.jsonl"),
    )
    rows = [(name, value) for name, value in _rows(bundle, published) if value]
    width = max(len(name) for name, _ in rows)
    return "\n" + "".join(f"  {name:<{width}}  {value}\n" for name, value in rows)


def _rows(bundle: ReportBundle, published: PublishedRun) -> list[tuple[str, str]]:
    speeds = [value for _, value in bundle.curve("perf/tokens_per_second")]
    return [
        *_score(bundle, published),
        ("published step", formats.count(published.step) + _of(bundle.train.get("step"))),
        ("tokens/s", formats.count(sorted(speeds)[len(speeds) // 2]) if speeds else ""),
        ("time", ", ".join(f"{stage} {formats.duration(seconds)}" for stage, seconds in bundle.timings.items())),
        ("model", published.model_uri),
        ("report", published.report_path),
    ]


def _score(bundle: ReportBundle, published: PublishedRun) -> list[tuple[str, str]]:
    """The main metric with its interval, then each baseline."""
    found = result(bundle)
    if not found:
        return [(metric_name(published.main_metric), formats.metric(published.value))]
    interval = f"  ({found['level']} interval {found['interval']})" if found["interval"] else ""
    own = (found["metric"], f"{found['value']}{interval} on {found['examples']}")
    return [own, *((one.label.lower(), formats.metric(one.value)) for one in estimates(bundle)[1:])]


def _of(steps: Any) -> str:
    return f" of {formats.count(steps)}" if steps else ""


def _read(path: Path) -> dict[str, Any]:
    return dict(json.loads(path.read_bytes())) if path.is_file() else {}
