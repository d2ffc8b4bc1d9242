"""One small run on every platform, in every situation: its recipe, what the tests saw of it, and the page that is made of that.

    python -m tests.support.scenarios

Tests of ``tests/deploy`` note each cell under ``.cache/scenarios``; the command collects them into ``docs/scenarios.md``.  Nothing on that page
is written by hand: a cell that no test has noted is an error, and so are weights that are not the same in all of them.
"""

from __future__ import annotations

import hashlib
import json
import time
from dataclasses import dataclass
from pathlib import Path

from benchmarks import machine
from tests.support import house, tiny
from tests.support.kube_model import Next

NOTES = house.ROOT / ".cache" / "scenarios"
PAGE = house.ROOT / "docs" / "scenarios.md"
EVERY, LAST = 20, 300
RECIPE = {
    "TRAIN__MAX_STEPS": str(LAST),
    "CHECKPOINT__EVERY_STEPS": str(EVERY),
    "EVAL__EVERY_STEPS": str(LAST // 2),
    "EVAL__BEST_METRIC": "none",  # the last weights are published: every step has its part in them
    "PARALLEL__THREADS_PER_WORKER": "1",
}
"""Of a run on two processes, beside the settings of `tiny.environ`; where they run decides nothing."""
WRONG_SETTING = {"TRAIN__MAX_STEPS": "many"}
BAD_DATA = {"DATA__TEXT_COLUMN": "body"}
PLACES = ("docker", "Slurm", "pod")
CODES = {
    "complete": {0},
    "wrong setting": {64},
    "bad data": {65},
    "stop": {75},
    "time limit": {75},
    "node lost": {None, 137},
    "out of memory": {70, 137},
    "fenced": {76},
}
"""The situations, and how the job may end in each; None where nobody is left who could say."""
COMPLETES = ("complete", "stop", "time limit", "node lost", "out of memory", "fenced")
"""The situations that end, sooner or later, with a published model."""
BY_HAND = "hand"
NOBODY = ""


@dataclass(frozen=True)
class Seen:
    """A cell: the exit code, who started the run again, and the weights that were published in the end, if any."""

    code: int | None
    restarted_by: str
    weights: bytes = b""


def write_inputs(folder: Path) -> None:
    """``model/`` and ``train.csv``, which users of any name may read."""
    tiny.write_model(folder / "model")
    tiny.write_csv(folder / "train.csv", tiny.sentences(300))
    for path in [folder, *folder.rglob("*")]:
        path.chmod(0o755)


def note(place: str, situation: str, seen: Seen) -> None:
    """Keep what a test saw, for the page; an error when the situation may not end like this."""
    assert place in PLACES
    assert seen.code in CODES[situation], f"{place}, {situation}: {seen.code}"
    assert bool(seen.weights) == (situation in COMPLETES)
    NOTES.mkdir(parents=True, exist_ok=True)
    digest = hashlib.sha256(seen.weights).hexdigest() if seen.weights else ""
    _path(place, situation).write_text(json.dumps({"code": seen.code, "restarted_by": seen.restarted_by, "weights": digest}))


def _path(place: str, situation: str) -> Path:
    return NOTES / f"{place}-{situation.replace(' ', '_')}.json"


def by_controller(found: Next) -> str:
    """Who starts a pod again, by the model of the controllers."""
    if found.what == "restart":
        return f"the Job's controller, {'counted' if found.charged else 'free'}"
    return NOBODY


def by_slurm(shown: dict[str, str], log: str) -> str:
    """Who requeued a job, by what Slurm shows of it and by the script's own log."""
    if shown["Restarts"] == "0":
        return NOBODY
    return "`job.sbatch`, by requeue" if "is requeued after exit" in log else "Slurm, by requeue"


def collect() -> dict[str, list[str]]:
    """What the tests noted: by situation, a cell's text for each place.

    Raises:
        SystemExit: when a cell is missing, or the weights differ.
    """
    missing = [_path(place, situation).stem for situation in CODES for place in PLACES if not _path(place, situation).exists()]
    if missing:
        raise SystemExit(f"no test has noted {', '.join(missing)}: run tests/deploy")
    found = {situation: [json.loads(_path(place, situation).read_text()) for place in PLACES] for situation in CODES}
    digests = {situation: [cell["weights"] for cell in cells] for situation, cells in found.items() if situation in COMPLETES}
    if len({digest for row in digests.values() for digest in row}) != 1:
        raise SystemExit(f"the weights differ: {digests}")
    return {situation: [_text(**cell) for cell in cells] for situation, cells in found.items()}


def _text(code: int | None, restarted_by: str, weights: str) -> str:
    said = ["no code" if code is None else str(code), f"started again by {restarted_by}" if restarted_by else "the end"]
    return "; ".join([*said, *([f"`{weights[:12]}`"] if weights else [])])


def page(found: dict[str, list[str]]) -> str:
    """The table as Markdown."""
    table = "".join(f"| {situation} | " + " | ".join(cells) + " |\n" for situation, cells in found.items())
    return (
        "# What happens when, as it was seen\n\n"
        "Written by `python -m tests.support.scenarios` from what the tests of `tests/deploy` saw, "
        f"{time.strftime('%Y-%m-%d')}. One small run on two processes, "
        f"{LAST} steps, a commit every {EVERY}: in a container of podman's (docker), under a real Slurm, and as the pod of "
        "`job submit kubernetes`, run by `podman kube play` against a real store. Who starts a pod again is said by the model of the Job's "
        "controller in `tests/support/kube_model.py`: no controller runs there. That a pod's node was lost is told to the model, after a SIGKILL; at "
        "its time limit a pod gets the SIGTERM of a stop, so that cell is the stop's, and what starts it again the model's.\n\n"
        "A cell holds the job's exit code, who started the run again after it, and the beginning of the sha256 of the weights that were published "
        "in the end. It is the same wherever a run completes.\n\n"
        f"| | {' | '.join(PLACES)} |\n|---|{'---|' * len(PLACES)}\n{table}\n"
        f"{machine.sentence(machine.describe())}\n"
    )


def main() -> None:
    PAGE.write_text(page(collect()), encoding="utf-8")
    print(f"{PAGE} is written")


if __name__ == "__main__":
    main()
