"""Faults of the store, over whole runs: errors, lost replies, stalls, damage, credentials that end, a store that stays away."""

from __future__ import annotations

import dataclasses
import random
import time
from pathlib import Path

from tests.faults.bench import CANARY, Subject, wait, wait_for_any
from tests.faults.outcome import Outcome
from tests.faults.store import BUCKET, Trouble, TroubledS3
from tests.support.servers.scripted import Fault

GIVE_UP_S = "4"
"""How long a failing request is tried again in these runs."""
NUM_ENTRIES = 12
"""Log entries of an undisturbed run, at least."""
NUM_REQUESTS = 230
"""As many as an undisturbed run makes: the first 93 are the probe's; a number beyond the end is no hit."""
NUM_WHERE = {"": NUM_REQUESTS, "/attempts/": 120, "/log/": 18}
NUM_GETS = {"": 34, "/attempts/": 16, "/log/": 2}
WRITES = "PUT POST"
ONCE = {
    "500": Trouble(Fault("", 500, "InternalError"), 0),
    "503 SlowDown": Trouble(Fault("", 503, "SlowDown", headers={"Retry-After": "1"}), 0),
    "409": Trouble(Fault("", 409, "ConditionalRequestConflict"), 0, methods="PUT", where="/log/"),
    "reset": Trouble(Fault(""), 0),
    "reset after it was done": Trouble(Fault("", done=True), 0, methods="PUT POST DELETE"),
    "lost reply to a commit": Trouble(Fault("", done=True), 0, methods="PUT", where="/log/"),
    "500 after it was done": Trouble(Fault("", 500, "InternalError", done=True), 0, methods="PUT POST DELETE"),
    "slow": Trouble(Fault("", stall_s=3.0), 0),
    "stall, then reset": Trouble(Fault("", stall_s=3.0, done=True), 0),
    "reply cut": Trouble(Fault("", truncate=True), 0, methods="GET"),
    "reply flipped": Trouble(Fault("", flip=True), 0, methods="GET", where="/checkpoints/"),
    "other bytes stored": Trouble(Fault(""), 0, methods=WRITES, where="/attempts/", damaged=True),
}
"""What passes by itself: the job goes on, and nobody outside of it learns of it."""
FOR_GOOD = {
    "403": (Trouble(Fault("", 403, "AccessDenied"), 0, once=False), 77),
    "403 on the log": (Trouble(Fault("", 403, "AccessDenied"), 0, where="/log/", once=False), 77),
    "expired": (Trouble(Fault("", 400, "ExpiredToken"), 0, once=False), 77),
    "unknown key": (Trouble(Fault("", 403, "InvalidAccessKeyId"), 0, once=False), 77),
    "away": (Trouble(Fault(""), 0, once=False), 69),
    "503": (Trouble(Fault("", 503, "SlowDown"), 0, once=False), 69),
    "full": (Trouble(Fault("", 507, "XMinioStorageFull"), 0, methods=WRITES, once=False), 77),
    "full, by quota": (Trouble(Fault("", 403, "QuotaExceeded"), 0, methods=WRITES, where="/attempts/", once=False), 77),
    "no writes": (Trouble(Fault("", 500, "InternalError"), 0, methods=WRITES, once=False), 69),
}
"""What lasts until the job ends, and its code.  The next start finds the store well again."""
LEAST = 5
"""Faults of each of these."""
COUNTING = Trouble(Fault(""), 10**9)
"""Never comes: the server counts."""


def store_once(subject: Subject, draw: random.Random, _: float) -> Outcome:
    """One fault at a random request of all, of what attempts write, or of the log: the run ends with 0 as if nothing had been."""
    kind = sorted(ONCE)[subject.seed % len(ONCE)]
    server = serve(subject)
    resumed, trouble = kind == "reply flipped", ONCE[kind]
    if resumed and not _leave_a_commit(subject):
        return Outcome(hit=False)
    # The probe's requests are so many that the run's own need a share of their own.
    trouble = dataclasses.replace(trouble, where=trouble.where or draw.choice(sorted(NUM_WHERE)))
    most = (NUM_GETS if trouble.methods == "GET" else NUM_WHERE).get(trouble.where, NUM_REQUESTS)
    code = _start_with(subject, server, trouble, 1 if resumed else draw.randint(1, most))
    said = [] if code == 0 else [f"{kind}: the job ended with {code}"]
    return Outcome(hit=bool(server.hits), what=f"{kind} at {server.hits[:1]}", kind=kind, violations=said, done=code == 0)


