"""``python -m tests.support.lock``: resolve requirements.lock and requirements-dev.lock anew from pyproject.toml.

What the files hold already is kept where it still fits; remove a line to let that package move.
"""

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
HEADER = """\
# Exact versions, made by `make lock` from pyproject.toml. torch stays without a local version: where the CPU wheel is at hand,
# pip takes it for 2.13.0; anything looser than == would take the CUDA build with it.
"""
OPTIONS = [
    "--quiet",
    "--strip-extras",
    "--allow-unsafe",
    "--annotation-style=line",
    "--no-header",
    "--no-emit-find-links",
    "--no-emit-index-url",
    "--no-emit-trusted-host",
]


def main() -> None:
    resolve("requirements.lock")
    resolve("requirements-dev.lock", "--extra", "dev", "--constraint", "requirements.lock")


def resolve(name: str, *more: str) -> None:
    command = [sys.executable, "-m", "piptools", "compile", *OPTIONS, *more, "--output-file", name, "pyproject.toml"]
    subprocess.run(command, cwd=ROOT, check=True)
    path = ROOT / name
    path.write_text(HEADER + portable(path.read_text()))


def portable(text: str) -> str:
    """Without comments of the resolver and local versions: both belong to the machine it ran on."""
    kept = "".join(f"{line}\n" for line in text.splitlines() if line and not line.startswith("#"))
    return re.sub(r"\+cpu\b", "    ", kept.replace("-c requirements.lock, ", ""))


if __name__ == "__main__":
    main()
