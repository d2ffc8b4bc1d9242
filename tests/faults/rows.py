"""Faults of processes and files: kills, stops, several attempts, damage.  Each makes one fault in a run that it is given.

A row's function gets the subject and a seeded generator, starts the job, and returns after the fault; the driver starts the job again, as a
scheduler would, checks what must always hold, and in the end compares the published weights with those of an undisturbed run.
"""

from __future__ import annotations

import random
import signal
from pathlib import Path

from tests.faults.bench import STEPS_MAX, Subject, descendants, leave_commits, send, wait, wait_for_any
from tests.faults.outcome import Outcome, sleep

HARMS = ("flip", "cut", "delete")


def kill_at_random(subject: Subject, draw: random.Random, span_s: float) -> Outcome:
    """SIGKILL at a random instant: one worker, the node process alone, or everything at once."""
    target = draw.choice(["worker", "node", "group"])
    left = 1 - max(subject.committed_steps(), default=0) / STEPS_MAX
    moment = draw.uniform(0, span_s * (0.2 + 0.65 * left))
    process = subject.start()
    if not sleep(process, moment):
        return Outcome(hit=False)
    workers = subject.workers()
    victims = {
        "worker": [draw.choice(workers)] if workers else [process.pid],
        "node": [process.pid],
        "group": [process.pid, *workers],
    }
    send(victims[target], signal.SIGKILL)
    trained = subject.last_step()
    code = wait(process)
    if code == 0 and target != "worker":
        return Outcome(hit=False)  # it had ended by itself when the signal came
    wrong = code not in ((0, 70, -9) if target == "worker" else (-9,))
    lost = max(0, trained - max(subject.committed_steps(), default=0))
    said = [f"after the kill of {target} the job ended with {code}"] if wrong else []
    return Outcome(hit=True, what=f"{target} after {moment:.1f} s", kind=target, violations=said, lost_steps=lost)


PHASES = ("fetch", "prepare", "train", "save", "evaluate", "publish")
SIGNALS = (signal.SIGTERM, signal.SIGUSR2)
STOPS = {
    f"{number.name} to all in {phase}": (number, phase)
    for turn in range(2)  # each phase in turn, the signals in turn too
    for place, phase in enumerate(PHASES)
    for number in [SIGNALS[(place + turn) % 2]]
}
TO_ALL, LEAST = 0.75, 10
"""The share of stops that every process hears of, and how many of each kind of these are wanted."""


def stop_in_phase(subject: Subject, draw: random.Random, _: float) -> Outcome:
    """SIGTERM or SIGUSR2 in each phase, to every process at once or to the node process alone: 75, and nothing trained is lost."""
    number, phase = STOPS[subject.next_kind([*STOPS], subject.starts + subject.seed % 2 * len(PHASES))]
    who = "all" if draw.random() < TO_ALL else "the node process"
    before = max(subject.committed_steps(), default=0)
    process = subject.start()
    reached = {"train": lambda: subject.last_step() > before, "save": subject.staged}
    if not wait_for_any(reached.get(phase, lambda: subject.stage().startswith(phase)), process):
        return Outcome(hit=False)
    sleep(process, draw.uniform(0, 0.2))
    send([process.pid, *(subject.workers() if who == "all" else [])], number)
    code = wait(process)
    trained, committed = subject.last_step(), max(subject.committed_steps(), default=0)
    # Behind the last word of the log there is nothing left to stop.
    violations = (
        [] if code == 75 or (code == 0 and phase in {"evaluate", "publish"}) else [f"{number.name} was answered with {code}"]
    )
    if code == 75 and trained > committed:
        violations.append(f"75 with step {trained} trained and {committed} committed")
    kind = f"{number.name} to {who} in {phase}"
    return Outcome(hit=True, what=f"{kind}: {code}", kind=kind, violations=violations, lost_steps=max(0, trained - committed))


def stop_some(subject: Subject, draw: random.Random, span_s: float) -> Outcome:
    """SIGTERM or SIGUSR2 to one rank, or to whatever runs, data workers too: one rank alone is deaf, all together stop as asked."""
    number, data_workers, one = draw.choice([signal.SIGTERM, signal.SIGUSR2]), draw.choice(["0", "2"]), draw.random() < 0.6
    subject.changes = {**subject.changes, "TRAIN__DATA_WORKERS": data_workers}
    process = subject.start()
    before = subject.last_step()
    if not wait_for_any(lambda: subject.last_step() > before, process) or not sleep(process, draw.uniform(0, span_s / 4)):
        return Outcome(hit=False)
    workers = subject.workers()
    one = one and bool(workers)  # between two groups there is none
    send([draw.choice(workers)] if one else [process.pid, *descendants(process.pid), *workers], number)
    code = wait(process)
    trained, committed = subject.last_step(), max(subject.committed_steps(), default=0)
    said = [] if code in ((0,) if one else (0, 75)) else [f"{number.name} was answered with {code}"]
    if code == 75 and trained > committed:
        said.append(f"75 with step {trained} trained and {committed} committed")
    reached = "one rank" if one else "all"
    what = f"{number.name} to {reached}, {data_workers} data workers: {code}"
    return Outcome(
        hit=True,
        what=what,
        kind=f"{reached}, {data_workers} data workers",
        violations=said,
        lost_steps=max(0, trained - committed),
        done=code == 0,
    )


