"""``make faults``: the whole matrix, kept per version of the code under test, so that it can be stopped and continued.

python -m tests.faults [--rows kill edge ...] [--count N] [--seed S] [--minutes M] [--kind KIND]
python -m tests.faults --mutations    the protocol broken in six ways: each has to be found
python -m tests.faults --document     write what was found into docs/reliability.md

Two of these commands may run side by side, with different rows or with seeds far apart.
"""

from __future__ import annotations

import argparse
import random
import tempfile
import time
from collections import Counter
from pathlib import Path

from tests.faults import record
from tests.faults.bench import Inputs, Subject
from tests.faults.driver import FAULTS_PER_RUN, Driver
from tests.faults.matrix import ROWS
from tests.faults.mutations import MUTATIONS, found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", nargs="*", choices=[*ROWS], default=[*ROWS])
    parser.add_argument("--count", type=int, help="faults of each row; default: the row's own number, and of each kind its least")
    parser.add_argument("--kind", help="make faults of this kind where a row can; default: those it has fewest of")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6))
    parser.add_argument("--minutes", type=float, default=float("inf"), help="stop after so long; the next call continues")
    parser.add_argument("--mutations", nargs="*", choices=[*MUTATIONS], help="break the protocol instead, each way or these ways")
    parser.add_argument("--document", action="store_true", help="write the results into the documents")
    options = parser.parse_args()
    if options.mutations is not None:
        return mutate(options.mutations or [*MUTATIONS])
    if options.document:
        record.write_page(record.version())
        return 0
    file = record.results(record.version())
    print(f"seed {options.seed}, results in {file}", flush=True)
    disturb(file, options)
    results = record.read(file)
    print(record.table(results))
    return 1 if any(result["violations"] for result in results) else 0


def disturb(file: Path, options: argparse.Namespace) -> None:
    """Make what is missing of these rows, each run with a seed of its own; runs that are not as they should be stay for a look."""
    folder, end = Path(tempfile.mkdtemp(prefix="job-faults-")), time.monotonic() + options.minutes * 60
    driver = Driver.make(folder)
    for row in options.rows:
        known = [result["seed"] for result in record.read(file) if result["row"] == row]
        number = max([options.seed, *(one + 1 for one in known)])
        while not record.is_done(found := record.read(file), row, options.count) and time.monotonic() < end:
            lacking = Counter({options.kind: FAULTS_PER_RUN}) if options.kind else record.lacking(found, row)
            for result in driver.faults(row, number, lacking=lacking):
                record.keep(file, result)
            number += 1


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


if __name__ == "__main__":
    raise SystemExit(main())
