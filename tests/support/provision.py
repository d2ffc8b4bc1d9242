"""``python -m tests.support.provision``: install what the tests use beside Python packages, where that is possible.

Names everything that is there and everything that is missing.  Missing parts are no failure here: the tests that need them
say so by name, and fail where ``JOB_TEST_REQUIRE_ALL`` is set.
"""

import os
import shutil
import subprocess
import sys
import venv
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
SWIFT_VENV = ROOT / ".cache" / "swift-venv"
SWIFT_PACKAGES = ("swift==2.38.3", "anycrc", "python-keystoneclient", "setuptools<81")
POLICY = Path("/usr/sbin/policy-rc.d")


@dataclass(frozen=True)
class SystemPart:
    """Programs of the system's packages that tests start."""

    name: str
    programs: tuple[str, ...]
    packages: tuple[str, ...]

    def missing(self) -> bool:
        return any(shutil.which(program) is None for program in self.programs)


SYSTEM_PARTS = (
    SystemPart("Ceph", ("ceph-mon", "ceph-osd", "radosgw", "ceph"), ("ceph-mon", "ceph-osd", "radosgw", "ceph-common")),
    SystemPart("Chromium", ("chromium",), ("chromium",)),
    SystemPart("Slurm", ("slurmctld", "slurmd", "sbatch", "munged"), ("slurmctld", "slurmd", "slurm-client", "munge")),
    SystemPart(
        "podman",
        ("podman", "runc", "mmdebstrap"),
        ("podman", "buildah", "runc", "uidmap", "containernetworking-plugins", "catatonit", "mmdebstrap", "iproute2", "iptables"),
    ),
    SystemPart("OpenSSL", ("openssl",), ("openssl",)),
)


def main() -> None:
    parts = {part.name: part.missing() for part in SYSTEM_PARTS}
    if any(parts.values()) and shutil.which("apt-get") and os.geteuid() == 0:
        install_packages([package for part in SYSTEM_PARTS if part.missing() for package in part.packages])
        parts = {part.name: part.missing() for part in SYSTEM_PARTS}
    parts["OpenStack Swift"] = not provision_swift()
    parts["JOB_REAL_DATA"] = not Path(os.environ.get("JOB_REAL_DATA") or "/nonexistent").is_dir()
    for name, missing in parts.items():
        print(f"test part {name}: {'MISSING, its tests are skipped by name' if missing else 'there'}")


def install_packages(packages: list[str]) -> None:
    """Install system packages without starting the services they bring."""
    print(f"installing {', '.join(packages)}", flush=True)
    held_back = not POLICY.exists()
    if held_back:
        POLICY.write_text("#!/bin/sh\nexit 101\n")
        POLICY.chmod(0o755)
    quiet = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "env": os.environ | {"DEBIAN_FRONTEND": "noninteractive"}}
    try:
        subprocess.run(["apt-get", "update", "-qq"], check=False, **quiet)
        subprocess.run(["apt-get", "install", "-qq", "--no-install-recommends", *packages], check=False, **quiet)
    finally:
        if held_back:
            POLICY.unlink()


def provision_swift() -> bool:
    """Swift gets an environment of its own: its requirements would disturb the job's."""
    server = SWIFT_VENV / "bin" / "swift-proxy-server"
    if not server.exists():
        print("installing OpenStack Swift into .cache/swift-venv", flush=True)
        venv.create(SWIFT_VENV, with_pip=True, clear=True)
        command = [SWIFT_VENV / "bin" / "python", "-m", "pip", "install", "-qq", "--disable-pip-version-check", *SWIFT_PACKAGES]
        subprocess.run(command, check=False, stdin=subprocess.DEVNULL)
    return server.exists()


if __name__ == "__main__":
    sys.exit(main())
