"""``python -m job``: hand the arguments and the environment to the commands, and their exit code to the caller."""

from __future__ import annotations

import os
import sys
from typing import NoReturn

from job import cli


def main() -> int:
    """Run the command line of this process and return its exit code."""
    return cli.main(sys.argv[1:], os.environ)


def console() -> NoReturn:
    """Run the command line and end the process.

    Transfers that a stop request abandoned run in threads, which an ordinary exit would wait for.
    """
    code = main()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


if __name__ == "__main__":
    console()
