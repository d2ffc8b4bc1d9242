"""A training of ten minutes under a limit of three, from the unchanged script, on two nodes of a real Slurm.

    python -m benchmarks.slurm_time_limit [--steps 20000] [--limit 3] [--grace 60]

The same settings are submitted twice with ``sbatch --nodes=2 slurm/job.sbatch``: once with ``--time`` below what the training takes, which
has to finish by itself over as many requeues as it needs, and beside it once with time enough.  Read back are the run's log in the store, the
steps that each attempt trained, by the record of metrics that was published, and the published weights of both.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import re
import statistics
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from benchmarks import machine
from tests.support import jobs, tiny
from tests.support.servers import slurm as slurm_server
from tests.support.slurm_runs import Site

RESULTS = Path(__file__).parent / "results" / "slurm_time_limit.md"
MODEL = {"dim": 128, "hidden_dim": 256, "n_layers": 4, "n_heads": 4}
LOOK_EVERY_S = 2.0
PATIENCE_S = 3 * 3600.0


@dataclass(frozen=True)
class Told:
    """One job, after its end: what Slurm shows, what the run's log says, what was published."""

    shown: dict[str, str]
    entries: list[dict[str, Any]]
    log: str
    model: Path
    seconds: float

    @property
    def sha256(self) -> str:
        return hashlib.sha256((self.model / "model.safetensors").read_bytes()).hexdigest()

    @property
    def metrics(self) -> list[dict[str, Any]]:
        """The records of training steps, in the order they were written."""
        lines = (self.model / "report" / "metrics.jsonl").read_text().splitlines()
        return [record for record in map(json.loads, lines) if "train/loss" in record]

    def attempts(self) -> list[list[dict[str, Any]]]:
        """The log's entries, by attempt."""
        numbers = sorted({entry["attempt"] for entry in self.entries})
        return [[entry for entry in self.entries if entry["attempt"] == number] for number in numbers]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=20000)
    parser.add_argument("--limit", type=int, default=3, help="minutes")
    parser.add_argument("--grace", type=int, default=60, help="seconds")
    asked = parser.parse_args()
    loads: list[float] = []
    with slurm_server.slurm(num_nodes=4) as cluster, tempfile.TemporaryDirectory(prefix="limit-") as name:
        site = Site(cluster, Path(name))
        tiny.write_model(site.folder / "model", **MODEL)
        tiny.write_csv(site.folder / "train.csv", tiny.sentences(2000))
        times = {"limited": asked.limit, "alone": 24 * 60}
        submitted = {name: _submit(site, name, asked, minutes) for name, minutes in times.items()}
        limited, alone = _ended(site, submitted, loads)
        page = _page(asked, limited, alone, loads)
    RESULTS.write_text(page)
    print(page)


