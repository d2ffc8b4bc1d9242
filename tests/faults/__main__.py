"""``make faults``: the whole matrix, kept per version of the code under test, so that it can be stopped and continued.

python -m tests.faults [--rows kill edge ...] [--count N] [--seed S] [--minutes M]
python -m tests.faults --mutations    the protocol broken in six ways: each has to be found
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

from tests.faults.bench import Inputs, Subject
from tests.faults.driver import Driver, Result
from tests.faults.matrix import ROWS
from tests.faults.mutations import MUTATIONS, found

ROOT = Path(__file__).parents[2]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", nargs="*", choices=[*ROWS], default=[*ROWS])
    parser.add_argument("--count", type=int, help="faults of each row; default: the row's own number")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6))
    parser.add_argument("--minutes", type=float, default=float("inf"), help="stop after so long; the next call continues")
    parser.add_argument("--mutations", nargs="*", choices=[*MUTATIONS], help="break the protocol instead, each way or these ways")
    options = parser.parse_args()
    if options.mutations is not None:
        return mutate(options.mutations or [*MUTATIONS])
    log = ROOT / ".cache" / "faults" / f"{version()}.jsonl"
    log.parent.mkdir(parents=True, exist_ok=True)
    end = time.monotonic() + options.minutes * 60
    print(f"seed {options.seed}, results in {log}", flush=True)
    with tempfile.TemporaryDirectory(prefix="job-faults-") as folder:
        driver = Driver.make(Path(folder))
        for row in options.rows:
            wanted = options.count or ROWS[row].count
            seed = options.seed
            while num_hits(log, row) < wanted and time.monotonic() < end:
                for result in driver.faults(row, seed):
                    keep(log, result)
                seed += 1
    text = table(read(log))
    print(text)
    return 1 if any(result["violations"] for result in read(log)) else 0


def mutate(names: list[str]) -> int:
    """Show that the matrix turns red under each mutation, and stays green under the same fault without it; 1 if not."""
    print("| mutation | the protocol as it is | broken |\n|---|---|---|", flush=True)
    failed = False
    with tempfile.TemporaryDirectory(prefix="job-mutations-") as folder:
        inputs = Inputs.make(Path(folder) / "inputs")
        for name in names:
            green, red = (
                found(Subject(inputs, Path(folder) / f"{name}-{broken}"), name, broken=broken) for broken in (False, True)
            )
            failed |= bool(green) or not red
            print(
                f"| {MUTATIONS[name].title} | {'; '.join(green) or 'green'} | {'red: ' + red[0] if red else 'GREEN'} |", flush=True
            )
    return int(failed)


def version() -> str:
    """Of the code under test: the tree of ``job/`` as it is committed; changes that are not make it ``-changed``."""
    tree = subprocess.run(["git", "rev-parse", "--short", "HEAD:job"], cwd=ROOT, check=True, capture_output=True, text=True).stdout
    changed = subprocess.run(["git", "status", "--porcelain", "job"], cwd=ROOT, check=True, capture_output=True, text=True).stdout
    return tree.strip() + ("-changed" if changed else "")


def keep(log: Path, result: Result) -> None:
    with log.open("a") as file:
        file.write(json.dumps(result.as_json()) + "\n")
    mark = "ok" if not result.violations else "VIOLATION " + "; ".join(result.violations)
    print(f"{result.row} seed {result.seed}: {result.what or 'ended before the fault'}, {result.seconds} s: {mark}", flush=True)


def read(log: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []


def num_hits(log: Path, row: str) -> int:
    return sum(bool(result["hit"]) for result in read(log) if result["row"] == row)


def table(results: list[dict[str, object]]) -> str:
    """The counts as Markdown."""
    lines = ["| fault | wanted | made | violations | lost steps, median (most) | local bytes, most |", "|---|---|---|---|---|---|"]
    for name, row in ROWS.items():
        mine = [result for result in results if result["row"] == name]
        hits = [result for result in mine if result["hit"]]
        lost = [int(str(result["lost_steps"])) for result in hits if result["lost_steps"] is not None]
        steps = f"{statistics.median(lost):g} ({max(lost)})" if lost else ""
        size = f"{max(int(str(result['local_bytes'])) for result in mine):,}" if mine else ""
        wrong = sum(bool(result["violations"]) for result in mine)
        lines.append(f"| {row.title} | {row.count} | {len(hits)} | {wrong} | {steps} | {size} |")
    return "\n".join(lines)


if __name__ == "__main__":
    raise SystemExit(main())
