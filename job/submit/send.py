"""What ``job submit`` does with a checked request: print it, compare it with what runs, send it."""

from __future__ import annotations

import json
import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from job.errors import COMPLETE, SettingsError, UnavailableError
from job.submit import difference, docker, kubernetes, shipped, slurm
from job.submit.request import Request

TIMEOUT_S = 120
TARGETS = ("kubernetes", "slurm", "docker")


@dataclass(frozen=True)
class Answer:
    """What to print, and the exit code."""

    text: str
    exit_code: int = COMPLETE


def show(request: Request, target: str) -> Answer:
    """The manifests, or the command: what `apply` would send."""
    if target == "kubernetes":
        return Answer(render(request))
    if target == "slurm":
        return Answer(_line(slurm.command(request, shipped.folder("slurm")), slurm.environment(request)))
    return Answer(_line(docker.command(request, _container_program())))


def apply(request: Request, target: str, environ: Mapping[str, str]) -> Answer:
    """Send it.  A container runs in the foreground, and its exit code is the answer's."""
    if target == "kubernetes":
        return Answer(_call(["kubectl", "apply", "--filename=-"], render(request)))
    if target == "slurm":
        command = slurm.command(request, shipped.folder("slurm"))
        return Answer(_call(command, environ={**environ, **slurm.environment(request)}))
    program = _container_program()
    _require(program)
    done = subprocess.run(docker.command(request, program), check=False)
    return Answer("", done.returncode)


def diff(request: Request, target: str) -> Answer:
    """What differs from what runs, without secrets; for Slurm, which keeps no settings, both command lines, one below the other."""
    if target == "kubernetes":
        return Answer(_kubernetes_difference(render(request)))
    if target == "slurm":
        before = _call(slurm.running(request)).splitlines()
        after = shlex.split(show(request, target).text)
        return Answer("\n".join(["runs: " + line for line in before] + ["would run: " + shlex.join(after)]))
    return Answer(_docker_difference(request, _container_program()))


def _docker_difference(request: Request, program: str) -> str:
    command, running = docker.command(request, program), docker.running(request, program)
    if not _exists(running):
        return f"Nothing of this name runs. Would run: {_line(command)}"
    image, _, config = _call(running).partition(" ")
    of_the_image = json.loads(_call(docker.of_the_image(image, program)))
    return difference.of_container(json.loads(config), of_the_image or (), command, request)


def _kubernetes_difference(rendered: str) -> str:
    try:
        return _call(["kubectl", "diff", "--filename=-"], rendered, allowed=(0, 1))
    except UnavailableError as error:
        if "immutable" not in error.message:
            raise
    # Renamed settings make another pod, which no controller takes: kubectl asks the cluster, is refused, and shows nothing.
    live = _live(["--filename=-"], rendered)
    running = next(manifest for manifest in live if manifest["kind"] in kubernetes.CONTROLLERS)
    namespace = f"--namespace={running['metadata']['namespace']}"
    settings = sorted(difference.config_maps(running) - {manifest["metadata"]["name"] for manifest in live})
    live += _live(["configmap", *settings, namespace]) if settings else []
    return (
        f"The pod of what runs cannot be changed. `kubectl delete {running['kind'].lower()} {running['metadata']['name']} {namespace}` "
        "stops the run, which saves; applying this then continues it from its last commit.\n"
        f"{difference.of_manifests(live, list(yaml.safe_load_all(rendered)))}"
    )


def _live(what: Sequence[str], given: str = "") -> list[dict[str, Any]]:
    """What the cluster holds of some objects; those that are not there are left out."""
    text = _call(["kubectl", "get", *what, "--ignore-not-found", "--output=json"], given)
    found: dict[str, Any] = json.loads(text) if text.strip() else {"items": []}
    return list(found.get("items", [found]))


def render(request: Request) -> str:
    """The manifests, by ``kubectl kustomize`` over a copy of the shipped folder with the request's values in it."""
    files = kubernetes.fill(kubernetes.read(shipped.folder("k8s")), request)
    with tempfile.TemporaryDirectory(prefix="job-submit-") as folder:
        kubernetes.write(files, Path(folder))
        return _call(["kubectl", "kustomize", str(Path(folder) / "overlays" / kubernetes.overlay(request))])


def export(request: Request, folder: Path) -> Answer:
    """Write the filled-in folder, for a repository from which the cluster takes its manifests."""
    if folder.exists() and any(folder.iterdir()):
        raise SettingsError("The folder of --output is not empty.", "Give a folder that is not there yet.")
    kubernetes.write(kubernetes.fill(kubernetes.read(shipped.folder("k8s")), request), folder)
    return Answer(f"kubectl apply -k {shlex.quote(str(folder / 'overlays' / kubernetes.overlay(request)))}")


def _line(command: Sequence[str], variables: Mapping[str, str] | None = None) -> str:
    assignments = [f"{name}={shlex.quote(value)}" for name, value in (variables or {}).items()]
    return " ".join([*assignments, shlex.join(command)])


def _container_program() -> str:
    return next((name for name in ("docker", "podman") if shutil.which(name)), "docker")


def _exists(command: Sequence[str]) -> bool:
    _require(command[0])
    return subprocess.run(command, capture_output=True, check=False, timeout=TIMEOUT_S).returncode == 0


def _require(program: str) -> None:
    if shutil.which(program) is None:
        raise SettingsError(f"{program} is not on the path of this machine.", "Install it, or submit from where it is.")


def _call(command: Sequence[str], given: str = "", allowed: Sequence[int] = (0,), environ: Mapping[str, str] | None = None) -> str:
    """What a program prints.

    Raises:
        SettingsError: there is no such program here.
        UnavailableError: it failed; its own words are in the message.
    """
    _require(command[0])
    done = subprocess.run(command, input=given, capture_output=True, text=True, check=False, timeout=TIMEOUT_S, env=environ)
    if done.returncode not in allowed:
        raise UnavailableError(
            f"`{' '.join(command[:2])}` ended with code {done.returncode}:\n{done.stderr.strip()}",
            "Nothing was submitted, unless it says so above.",
        )
    return done.stdout
