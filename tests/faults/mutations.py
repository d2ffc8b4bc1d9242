"""The protocol, broken on purpose: each of these has to turn the matrix red, under a fault that leaves the real protocol green.

Applied from outside, in the node process of a test (`tests.faults.node`); ``stop-alone`` in its workers.
"""

from __future__ import annotations

import dataclasses
import shutil
import signal
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from job.errors import DeniedError
from job.stages import start
from job.storage import commit, payload, resume
from job.storage.commit import Attempt
from tests.faults import invariants
from tests.faults.bench import Subject, send, wait, wait_for_any
from tests.faults.store import BUCKET, Trouble
from tests.support.servers.scripted import Fault


def manifest_first() -> None:
    """The manifest is put before the files it names."""
    files, manifest, later = payload.upload_files, payload.upload_manifest, []

    def upload_manifest(*arguments: Any) -> str:
        key = manifest(*arguments)
        files(*later.pop())
        return key

    payload.upload_files = lambda *arguments: later.append(arguments)  # type: ignore[assignment]
    payload.upload_manifest = upload_manifest


def entry_first() -> None:
    """The log entry is put before the manifest."""
    manifest, append, later = payload.upload_manifest, Attempt._append, []

    def upload_manifest(*arguments: Any) -> str:
        later.append(arguments)
        return str(arguments[1]) + payload.MANIFEST_NAME

    def and_then_the_manifest(self: Attempt, *arguments: Any, **fields: Any) -> Any:
        entry = append(self, *arguments, **fields)
        manifest(*later.pop())
        return entry

    payload.upload_manifest = upload_manifest
    Attempt._append = and_then_the_manifest  # type: ignore[method-assign]


def no_fence() -> None:
    """An attempt goes on beside a newer one."""
    real = start._run_log
    start._run_log = lambda settings: dataclasses.replace(real(settings), fenced=False)


def delete_first() -> None:
    """Old checkpoints go before the new one is committed."""
    real = Attempt.commit_checkpoint

    def commit_checkpoint(self: Attempt, *arguments: Any) -> Any:
        self.retain(1)
        return real(self, *arguments)

    Attempt.commit_checkpoint = commit_checkpoint  # type: ignore[method-assign]


def denied_is_fresh() -> None:
    """A store that denies access to the checkpoints is taken for one that has none."""
    real = resume.find_resume

    def find_resume(*arguments: Any) -> Any:
        try:
            return real(*arguments)
        except DeniedError:
            return None

    commit.resume.find_resume = find_resume


def killed_after(pattern: str) -> Callable[[Subject, str], list[str]]:
    """SIGKILL after the second change of the store whose key and content hold this pattern."""

    def fault(subject: Subject, mutation: str) -> list[str]:
        code = wait(subject.start(fault=f"mutation:{mutation}:{pattern}"))
        send(subject.workers(), signal.SIGKILL)  # no next start will look for them
        return [] if code == -9 else [f"not killed: {code}"]

    return fault


def undisturbed(subject: Subject, mutation: str) -> list[str]:
    code = wait(subject.start(fault=f"mutation:{mutation}"))
    return [] if code == 0 else [f"code {code}"]


def two_at_once(subject: Subject, mutation: str) -> list[str]:
    first = subject.start("here", fault=f"mutation:{mutation}")
    wait_for_any(subject.committed_steps, first)
    second = subject.start("there", fault=f"mutation:{mutation}")
    codes = wait(first), wait(second)
    return [] if codes in ((76, 0), (0, 0)) else [f"the two ended with {codes}"]


def denied(subject: Subject, mutation: str) -> list[str]:
    server = subject.serve()
    subject.changes = {**subject.changes, "OUTPUT__URI": f"s3://{BUCKET}"}
    process = subject.start()
    wait_for_any(lambda: len(subject.committed_steps()) >= 2, process)
    process.terminate()
    wait(process)
    shutil.rmtree(subject.folder / "here")
    server.plan(Trouble(Fault("", 403, "AccessDenied"), 1, methods="GET HEAD", where="/checkpoints/", once=False))
    code = wait(subject.start(fault=f"mutation:{mutation}"))
    server.plan(None)
    return [] if code == 77 else [f"403 was answered with {code}"]


def stopped(subject: Subject, mutation: str) -> list[str]:
    """SIGTERM in training; one rank sees the request a step later than the other."""
    subject.changes = {**subject.changes, "LIMITS__STALL_TIMEOUT_S": "60"}
    name = "late-stop" if mutation == "none" else mutation
    process = subject.start(fault=f"worker:{name}:0")
    wait_for_any(lambda: subject.last_step() > 0, process)
    process.terminate()
    code = wait(process)
    return [] if code == 75 else [f"a stop was answered with {code}"]


@dataclass(frozen=True)
class Mutation:
    """What is broken, and the fault that shows it: (subject, mutation's name or ``none``) → what was wrong."""

    title: str
    fault: Callable[[Subject, str], list[str]]
    apply: Callable[[], None] = lambda: None


MUTATIONS: Mapping[str, Mutation] = {
    "manifest-first": Mutation("the manifest before the files", killed_after(r"^key \S+/MANIFEST\.json content"), manifest_first),
    "entry-first": Mutation("the log entry before the manifest", killed_after(r'content .*"kind": "committed"'), entry_first),
    "no-fence": Mutation("no fence", two_at_once, no_fence),
    "delete-first": Mutation("deletion before the commit", undisturbed, delete_first),
    "denied-is-fresh": Mutation("403 as a fresh start", denied, denied_is_fresh),
    "stop-alone": Mutation("a stop flag for each rank", stopped),
}


def found(subject: Subject, name: str, *, broken: bool) -> list[str]:
    """What the matrix finds under this mutation's fault, in the real protocol or in the broken one."""
    wrong = MUTATIONS[name].fault(subject, name if broken else "none")
    return wrong + invariants.check(subject)
