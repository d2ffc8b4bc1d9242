"""Faults of the local disk: it fills up at a random instant, or is read-only from the start.  The run directory is a small file system."""

from __future__ import annotations

import contextlib
import random
import subprocess
from collections.abc import Iterator
from pathlib import Path

from tests.faults.bench import BALLAST, Subject, wait
from tests.faults.outcome import Outcome, sleep

SIZE, INODES = "64m", 2000


def disk_full(subject: Subject, draw: random.Random, span_s: float) -> Outcome:
    """The disk is full from a random instant on: 74, or 0 when nothing more had to be written; the next start has room again."""
    subject.changes = {**subject.changes, "LIMITS__MIN_FREE_BYTES": "0"}
    moment, what = draw.uniform(0, span_s), draw.choice(["bytes", "inodes"])
    with _small_disk(subject.folder / "here") as disk:
        process = subject.start()
        if not sleep(process, moment):
            return Outcome(hit=False)
        _fill(disk, what)
        code = wait(process)
    said = [] if code in (0, 74) else [f"a full disk was answered with {code}"]
    return Outcome(
        hit=code != 0, what=f"no {what} after {moment:.1f} s: {code}", kind=f"no {what}", violations=said, done=code == 0
    )


def read_only(subject: Subject, draw: random.Random, _: float) -> Outcome:
    """The run directory cannot be written to, before the first start or before the second."""
    with _small_disk(subject.folder / "here") as disk:
        if draw.random() < 0.5:
            process = subject.start()
            sleep(process, draw.uniform(1, 5))
            process.terminate()
            wait(process)
        subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
        code = wait(subject.start())
    said = [] if code in (0, 74) else [f"a read-only folder was answered with {code}"]
    return Outcome(hit=code != 0, what=f"read-only: {code}", violations=said, done=code == 0)


@contextlib.contextmanager
def _small_disk(folder: Path) -> Iterator[Path]:
    """A file system of its own for as long as the block runs; what was on it is lost with it, as a machine's disk is."""
    folder.mkdir(parents=True, exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={SIZE},nr_inodes={INODES}", "faults", str(folder)], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def _fill(disk: Path, what: str) -> None:
    with contextlib.suppress(OSError):
        if what == "inodes":
            (disk / "many").mkdir()
            for number in range(2 * INODES):
                (disk / "many" / str(number)).touch()
        with (disk / BALLAST).open("wb", buffering=0) as file:
            while True:
                file.write(b"\0" * 65536)
