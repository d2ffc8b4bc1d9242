"""``python -m job``: hand the arguments and the environment to the commands, and their exit code to the caller."""

from __future__ import annotations

import os
import sys

from job import cli


def main() -> int:
    """Run the command line of this process and return its exit code."""
    return cli.main(sys.argv[1:], os.environ)


if __name__ == "__main__":
    sys.exit(main())
