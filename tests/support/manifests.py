"""The files in ``k8s/``, rendered as a user would: by ``kubectl kustomize``, which needs no cluster."""

import copy
import functools
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import yaml

from tests.support import house, parts

K8S = house.ROOT / "k8s"
OVERLAYS = sorted(path.name for path in (K8S / "overlays").iterdir())
COMPONENTS = sorted(path.name for path in (K8S / "components").iterdir())

Manifest = dict[str, Any]
Mutation = Callable[[list[Manifest]], None]


def need_kubectl() -> None:
    parts.need("kubectl", there=shutil.which("kubectl") is not None)


def kustomize(folder: Path) -> list[Manifest]:
    """What a folder renders to."""
    done = subprocess.run(["kubectl", "kustomize", str(folder)], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    return list(yaml.safe_load_all(done.stdout))


@functools.cache
def _rendered(overlay: str) -> list[Manifest]:
    return kustomize(K8S / "overlays" / overlay)


def rendered(overlay: str) -> list[Manifest]:
    """An overlay as shipped; a copy, for tests that break it."""
    return copy.deepcopy(_rendered(overlay))


def with_components(folder: Path, overlay: str, *components: str) -> list[Manifest]:
    """An overlay with components, named in a copy of its kustomization as a user would name them."""
    shutil.copytree(K8S, folder / "k8s")
    path = folder / "k8s" / "overlays" / overlay / "kustomization.yaml"
    named = "components: [" + ", ".join(f"../../components/{name}" for name in components) + "]"
    text = path.read_text()
    assert text.count("components: []") == 1
    path.write_text(text.replace("components: []", named))
    return kustomize(path.parent)


def controller(manifests: list[Manifest]) -> Manifest:
    """The Job or JobSet."""
    (found,) = (manifest for manifest in manifests if manifest["kind"] in ("Job", "JobSet"))
    return found


def job_spec(manifests: list[Manifest]) -> Manifest:
    """The specification of the Job, or of the one that the JobSet makes."""
    found = controller(manifests)
    return found["spec"] if found["kind"] == "Job" else found["spec"]["replicatedJobs"][0]["template"]["spec"]


def pod_template(manifests: list[Manifest]) -> Manifest:
    return job_spec(manifests)["template"]


def container(manifests: list[Manifest]) -> Manifest:
    (found,) = pod_template(manifests)["spec"]["containers"]
    return found


def plain_env(manifests: list[Manifest]) -> dict[str, str]:
    """The container's variables that stand in the manifest itself."""
    return {entry["name"]: entry["value"] for entry in container(manifests).get("env", ()) if "value" in entry}


def config_map(manifests: list[Manifest], beginning: str) -> dict[str, str]:
    (found,) = (m for m in manifests if m["kind"] == "ConfigMap" and m["metadata"]["name"].startswith(beginning))
    return found["data"]


def of_kind(manifests: list[Manifest], kind: str) -> Iterator[Manifest]:
    return (manifest for manifest in manifests if manifest["kind"] == kind)


def bytes_of(quantity: str) -> int:
    """``8Gi`` as bytes."""
    number, unit = re.fullmatch(r"(\d+)([KMGT]i)?", quantity).groups()
    return int(number) * 1024 ** " KMGT".index((unit or " ")[0])


def at(value: Any, path: str) -> tuple[Any, Any]:
    """The holder and the key of a dotted path; numbers are places in a list."""
    *way, last = (int(part) if part.isdigit() else part for part in path.split("."))
    for part in way:
        value = value[part]
    return value, last


def setting(where: Callable[[list[Manifest]], Manifest], path: str, new: Any) -> Mutation:
    """A mutation that sets one field; None removes it."""

    def mutate(manifests: list[Manifest]) -> None:
        holder, key = at(where(manifests), path)
        if new is None:
            del holder[key]
        else:
            holder[key] = new

    return mutate
