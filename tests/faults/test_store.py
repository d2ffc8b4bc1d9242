"""The store's faults of the matrix without any training: a run's protocol over S3, one fault at a request drawn at random.

`make faults` makes them under whole runs; here start, commits, retention and resume are all there is, so it takes little.
"""

import contextlib
import json
import random
import shutil

import pytest

from job.errors import JobError
from job.storage import probe
from job.storage.commit import RunLog
from job.storage.options import StoreOptions
from job.storage.stores import open_store
from tests.faults import invariants
from tests.faults.bench import NAME, Subject
from tests.faults.store import BUCKET, Trouble
from tests.faults.store_rows import FOR_GOOD, ONCE

SEED = random.SystemRandom().randrange(10**6)
STEPS = 4
REQUESTS = 28
"""A few less than such a run makes."""


@pytest.fixture
def subject(tmp_path, monkeypatch):
    subject = Subject(None, tmp_path)
    for name, value in subject.serve().endpoint.environment().items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("AWS_CA_BUNDLE", raising=False)
    return subject


def run(subject, timeout_s):
    """An attempt: what was committed is found again, commits up to the last step, and once more from the store; the steps found."""
    log = RunLog(open_store(f"s3://{BUCKET}", StoreOptions(timeout_s=timeout_s)), NAME)
    attempt = log.start("s")
    found = [attempt.find_resume(subject.folder / "resumed", {})]
    for step in range(found[0].step + 1 if found[0] else 1, STEPS + 1):
        made = subject.folder / "made" / str(step)
        made.mkdir(parents=True, exist_ok=True)
        (made / "state.json").write_text(json.dumps({"step": step}))
        (made / "model.safetensors").write_bytes(random.Random(step).randbytes(3000))
        attempt.commit_checkpoint(made, {"step": step, "settings_fingerprint": "s", "data_fingerprint": "d"})
        attempt.retain(2)
    shutil.rmtree(subject.folder / "resumed", ignore_errors=True)
    found.append(attempt.find_resume(subject.folder / "resumed", {}))
    return [point.step if point else None for point in found]


PASSING = ("500", "reset after it was done")


@pytest.mark.parametrize("kind", PASSING)
def test_a_start_gets_over_one_fault_at_any_request_of_the_probe(subject, kind, monkeypatch):
    """Every request in turn, and after each a whole store: a single answer says nothing of what the store can do."""
    monkeypatch.setattr(probe, "_ROUNDS", 1)
    monkeypatch.setattr(probe, "_CALLERS", 2)
    for at in range(1, 60):
        store = open_store(f"s3://{BUCKET}", StoreOptions(timeout_s=30, backoff_s=0.001))
        plan(subject, ONCE[kind], at)
        result = probe.probe(store, NAME)
        assert [found for found in result.missing if found.required] == [], (at, subject.server.hits)
        if not subject.server.hits:
            break
        assert not [path for path in subject.store.rglob("*") if path.is_file()], (at, subject.server.hits)
    assert at > 15
    assert not subject.server.hits


def plan(subject, trouble, at):
    subject.server.plan(Trouble(trouble.fault, at, trouble.methods, trouble.where, trouble.once, trouble.damaged))


@pytest.mark.parametrize("kind", ONCE)
def test_one_fault_is_got_over(subject, kind):
    at = random.Random(f"{SEED} {kind}").randint(1, REQUESTS)
    plan(subject, ONCE[kind], at)
    found = run(subject, timeout_s=30)
    told = f"{kind} at request {at} ({subject.server.hits}), seed {SEED}"
    # A damaged reply may cost the newest commit's place to the one before, never the commit.
    assert found[0] is None, told
    assert found[1] in ((STEPS, STEPS - 1) if kind == "reply flipped" else (STEPS,)), told
    assert subject.committed_steps() == list(range(1, STEPS + 1)), told
    assert invariants.check(subject) == [], told


@pytest.mark.parametrize("kind", FOR_GOOD)
def test_a_store_that_refuses_is_never_an_empty_one(subject, kind):
    trouble, code = FOR_GOOD[kind]
    at = random.Random(f"{SEED} {kind}").randint(1, REQUESTS)
    plan(subject, trouble, at)
    told = f"{kind} from request {at} on ({subject.server.hits[:1]}), seed {SEED}"
    ended = None
    with contextlib.suppress(JobError):
        try:
            run(subject, timeout_s=1)
        except JobError as error:
            ended = error.exit_code
            raise
    assert ended == code if subject.server.hits else ended is None, told
    assert invariants.check(subject) == [], told
    before = max(subject.committed_steps(), default=None)
    subject.server.plan(None)
    assert run(subject, timeout_s=30) == [before, STEPS], told
    assert invariants.check(subject) == [], told
