"""``python -m job``: hand the arguments and the environment to the commands, and their exit code to the caller."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from types import FrameType
from typing import NoReturn

from job.errors import StopRequested


def main() -> int:
    """Run the command line of this process and return its exit code.

    What takes time is imported behind the signal's handler: a process that is stopped as soon as it was started says so by its
    code as well.
    """
    signal.signal(signal.SIGTERM, _stop)
    try:
        from job import cli

        return cli.main(sys.argv[1:], os.environ)
    except StopRequested as stopped:
        sys.stderr.write(f"{stopped}\n")
        return stopped.exit_code


def _stop(_: int, __: FrameType | None) -> NoReturn:
    raise StopRequested("Stopped on request (SIGTERM) before anything was begun.", "Start the same run again.")


def console() -> NoReturn:
    """Run the command line and end the process.

    Transfers that a stop request abandoned run in threads, which an ordinary exit would wait for.
    """
    code = main()
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError):  # nobody may be listening any more
            stream.flush()
    os._exit(code)


if __name__ == "__main__":
    console()