def lost_reply(subject: Subject, draw: random.Random, _: float) -> Outcome:
    """The reply to a log entry is lost after it was written: the job finds its own entry there, and goes on."""
    server = serve(subject)
    trouble = draw.choice([ONCE["lost reply to a commit"], Trouble(Fault("", 500, "InternalError", done=True), 0, "PUT", "/log/")])
    code = _start_with(subject, server, Trouble(trouble.fault, 1, trouble.methods, trouble.where), 1 + subject.seed % NUM_ENTRIES)
    said = [] if code == 0 else [f"lost reply: the job ended with {code}"]
    hit = bool(server.hits)
    return Outcome(hit=hit, what=f"lost reply to {server.hits[:1]}", kind="lost reply", violations=said, done=code == 0)


def away_for_a_while(subject: Subject, draw: random.Random, _: float) -> Outcome:
    """The store cannot be reached for a second up to for ever: 0 when it comes back in time, else 69."""
    server, seconds = serve(subject), draw.choice([1.0, 2.0, 8.0, 1e9])
    server.plan(Trouble(Fault(""), draw.randint(1, NUM_REQUESTS), once=False, seconds=seconds))
    code = wait(subject.start())
    hit = bool(server.hits)
    server.plan(None)
    allowed = {0} if seconds < 3 else {0, 69}  # uploads beside training have patience of their own
    said = [] if code in allowed else [f"away for {seconds:g} s: {code}"]
    return Outcome(hit=hit, what=f"away for {seconds:g} s: {code}", kind=f"{seconds:g} s", violations=said, done=code == 0)


def store_for_good(subject: Subject, draw: random.Random, _: float) -> Outcome:
    """From a random request on the store refuses or stays away: its code; the next start goes on from the last commit."""
    kind = subject.next_kind(sorted(FOR_GOOD), subject.seed + subject.starts)
    trouble, expected = FOR_GOOD[kind]
    server = serve(subject)
    subject.changes = {**subject.changes, "CHECKPOINT__MAX_FAILED_UPLOADS": "2"}
    began, known = time.time(), len(subject.entries())
    code = _start_with(subject, server, trouble, draw.randint(1, NUM_WHERE.get(trouble.where, NUM_REQUESTS)))
    # With nothing left to do but shipping the last lines, a job may end well.
    said = [] if code in (0, expected) else [f"{kind}: {code} instead of {expected}"]
    if len(subject.entries()) < known:
        said.append("the log became shorter")
    what = f"{kind} from {server.hits[:1]} on: {code} after {time.time() - began:.0f} s"
    return Outcome(hit=bool(server.hits), what=what, kind=kind, violations=said, done=code == 0)


def keys_rotated(subject: Subject, draw: random.Random, _: float) -> Outcome:
    """The credentials file gets a new key at a random request, and the old one is refused from then on: the job ends with 0."""
    server, at = serve(subject), draw.randint(1, NUM_REQUESTS)
    file = subject.inputs.folder / f"credentials-{subject.folder.name}"  # the check for secrets reads all of the subject's folder
    _write_key(file, "old")
    subject.variables = {**subject.variables, "AWS_ACCESS_KEY_ID": "", "AWS_SHARED_CREDENTIALS_FILE": str(file)}
    server.keys = frozenset({"old"})
    server.plan(COUNTING)
    process = subject.start()
    running = wait_for_any(lambda: server.count >= at, process)
    if running:
        server.keys = frozenset({"old", "new"})  # until the file is there
        _write_key(file, "new")
        server.keys = frozenset({"new"})
    code, hits = wait(process), list(server.hits)
    said = [] if code == 0 else [f"with a new key from request {at} on: {code}"]
    if hits and not running:
        said.append(f"the first key was not sent: {hits[:1]}")
    return Outcome(hit=bool(hits), what=f"{len(hits)} requests refused from {hits[:1]} on: {code}", violations=said, done=code == 0)


def _write_key(file: Path, key: str) -> None:
    temporary = file.with_suffix(".tmp")
    temporary.write_text(f"[default]\naws_access_key_id = {key}\naws_secret_access_key = {CANARY}\n")
    temporary.replace(file)


def serve(subject: Subject) -> TroubledS3:
    """This run's server, started with its first fault and for as long as the driver lives."""
    server = subject.serve()
    subject.changes = {**subject.changes, "OUTPUT__URI": f"s3://{BUCKET}", "LIMITS__STORE_TIMEOUT_S": GIVE_UP_S}
    return server


def _start_with(subject: Subject, server: TroubledS3, trouble: Trouble, at: int) -> int:
    server.plan(dataclasses.replace(trouble, at=at))
    code = wait(subject.start())
    hits = list(server.hits)
    server.plan(None)
    server.hits.extend(hits)
    return code


def _leave_a_commit(subject: Subject) -> bool:
    """Train up to a commit on a machine that is lost then."""
    process = subject.start("lost")
    if not wait_for_any(lambda: len(subject.committed_steps()) >= 2, process):
        return False
    process.terminate()
    return wait(process) == 75