def short_grace(subject: Subject, draw: random.Random, _: float) -> Outcome:
    """SIGTERM while it trains, and SIGKILL to everything before it has ended; no fault where it was in time, but 75 has to be true."""
    before = subject.last_step()  # of an attempt that was cut off: more than is committed
    process = subject.start()
    if not wait_for_any(lambda: subject.last_step() > before, process) or not sleep(process, draw.uniform(0, 0.5)):
        return Outcome(hit=False)
    process.terminate()
    grace = draw.uniform(0, 1)
    in_time = not sleep(process, grace)
    trained = subject.last_step()
    send([process.pid, *subject.workers()], signal.SIGKILL)
    code = wait(process)
    committed = max(subject.committed_steps(), default=0)
    said = [] if code in ((0, 75) if in_time else (75, -9)) else [f"SIGTERM was answered with {code}"]
    if code == 75 and trained > committed:
        said.append(f"75 with step {trained} trained and {committed} committed")
    what = f"{grace:.2f} s of grace: {code}"
    return Outcome(hit=code == -9, what=what, violations=said, lost_steps=max(0, trained - committed))


def all_bad(subject: Subject, draw: random.Random, _: float) -> Outcome:
    """Every commit is damaged: 78, at every start, and nothing is trained from scratch; mended, the run goes on."""
    if not leave_commits(subject):
        return Outcome(hit=False)
    kept, entries = {}, subject.entries()
    for folder in sorted({path.parent for path in subject.store.rglob("step-*/MANIFEST.json")}):
        path = draw.choice(sorted(path for path in folder.iterdir() if path.is_file()))
        kept[path] = path.read_bytes()
        _harm(path, draw.choice(HARMS), draw)
    codes = [subject.finish() for _ in range(2)]
    said = [] if codes == [78, 78] else [f"without a usable commit: {codes}"]
    if any(entry["kind"] == "committed" for entry in subject.entries()[len(entries) :]):
        said.append("something was committed")
    for path, content in kept.items():
        path.write_bytes(content)
    return Outcome(hit=True, what=f"{len(kept)} commits damaged: {codes}", violations=said)


def two_at_once(subject: Subject, draw: random.Random, span_s: float) -> Outcome:
    """A second attempt from another machine: the first is fenced off with 76, the second finishes."""
    first = subject.start("here")
    if not sleep(first, draw.uniform(0, 0.8 * span_s)):
        return Outcome(hit=False)
    second = subject.start("there")
    codes = wait(first), wait(second)
    # The first may have finished before the second took the run over; then there is nothing left to do for that one.
    violations = [] if codes in ((76, 0), (0, 0)) else [f"the two ended with {codes}"]
    return Outcome(hit=codes == (76, 0), what=f"codes {codes}", violations=violations, done=True)


def frozen_and_woken(subject: Subject, draw: random.Random, span_s: float) -> Outcome:
    """All processes of an attempt are frozen, another finishes the run, the first wakes: it changes nothing and ends with 76."""
    first = subject.start("here")
    if not sleep(first, draw.uniform(0.6, 0.8 * span_s)):
        return Outcome(hit=False)
    frozen = [first.pid, *subject.workers("here")]
    send(frozen, signal.SIGSTOP)
    code = subject.finish("there")
    before = _contents(subject.store)
    send(frozen, signal.SIGCONT)
    woken = wait(first)
    violations = [] if (woken, code) in ((76, 0), (0, 0)) else [f"woken: {woken}, the other: {code}"]
    after = _contents(subject.store)
    if changed := [name for name, content in before.items() if after.get(name) != content]:
        violations.append(f"the woken attempt changed {changed[:3]}")
    return Outcome(hit=woken == 76, what=f"woken attempt: {woken}", violations=violations, done=True)


def damaged_checkpoint(subject: Subject, draw: random.Random, span_s: float) -> Outcome:
    """A file of the newest checkpoint is flipped, cut or deleted: the run continues from the one before."""
    if not leave_commits(subject):
        return Outcome(hit=False)
    newest = [entry for entry in subject.entries() if entry["kind"] == "committed"][-1]
    folder = (subject.store / newest["fields"]["manifest"]).parent
    files = sorted(path for path in folder.iterdir() if path.is_file())
    path, harm = files[subject.seed % len(files)], HARMS[subject.seed // len(files) % len(HARMS)]
    content = path.read_bytes()
    _harm(path, harm, draw)
    code = subject.finish()
    plan = (subject.run_dir() / "plan.json").read_text() if (subject.run_dir() / "plan.json").exists() else ""
    fell_back = f"Not continuing from step {newest['fields']['step']}" in subject.log().read_text(errors="replace")
    violations = [] if code == 0 and fell_back else [f"{harm} of {path.name}: {code}, plan {plan}, fell back: {fell_back}"]
    if folder.exists():  # retention may have removed it since
        path.write_bytes(content)  # the general check would find the damage that was made here
    return Outcome(hit=True, what=f"{harm} of {path.name}", kind=f"{harm} of {path.name}", violations=violations, done=True)


def _harm(path: Path, harm: str, draw: random.Random) -> None:
    content = bytearray(path.read_bytes())
    if harm == "delete":
        path.unlink()
    elif harm == "cut":
        path.write_bytes(content[: draw.randrange(len(content))])
    else:
        content[draw.randrange(len(content))] ^= 1 << draw.randrange(8)
        path.write_bytes(content)


def _contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
