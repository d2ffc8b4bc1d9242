"""``python -m tests.support.dependency_audit [--require] [OPTION ...]``: whether a locked package has a known weakness.

Asks with pip-audit, which takes what its service does not know for sound and then ends with 0: here that counts as "not looked up", and
is said.  ``--require`` makes it an error; all other options go to pip-audit.
"""

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
COMMAND = ["-m", "pip_audit", "--disable-pip", "--no-deps", "--format", "json", "--progress-spinner", "off", "--desc", "off"]
UNREACHED = ("ConnectionError", "ServiceError", "Could not connect", "Timeout")
"""One of these stands in what pip-audit says when its service cannot be reached, or answers with an error."""
TIMEOUT_S = 300


@dataclass(frozen=True)
class Audit:
    """Of a lock file: its packages, those that nothing is known of, and the weaknesses of the others."""

    packages: int
    unknown: tuple[str, ...]
    weaknesses: tuple[str, ...]

    @classmethod
    def read(cls, report: dict[str, Any]) -> "Audit":
        """From pip-audit's JSON."""
        found = report["dependencies"]
        weaknesses = (
            f"{package['name']} {package['version']}: {weakness['id']}, mended in {', '.join(weakness['fix_versions']) or 'no version'}"
            for package in found
            for weakness in package.get("vulns", [])
        )
        return cls(len(found), tuple(package["name"] for package in found if "skip_reason" in package), tuple(weaknesses))


def ask(lock: Path, *options: str) -> Audit | None:
    """None where the service gives no answer."""
    command = [sys.executable, *COMMAND, "--requirement", str(lock), *options]
    try:
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=TIMEOUT_S)
    except subprocess.TimeoutExpired:
        return None
    if done.returncode in (0, 1) and done.stdout:
        return Audit.read(json.loads(done.stdout))
    if any(name in done.stderr for name in UNREACHED):
        return None
    raise RuntimeError(done.stderr[-2000:])


def main(arguments: list[str]) -> int:
    audit = ask(ROOT / "requirements.lock", *(option for option in arguments if option != "--require"))
    if audit is None or len(audit.unknown) == audit.packages:
        print("audit: NOT DONE, no data on weaknesses can be reached from here")
        return int("--require" in arguments)
    print("\n".join(audit.weaknesses) or f"audit: no known weakness in {audit.packages - len(audit.unknown)} packages")
    if audit.unknown:
        print(f"audit: not looked up, the service does not know them: {', '.join(audit.unknown)}")
    return int(bool(audit.weaknesses or (audit.unknown and "--require" in arguments)))


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
