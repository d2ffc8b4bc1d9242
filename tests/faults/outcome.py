"""What a row of the matrix is: its fault, how often it is made, and what a fault says of itself."""

from __future__ import annotations

import random
import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from tests.faults.bench import Subject


@dataclass
class Outcome:
    """What one fault did.

    ``hit`` is false when the run ended before the fault came.  ``kind`` is what the row's faults are counted by.  ``violations`` are the row's own; ``lost_steps`` were trained and have to
    be trained again; ``done`` says that the row needs no further start of this run.
    """

    hit: bool
    what: str = ""
    kind: str = ""
    violations: list[str] = field(default_factory=list)
    lost_steps: int | None = None
    done: bool = False


Fault = Callable[[Subject, random.Random, float], Outcome]
"""(subject, generator, seconds that an undisturbed start takes) → outcome."""


@dataclass(frozen=True)
class Row:
    """A row: how often at least, the fault, and of which kinds of it how many at least.

    ``input_bytes`` is what its runs may hold on a disk beside what every run may: the input itself, decompressed and prepared.
    """

    title: str
    count: int
    fault: Fault
    least: Mapping[str, int] = field(default_factory=dict)
    input_bytes: int = 0


def sleep(process: subprocess.Popen[bytes], seconds: float) -> bool:
    """Wait; false when the process ended before."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if process.poll() is not None:
            return False
        time.sleep(0.01)
    return process.poll() is None
