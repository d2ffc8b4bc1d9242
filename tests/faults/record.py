"""The matrix's results: a line for each fault in a file per version of the code under test, and the table that the documents show."""

from __future__ import annotations

import json
import statistics
import subprocess
from collections import Counter
from pathlib import Path
from typing import Any

from tests.faults.driver import Result
from tests.faults.matrix import ROWS

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "benchmarks" / "results" / "faults"
PAGE = ROOT / "docs" / "reliability.md"
NUM_SHOWN = 36
"""Kinds of a row that are listed."""
MARKS = ("<!-- matrix -->\n", "<!-- /matrix -->\n")
"""What stands between them is written by ``python -m tests.faults --document``."""


def version() -> str:
    """Of the code under test: the tree of ``job/`` as it is committed; changes that are not make it ``-changed``."""
    tree = subprocess.run(["git", "rev-parse", "--short=12", "HEAD:job"], cwd=ROOT, check=True, capture_output=True, text=True)
    changed = subprocess.run(["git", "status", "--porcelain", "job"], cwd=ROOT, check=True, capture_output=True, text=True)
    return tree.stdout.strip() + ("-changed" if changed.stdout.strip() else "")


def results(tree: str) -> Path:
    """The file of a version; several processes may add to it, each a line at a time."""
    return RESULTS / f"{tree}.jsonl"


def keep(file: Path, result: Result) -> None:
    """Add a fault, and say so."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("a") as log:
        log.write(json.dumps(result.as_json()) + "\n")
    mark = "ok" if not result.violations else "VIOLATION " + "; ".join(result.violations)
    print(f"{result.row} seed {result.seed}: {result.what or 'ended before the fault'}, {result.seconds} s: {mark}", flush=True)


def read(file: Path) -> list[dict[str, Any]]:
    """All faults of a version; empty when there are none."""
    return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


def num_hits(found: list[dict[str, Any]], row: str) -> int:
    """How many faults of a row met a run."""
    return sum(bool(result["hit"]) for result in found if result["row"] == row)


def lacking(found: list[dict[str, Any]], row: str) -> Counter[str]:
    """How many faults of each kind a row still wants; kinds that have their least are left out."""
    return Counter(ROWS[row].least) - Counter(result["kind"] for result in found if result["row"] == row and result["hit"])


def is_done(found: list[dict[str, Any]], row: str, count: int | None = None) -> bool:
    """Whether a row has its count, and each kind its least; with a count of the caller's own, that alone."""
    return num_hits(found, row) >= (count or ROWS[row].count) and (count is not None or not lacking(found, row))


def table(found: list[dict[str, Any]]) -> str:
    """The counts as Markdown."""
    lines = [
        "| fault | wanted | made | violations | lost steps, median (most) | local bytes at any time, most | seconds, mean |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, row in ROWS.items():
        mine = [result for result in found if result["row"] == name]
        hits = [result for result in mine if result["hit"]]
        lost = [result["lost_steps"] for result in hits if result["lost_steps"] is not None]
        steps = f"{statistics.median(lost):g} ({max(lost)})" if lost else ""
        size = f"{max(result['local_bytes'] for result in mine):,}" if mine else ""
        seconds = f"{statistics.mean(result['seconds'] for result in mine):.1f}" if mine else ""
        wrong = sum(bool(result["violations"]) for result in mine)
        wanted = f"{row.count}, {min(row.least.values())} of each of {len(row.least)} kinds" if row.least else f"{row.count}"
        made = f"{len(hits)}" if is_done(found, name) else f"{len(hits)}, not done"
        lines.append(f"| {row.title} | {wanted} | {made} | {wrong} | {steps} | {size} | {seconds} |")
    return "\n".join(lines) + "\n"


def document(tree: str) -> str:
    """What the page says of a version's results: counts, seeds, kinds."""
    found = read(results(tree))
    hits = [result for result in found if result["hit"]]
    wrong = [result for result in found if result["violations"]]
    seeds = sorted({result["seed"] for result in found})
    full = all(is_done(found, name) for name in ROWS)
    head = (
        f"Version `{tree}` (the tree of `job/`): {len(hits)} faults, {sum(result['cold'] for result in hits)} of them in runs whose every "
        f"program was started by an interpreter of its own, seeds {seeds[0]} to {seeds[-1]}; {len(wrong)} violations. "
        + (
            "Every row has its full count, and each kind its least.\n"
            if full
            else "Rows below their full count, or with a kind below its least, are not done.\n"
        )
    )
    kinds = Counter((result["row"], result["kind"]) for result in hits if result["kind"])
    listed = []
    for name, row in ROWS.items():
        mine = {kind: kinds[name, kind] for kind in sorted({*row.least, *(kind for of, kind in kinds if of == name)})}
        if mine:
            fewest, most = min(mine.values()), max(mine.values())
            shown = ", ".join(f"{kind} {count}" for kind, count in mine.items()) if len(mine) <= NUM_SHOWN else "all in the results"
            short = f", {count} of them not done" if (count := len(lacking(found, name))) else ""
            listed.append(f"- `{name}`, {len(mine)} kinds{short}, each {fewest} to {most} times: {shown}\n")
    return head + "\n" + table(found) + "\n" + "".join(listed)


def write_page(tree: str) -> None:
    """Put the results between the page's marks."""
    text = PAGE.read_text()
    before, rest = text.split(MARKS[0])
    PAGE.write_text(before + MARKS[0] + document(tree) + MARKS[1] + rest.split(MARKS[1])[1])
