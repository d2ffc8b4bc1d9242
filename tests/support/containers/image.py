"""The job's image, built from the Dockerfile as anyone would, but on a base image made here: no registry is asked.

The base stands in for ``python:3.11-slim``: Debian with Python 3.11 and `python` in the path, bootstrapped from the machine's own
package mirror and kept under ``.cache``.  Packages come from where this machine's pip takes them.
"""

from __future__ import annotations

import contextlib
import hashlib
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from tests.support import house
from tests.support.containers.podman import environ, podman

IMAGE = "localhost/finetune-job:test"
SUITE = "bookworm"
PACKAGES = "python3.11-minimal,libpython3.11-stdlib,python3.11-venv,ca-certificates"
LEFT_OUT = ("/usr/share/man/*", "/usr/share/locale/*", "/usr/share/doc/*")
SOURCES = (Path("/etc/apt/sources.list.d/debian.sources"), Path("/etc/apt/sources.list"))
BUILD_TIMEOUT_S = 1200


def build(tag: str = IMAGE) -> str:
    """Build the image, its unchanged layers from the last time; its name."""
    base = base_image()
    with build_options() as options:
        _run(["podman", "build", *options, f"--build-arg=BASE_IMAGE={base}", f"--tag={tag}", str(house.ROOT)])
    return tag


@contextlib.contextmanager
def build_options() -> Iterator[list[str]]:
    """Options of ``podman build`` that lead to this machine's packages, none of which gets into the image."""
    settings = _pip_settings()
    with tempfile.TemporaryDirectory(prefix="build-") as name:
        pip, uv = Path(name) / "pip.conf", Path(name) / "uv.toml"
        folders = settings.get("find-links", "").split()
        certificates = settings.get("cert", "")
        pip.write_text("[global]\n" + "".join(f"{key} = {value}\n" for key, value in settings.items()))
        uv.write_text(f"find-links = {folders!r}\nsystem-certs = true\n".replace("'", '"'))
        mounts = [*folders, *([certificates] if certificates else [])]
        volumes = [f"--volume={path}:{path}:ro" for path in mounts if Path(path).exists()]
        yield [
            "--pull=never",
            "--build-arg=EXTRAS=cpu",
            *volumes,
            f"--volume={pip}:/etc/pip.conf:ro",
            f"--secret=id=uv,src={uv}",
        ]


def base_image() -> str:
    """The stand-in for the Dockerfile's base image; its name."""
    key = hashlib.sha256(f"{SUITE} {PACKAGES} {LEFT_OUT}".encode()).hexdigest()[:12]
    name = f"localhost/python-base:{key}"
    if podman("image", "exists", name, check=False).returncode == 0:
        return name
    tar = house.ROOT / ".cache" / f"base-{key}.tar"
    if not tar.exists():
        _bootstrap(tar)
    paths = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    podman("import", f"--change=ENV PATH={paths}", str(tar), name)
    return name


def _bootstrap(tar: Path) -> None:
    tar.parent.mkdir(exist_ok=True)
    excluded = [f"--dpkgopt=path-exclude={pattern}" for pattern in LEFT_OUT]
    link = '--customize-hook=ln -s python3.11 "$1/usr/bin/python"'
    part = tar.with_suffix(".part.tar")
    command = ["mmdebstrap", "--quiet", "--variant=minbase", f"--include={PACKAGES}", *excluded, link, SUITE, str(part), _mirror()]
    _run(command)
    part.replace(tar)


def _mirror() -> str:
    """Where this machine's own packages come from."""
    for path in SOURCES:
        found = re.search(r"^(?:URIs:|deb)\s+(http\S+)", path.read_text(), re.MULTILINE) if path.exists() else None
        if found:
            return found[1]
    raise RuntimeError(f"none of {', '.join(map(str, SOURCES))} names a mirror")


def _pip_settings() -> dict[str, str]:
    """What this machine's pip is told of places: later lines, from the environment, win."""
    listed = subprocess.run(
        [sys.executable, "-m", "pip", "config", "list"], capture_output=True, text=True, check=True, stdin=subprocess.DEVNULL
    ).stdout
    found = re.findall(r"^[\w:]+\.\.?(cert|find-links|index-url)='(.*)'$", listed, re.MULTILINE)
    return dict(found)


def _run(command: list[str]) -> None:
    done = subprocess.run(
        command,
        env=dict(environ()),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
        timeout=BUILD_TIMEOUT_S,
    )
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}\n{done.stdout.decode(errors='replace')[-4000:]}")
