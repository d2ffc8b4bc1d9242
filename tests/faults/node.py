"""The node process with failpoints at the store.  The job has no hook for this: the store's methods are wrapped here, and only here.

``FAULT=edge:<before|after>:<n>:<kind>`` kills it at its n-th change of a kind; ``FAULT=count:<file>`` kills nothing and leaves the
number of changes of each kind in a file.
"""

from __future__ import annotations

import collections
import itertools
import json
import os
import re
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

from job.cluster import launch
from job.storage.local import LocalStore
from job.storage.s3 import S3Store
from tests.faults import mutations

PART_BYTES = 32 * 1024
CHANGES = ("write_file", "write_bytes", "put_if_absent", "delete")


def kind_of(method: str, key: str, content: Any = b"") -> str:
    """What a change of the store is about, in words: every object, manifest, entry and deletion of the protocol is one of its own."""
    folder = next((name for name in ("checkpoints", "model", "log") if f"/{name}/" in key), "attempt")
    if "probe-" in key:
        return "a probe"
    if folder == "log":
        return "entry " + str(json.loads(content)["kind"])
    name = re.sub(r"\d{3,}", "N", key.rpartition("/")[2])
    return ("deletion of " if method == "delete" else "") + f"{folder}: {name}"


def arm(fault: str) -> None:
    """Wrap the store's changes."""
    about, _, more = fault.partition(":")
    seen: collections.Counter[str] = collections.Counter()
    if about == "count":
        real_exit, counts, more = os._exit, Path(more), "::"

        def leave_count(code: int) -> None:
            counts.write_text(json.dumps(seen))
            real_exit(code)

        os._exit = leave_count  # type: ignore[assignment]
    moment, number, kind = more.split(":", 2)
    for name in CHANGES:
        setattr(LocalStore, name, _wrapped(name, seen, (moment, number, kind)))


def _wrapped(name: str, seen: collections.Counter[str], fault: tuple[str, str, str]) -> Callable[..., Any]:
    real = getattr(LocalStore, name)
    moment, number, kind = fault

    def change(self: LocalStore, key: str, *content: Any) -> Any:
        mine = kind_of(name, key, *content)
        seen[mine] += 1
        here = mine == kind and str(seen[mine]) == number
        if here and moment == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        result = real(self, key, *content)
        if here and moment == "after":
            os.kill(os.getpid(), signal.SIGKILL)
        return result

    return change


def small_parts() -> None:
    """Files go to S3 in parts of some KiB, as those of large models do in parts of some MiB; the method is replaced, the job has no hook."""
    real = S3Store.write_file

    def write_file(self: S3Store, key: str, path: Path) -> None:
        for name in ("single_put_bytes", "part_bytes"):
            object.__setattr__(self.bucket.options, name, PART_BYTES)
        real(self, key, path)

    S3Store.write_file = write_file  # type: ignore[method-assign]


def arm_for(text: str) -> None:
    """Die after the second change whose key and content hold a pattern."""
    seen = itertools.count(1)
    for name in CHANGES:
        setattr(LocalStore, name, _fatal(getattr(LocalStore, name), text, seen))


def _fatal(real: Callable[..., Any], text: str, seen: Any) -> Callable[..., Any]:
    def change(*arguments: Any) -> Any:
        result = real(*arguments)
        _, key, *content = arguments
        said = f"key {key} content {b''.join(each for each in content if isinstance(each, bytes)).decode(errors='replace')}"
        if re.search(text, said) and next(seen) == 2:
            os.kill(os.getpid(), signal.SIGKILL)
        return result

    return change


def harm_worker(fault: str) -> None:
    """Start `tests.faults.worker` with this fault in the training program's place."""
    real = launch.plan

    def plan(program: str, *arguments: Any) -> launch.Launch:
        planned = real(program, *arguments)
        if program != "train":
            return planned
        at = planned.argv.index("job.workers.train")
        argv = (*planned.argv[:at], "tests.faults.worker", *planned.argv[at:])
        return launch.Launch(argv, {**planned.environ, "FAULT": fault})

    launch.plan = plan


if __name__ == "__main__":
    from job import __main__ as entry

    asked = os.environ.pop("FAULT")
    if asked.startswith("worker:"):
        harm_worker(asked.removeprefix("worker:"))
    elif asked == "small-parts":
        small_parts()
    elif asked.startswith("mutation:"):
        _, mutation, *text = asked.split(":", 2)
        if mutation in mutations.MUTATIONS:
            mutations.MUTATIONS[mutation].apply()
        if text:
            arm_for(text[0])
    else:
        arm(asked)
    entry.console()