def _submit(site: Site, name: str, asked: argparse.Namespace, minutes: int) -> str:
    """Submit a run of two nodes; the job's number."""
    steps = {
        "TRAIN__MAX_STEPS": str(asked.steps),
        "CHECKPOINT__EVERY_STEPS": str(10**9),
        "EVAL__EVERY_STEPS": str(asked.steps // 4),
    }
    shape = {"PARALLEL__WORKERS_PER_NODE": "1", "RUN__GRACE_S": str(asked.grace), "TRAIN__LOG_EVERY_STEPS": "1"}
    last = {"EVAL__BEST_METRIC": "none"}  # what is compared are the weights after the last step
    return site.submit(name, "--nodes=2", f"--time={minutes}", f"--signal=B:USR2@{asked.grace}", **steps, **shape, **last)


def _ended(site: Site, submitted: dict[str, str], loads: list[float]) -> list[Told]:
    """Wait for the end of all jobs, however often they are requeued, and note how busy the machine is."""
    began, told, before = time.monotonic(), {}, {}
    while len(told) < len(submitted):
        for name, job in submitted.items():
            shown, seconds = site.cluster.show(job), time.monotonic() - began
            now = f"{name}: {shown['JobState']}, requeued {shown['Restarts']} times"
            if before.get(name) != now:
                print(f"{seconds:7.0f} s  {now}  {shown['Comment']}", flush=True)
            before[name] = now
            if name not in told and shown["JobState"] in slurm_server.OVER:
                told[name] = _told(site, name, shown, seconds)
        if time.monotonic() - began > PATIENCE_S:
            raise TimeoutError(f"they did not end within {PATIENCE_S:.0f} s")
        loads.append(os.getloadavg()[0])
        time.sleep(LOOK_EVERY_S)
    return [told[name] for name in submitted]


def _told(site: Site, name: str, shown: dict[str, str], seconds: float) -> Told:
    log = (site.folder / f"finetune-{shown['JobId']}.log").read_text()
    if shown["JobState"] != "COMPLETED":
        raise SystemExit(f"{name} ended as {shown['JobState']}, {shown['Comment']}\n{log[-4000:]}")
    store = site.folder / "store"
    return Told(shown, jobs.log_entries(store, name), log, jobs.published(store, name), seconds)


def _page(asked: argparse.Namespace, limited: Told, alone: Told, loads: list[float]) -> str:
    """What was seen, as Markdown."""
    trained = alone.metrics[-1]["time_s"]
    claims = [
        (f"finished by itself: {limited.shown['JobState']}", limited.shown["JobState"] == "COMPLETED"),
        (f"the undisturbed training takes ten minutes or more: {trained:.0f} s", trained >= 600),
        ("every step from the first to the last was trained once, none twice", _steps(limited) == list(range(1, asked.steps + 1))),
        ("whenever an attempt was stopped, the very step after which its workers stopped was committed", _nothing_lost(limited)),
        ("each attempt began at the step of a commit", _begins_at_commits(limited)),
        (f"the weights are those of the undisturbed run, `{alone.sha256[:16]}`", limited.sha256 == alone.sha256),
    ]
    rows = "".join(_row(limited, number, entries) for number, entries in enumerate(limited.attempts(), 1))
    said = "".join(f"| {claim} | {'yes' if holds else '**no**'} |\n" for claim, holds in claims)
    return (
        "# A time limit shorter than the training\n\n"
        f"`python -m benchmarks.slurm_time_limit`: `sbatch --nodes=2 --time={asked.limit} --signal=B:USR2@{asked.grace} slurm/job.sbatch`, "
        f"{asked.steps} steps, one run. {limited.seconds:.0f} s from submission to the end with {limited.shown['Restarts']} requeues; "
        f"{alone.seconds:.0f} s for the run that was left alone. Training alone took {limited.metrics[-1]['time_s']:.0f} s over all attempts. "
        f"Both ran at the same time, beside others: the machine's load was {statistics.mean(loads):.0f} on average "
        f"({min(loads):.0f} to {max(loads):.0f}).\n\n"
        f"| | |\n|---|---|\n{said}\n"
        "| attempt | trained steps | last commit | seconds in the run's log | ended with |\n|---|---|---|---|---|\n"
        f"{rows}\n{machine.sentence(machine.describe())}\n"
    )


def _steps(told: Told) -> list[int]:
    return [record["step"] for record in told.metrics]


def _begins_at_commits(told: Told) -> bool:
    """Whether attempts that trained began where a commit of the attempts before them ended, by the job's own log."""
    committed = {step for entries in told.attempts() for step in _committed(entries)}
    began = {int(step) for step in re.findall(r'"start_step": (\d+)', told.log)} - {0}
    return bool(began) and began <= committed


def _nothing_lost(told: Told) -> bool:
    """Whether the step after which an attempt's workers were stopped was committed by then: by it, or before it had trained a step."""
    committed, found = set(), []
    for entries in told.attempts():
        committed |= set(_committed(entries))
        after = re.search(r"after step (\d+);", entries[-1]["fields"].get("message", ""))
        found += [int(after[1]) in committed] if after else []
    return bool(found) and all(found)


def _committed(entries: Sequence[dict[str, Any]]) -> list[int]:
    return [entry["fields"]["step"] for entry in entries if entry["kind"] == "committed"]


def _row(told: Told, number: int, entries: Sequence[dict[str, Any]]) -> str:
    trained = [record["step"] for record in told.metrics if record["attempt"] == entries[0]["attempt"]]
    first, last = (datetime.fromisoformat(entries[at]["time"]) for at in (0, -1))
    steps, fields = _committed(entries), entries[-1]["fields"]
    cells = (
        number,
        f"{min(trained)} to {max(trained)}" if trained else "-",
        max(steps) if steps else "-",
        f"{(last - first).total_seconds():.0f}",
        f"{fields['code']}, in {fields['stage']}" if "stage" in fields else entries[-1]["kind"],
    )
    return "| " + " | ".join(map(str, cells)) + " |\n"


if __name__ == "__main__":
    main()
