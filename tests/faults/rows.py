"""The rows of the fault matrix.  Each row makes one fault in a run that it is given, and says what it saw.

A row's function gets the subject and a seeded generator, starts the job, and returns after the fault; the driver starts the job again, as a
scheduler would, checks what must always hold, and in the end compares the published weights with those of an undisturbed run.
"""

from __future__ import annotations

import random
import shutil
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from tests.faults.bench import Subject, send, wait, wait_for_any


@dataclass
class Outcome:
    """What one fault did.

    ``hit`` is false when the run ended before the fault came.  ``violations`` are the row's own; ``lost_steps`` were trained and have to
    be trained again; ``done`` says that the row needs no further start of this run.
    """

    hit: bool
    what: str = ""
    violations: list[str] = field(default_factory=list)
    lost_steps: int | None = None
    done: bool = False


Fault = Callable[[Subject, random.Random, float], Outcome]
"""(subject, generator, seconds that an undisturbed start takes) → outcome."""


@dataclass(frozen=True)
class Row:
    """A row: how often at least, and the fault."""

    title: str
    count: int
    fault: Fault


def kill_at_random(subject: Subject, draw: random.Random, span_s: float) -> Outcome:
    """SIGKILL at a random instant: one worker, the node process alone, or everything at once."""
    target, moment = draw.choice(["worker", "node", "group"]), draw.uniform(0, span_s)
    process = subject.start()
    if not _sleep(process, moment):
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
    wrong = code not in ((0, 70, -9) if target == "worker" else (-9,))
    lost = max(0, trained - max(subject.committed_steps(), default=0))
    said = [f"after the kill of {target} the job ended with {code}"] if wrong else []
    return Outcome(hit=True, what=f"{target} after {moment:.1f} s", violations=said, lost_steps=lost)


def stop_at_random(subject: Subject, draw: random.Random, span_s: float) -> Outcome:
    """SIGTERM or SIGUSR2 at a random instant, to the node process or to every process at once: 75, and nothing trained is lost."""
    number, everyone = draw.choice([signal.SIGTERM, signal.SIGUSR2]), draw.random() < 0.5
    moment = draw.uniform(0.6, span_s)  # before that Python itself is starting
    process = subject.start()
    if not _sleep(process, moment):
        return Outcome(hit=False)
    send([process.pid, *(subject.workers() if everyone else [])], number)
    code = wait(process)
    trained, committed = subject.last_step(), max(subject.committed_steps(), default=0)
    violations = [] if code in (0, 75) else [f"{number.name} was answered with {code}"]
    if code == 75 and trained > committed:
        violations.append(f"75 with step {trained} trained and {committed} committed")
    reached = "all" if everyone else "node"
    return Outcome(
        hit=True, what=f"{number.name} to {reached} after {moment:.1f} s", violations=violations, lost_steps=trained - committed
    )


def kill_at_edge(subject: Subject, draw: random.Random, _: float) -> Outcome:
    """SIGKILL of the node process before or after its n-th change of the store."""
    number, moment = draw.randint(1, _num_changes(subject)), draw.choice(["before", "after"])
    code = wait(subject.start(fault=f"{number}:{moment}"))
    if code == 0:
        return Outcome(hit=False)
    violations = [] if code == -signal.SIGKILL else [f"the failpoint was not reached: {code}"]
    return Outcome(hit=True, what=f"{moment} change {number}", violations=violations)


def two_at_once(subject: Subject, draw: random.Random, span_s: float) -> Outcome:
    """A second attempt from another machine: the first is fenced off with 76, the second finishes."""
    first = subject.start("here")
    if not _sleep(first, draw.uniform(0, span_s)):
        return Outcome(hit=False)
    second = subject.start("there")
    codes = wait(first), wait(second)
    # The first may have finished before the second took the run over; then there is nothing left to do for that one.
    violations = [] if codes in ((76, 0), (0, 0)) else [f"the two ended with {codes}"]
    return Outcome(hit=codes == (76, 0), what=f"codes {codes}", violations=violations, done=True)


def frozen_and_woken(subject: Subject, draw: random.Random, span_s: float) -> Outcome:
    """All processes of an attempt are frozen, another finishes the run, the first wakes: it changes nothing and ends with 76."""
    first = subject.start("here")
    if not _sleep(first, draw.uniform(0.6, span_s)):
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
    process = subject.start()
    if not wait_for_any(lambda: len(subject.committed_steps()) >= 3, process):
        return Outcome(hit=False)
    process.terminate()
    if wait(process) != 75:
        return Outcome(hit=False)
    shutil.rmtree(subject.folder / "here")  # another machine: the damaged copy is the only one
    newest = [entry for entry in subject.entries() if entry["kind"] == "committed"][-1]
    folder = (subject.store / newest["fields"]["manifest"]).parent
    path, harm = draw.choice(sorted(path for path in folder.iterdir() if path.is_file())), draw.choice(["flip", "cut", "delete"])
    content = path.read_bytes()
    _harm(path, harm, draw)
    code = subject.finish()
    plan = (subject.run_dir() / "plan.json").read_text() if (subject.run_dir() / "plan.json").exists() else ""
    fell_back = f"Not continuing from step {newest['fields']['step']}" in subject.log().read_text(errors="replace")
    violations = [] if code == 0 and fell_back else [f"{harm} of {path.name}: {code}, plan {plan}, fell back: {fell_back}"]
    if folder.exists():  # retention may have removed it since
        path.write_bytes(content)  # the general check would find the damage that was made here
    return Outcome(hit=True, what=f"{harm} of {path.name}", violations=violations, done=True)


ROWS = {
    "kill": Row("SIGKILL at a random instant: worker, node process, whole group", 200, kill_at_random),
    "edge": Row("SIGKILL before and after every change of the store", 200, kill_at_edge),
    "stop": Row("SIGTERM / SIGUSR2 at a random instant, to the node process or to all", 120, stop_at_random),
    "two": Row("two attempts at once", 100, two_at_once),
    "frozen": Row("a frozen attempt wakes after a takeover", 30, frozen_and_woken),
    "damage": Row("a file of the newest checkpoint flipped, cut or deleted", 30, damaged_checkpoint),
}


def _sleep(process: object, seconds: float) -> bool:
    """Wait; false when the process ended before."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if process.poll() is not None:  # type: ignore[attr-defined]
            return False
        time.sleep(0.01)
    return process.poll() is None  # type: ignore[attr-defined]


def _num_changes(subject: Subject) -> int:
    """How often an undisturbed run changes its store; counted once for all runs with these inputs."""
    known = subject.inputs.folder / "num-changes"
    if not known.exists():
        other = Subject(subject.inputs, subject.inputs.folder / "counted", subject.changes)
        assert wait(other.start(fault=f"count:{known}")) == 0, other.log().read_text()
    return int(known.read_text())


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
