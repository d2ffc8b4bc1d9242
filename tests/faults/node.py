"""The node process with failpoints at the store: ``FAULT=<number>:before|after`` kills it at its n-th change of the store.

``FAULT=count:<file>`` kills nothing and leaves the number of changes in a file.  The job has no hook for this: the store's
methods are wrapped here, and only here.
"""

from __future__ import annotations

import atexit
import itertools
import os
import re
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

from job.cluster import launch
from job.storage.local import LocalStore
from tests.faults import mutations

CHANGES = ("write_file", "write_bytes", "put_if_absent", "delete")


def arm(fault: str) -> None:
    """Wrap the store's changes."""
    number, _, moment = fault.partition(":")
    counter = itertools.count(1)
    made = [0]
    for name in CHANGES:
        setattr(LocalStore, name, _wrapped(getattr(LocalStore, name), counter, made, (number, moment)))
    if number == "count":
        real_exit = os._exit

        def leave_count(code: int) -> None:
            Path(moment).write_text(str(made[0]))
            real_exit(code)

        os._exit = leave_count  # type: ignore[assignment]
        atexit.register(lambda: Path(moment).write_text(str(made[0])))


def _wrapped(real: Callable[..., Any], counter: Any, made: list[int], fault: tuple[str, str]) -> Callable[..., Any]:
    def change(*arguments: Any) -> Any:
        made[0] = next(counter)
        here = str(made[0]) == fault[0]
        if here and fault[1] == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        result = real(*arguments)
        if here and fault[1] == "after":
            os.kill(os.getpid(), signal.SIGKILL)
        return result

    return change


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
    elif asked.startswith("mutation:"):
        _, mutation, *text = asked.split(":", 2)
        if mutation in mutations.MUTATIONS:
            mutations.MUTATIONS[mutation].apply()
        if text:
            arm_for(text[0])
    else:
        arm(asked)
    entry.console()
