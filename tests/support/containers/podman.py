"""podman as the tests use it: in place of docker, with a configuration that suits a machine without systemd.

Where control groups are of both versions at once only runc starts containers, and a runtime that may not raise limits must be told
lower ones.  Elsewhere podman's own configuration stays in force.
"""

from __future__ import annotations

import contextlib
import functools
import json
import os
import resource
import shutil
import subprocess
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support.frozen import Frozen, freeze, pid_space

PROGRAMS = ("podman", "runc", "mmdebstrap")
MAX_FILES, MAX_PROCESSES = 20000, 4096


def is_installed() -> bool:
    return all(shutil.which(program) for program in PROGRAMS)


@functools.cache
def environ() -> Mapping[str, str]:
    """The environment that podman is called with."""
    return {**os.environ, "CONTAINERS_CONF": str(configuration())}


@functools.cache
def configuration() -> Path:
    """podman's configuration on this machine."""
    files = min(MAX_FILES, resource.getrlimit(resource.RLIMIT_NOFILE)[1])
    lines = ["[containers]", f'default_ulimits = ["nofile={files}:{files}", "nproc={MAX_PROCESSES}:{MAX_PROCESSES}"]']
    lines += ["[engine]", 'cgroup_manager = "cgroupfs"', 'events_logger = "file"']
    if Path("/sys/fs/cgroup/unified").is_dir():
        lines.append('runtime = "runc"')
    path = Path(tempfile.mkdtemp(prefix="podman-")) / "containers.conf"
    path.write_text("\n".join(lines) + "\n")
    return path


def podman(*arguments: str, check: bool = True, timeout_s: float = 600) -> subprocess.CompletedProcess[str]:
    """Run a podman command to its end."""
    done = subprocess.run(
        ["podman", *arguments],
        env=dict(environ()),
        cwd=configuration().parent,  # where a container's memory runs out, its monitor leaves a file in the working directory
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=timeout_s,
    )
    assert not check or done.returncode == 0, f"podman {' '.join(arguments)}\n{done.stdout[-2000:]}{done.stderr[-4000:]}"
    return done


@dataclass(frozen=True)
class Container:
    """A container that was started in the background."""

    name: str

    def wait(self) -> int:
        """Its exit code."""
        return int(podman("wait", self.name).stdout)

    def logs(self) -> str:
        done = podman("logs", self.name)
        return done.stdout + done.stderr

    def runs(self) -> bool:
        return self.inspect()["State"]["Status"] in ("created", "running")

    def inspect(self) -> dict[str, Any]:
        return dict(json.loads(podman("inspect", self.name).stdout)[0])

    def execute(self, *command: str) -> subprocess.CompletedProcess[str]:
        return podman("exec", self.name, *command, check=False)

    def freeze(self, run: str, after: Callable[[], Any]) -> Frozen:
        """The workers of a run in it, frozen as soon as a condition holds."""
        self.wait_for(after)
        first = int(self.inspect()["State"]["Pid"])
        run_dir = Path("/work/runs", run)
        return freeze(run_dir, Path(f"/proc/{first}/root{run_dir}"), pid_space(first))

    def wait_for(self, condition: Callable[[], Any], timeout_s: float = 500) -> None:
        """Wait for something that the container is about to do; an error with its log when it ends before."""
        end = time.monotonic() + timeout_s
        while not condition():
            assert self.runs(), f"the container ended early:\n{self.logs()[-3000:]}"
            assert time.monotonic() < end, f"timed out:\n{self.logs()[-3000:]}"
            time.sleep(0.1)


@contextlib.contextmanager
def started(image: str, options: Sequence[str], command: Sequence[str] = ()) -> Iterator[Container]:
    """A container in the background; it is removed behind the block, whatever state it is in."""
    name = f"job-test-{uuid.uuid4().hex[:12]}"
    try:
        podman("run", "--detach", "--pull=never", "--name", name, *options, image, *command)
        yield Container(name)
    finally:
        podman("rm", "--force", "--time=0", "--ignore", "--volumes", name)


def variables(values: Mapping[str, str]) -> list[str]:
    """Options that set environment variables."""
    return [option for name, value in values.items() for option in ("--env", f"{name}={value}")]
