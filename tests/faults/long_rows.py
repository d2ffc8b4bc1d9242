"""What builds up over many saves and kills: old checkpoints, and uploads in parts that nobody finished."""

from __future__ import annotations

import random
import signal

from tests.faults import store_rows
from tests.faults.bench import STEPS_MAX, Subject, send, wait, wait_for_any
from tests.faults.outcome import Outcome, sleep

NUM_SAVES, KEPT_AND_BEST = 60, 3


def kept_checkpoints(subject: Subject, draw: random.Random, span_s: float) -> Outcome:
    """Sixty saves of a run, killed five times on the way: in the end the store holds the newest two checkpoints and the best."""
    subject.changes = {**subject.changes, "CHECKPOINT__EVERY_STEPS": str(STEPS_MAX // NUM_SAVES)}
    kills = 0
    while kills < 5:
        before = len(subject.committed_steps())
        process = subject.start()
        if not wait_for_any(lambda before=before: len(subject.committed_steps()) > before + 4, process):
            break
        if sleep(process, draw.uniform(0, span_s / 10)):
            send([process.pid, *subject.workers()], signal.SIGKILL)
            kills += 1
        wait(process)
    code = 0 if any(entry["kind"] == "complete" for entry in subject.entries()) else subject.finish()
    said = [] if code == 0 else [f"the run ended with {code}"]
    saves = len(subject.committed_steps())
    whole = {path.parent.name for path in subject.store.rglob("step-*/MANIFEST.json")}
    halves = {path.parent.name for path in subject.store.rglob("step-*/*")} - whole
    # Of a save that a kill cut off files may be left, which no entry of the log ever lists: `job verify --repair` removes them.
    if saves < 50 or len(whole) > KEPT_AND_BEST or len(halves) > kills:
        said.append(f"after {saves} saves and {kills} kills the store holds {sorted(whole)} and of others files: {sorted(halves)}")
    return Outcome(
        hit=kills == 5,
        what=f"{kills} kills, {saves} saves: {len(whole)} checkpoints are left, and of {len(halves)} others files",
        violations=said,
        done=True,
    )


def orphaned_parts(subject: Subject, draw: random.Random, span_s: float) -> Outcome:
    """SIGKILL while a file is uploaded in parts: the next start ends what was left open."""
    server = store_rows.serve(subject)
    process = subject.start(fault="small-parts")
    if not wait_for_any(lambda: bool(server.uploads), process):
        return Outcome(hit=False)
    sleep(process, draw.uniform(0, 0.05))
    process.kill()
    wait(process)
    orphans = len(server.uploads)
    send(subject.workers(), signal.SIGKILL)
    code = subject.finish()
    said = [] if code == 0 else [f"the next start ended with {code}"]
    if server.uploads:
        said.append(f"open uploads are left: {len(server.uploads)}")
    return Outcome(hit=bool(orphans), what=f"{orphans} uploads were open", violations=said, done=True)
