"""The manifests of a submission: ``k8s/`` with the values of one settings file in it, edited as a person would edit it.

Everything here is a pure function of the shipped files and the request; ``kubectl kustomize`` renders the result.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from job.submit import in_a_pod
from job.submit.request import Request

POD = "base/pod.yaml"
CONTROLLERS = ("Job", "JobSet")
EXTRA_DISK_GIB = 20
"""Beside the working volume: temporary files, logs."""

Files = dict[str, str]


def overlay(request: Request) -> str:
    """Which of the overlays a request asks for."""
    if request.is_sweep:
        return "sweep"
    return "multi-node" if request.options.nodes > 1 else "single"


def components(request: Request) -> dict[str, str]:
    """The components a request asks for, each with the name it refers to (empty where there is none)."""
    asked = request.options
    chosen = {
        "kueue": asked.queue,
        "spot": "" if asked.spot else None,
        "s3-secret": asked.s3_secret,
        "s3-irsa": asked.s3_role,
        "hub-token": asked.hub_token_secret,
        "pvc-cache": asked.cache_claim,
        "prometheus": "" if asked.metrics else None,
    }
    return {name: value for name, value in chosen.items() if value is not None}


def fill(shipped: Mapping[str, str], request: Request) -> Files:
    """The shipped files with the request's values.

    Args:
        shipped: text by path below ``k8s/``.
        request: what was asked for.

    Raises:
        SettingsError: when it cannot run in a pod as it is.
    """
    files = dict(shipped)
    folder = f"overlays/{overlay(request)}"
    files["base/settings.env"] = "".join(f"{name}={value}\n" for name, value in request.for_the_job().items())
    _edit(files, POD, lambda pod: _fill_pod(pod, request))
    _edit(files, f"{folder}/kustomization.yaml", lambda kustomization: _fill_kustomization(kustomization, request))
    for name, value in components(request).items():
        _fill_component(files, name, value)
    _FILL_CONTROLLER[overlay(request)](files, folder, request)
    in_a_pod.check(request, _set_by_the_pod(files, folder, request))
    return files


def read(folder: Path) -> Files:
    """The text of every file below a folder, by its path there."""
    return {str(path.relative_to(folder)): path.read_text(encoding="utf-8") for path in sorted(folder.rglob("*")) if path.is_file()}


def write(files: Mapping[str, str], folder: Path) -> None:
    """Write files below a folder."""
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


def _edit(files: Files, name: str, change: Any) -> None:
    value = yaml.safe_load(files[name])
    change(value)
    files[name] = yaml.safe_dump(value, sort_keys=False)


def _fill_pod(pod: dict[str, Any], request: Request) -> None:
    asked = request.options
    spec = pod["template"]["spec"]
    resources = spec["containers"][0]["resources"]
    size = {
        "cpu": str(asked.cpus),
        "memory": f"{asked.memory_gib}Gi",
        "ephemeral-storage": f"{asked.disk_gib + EXTRA_DISK_GIB}Gi",
        "nvidia.com/gpu": str(asked.gpus),
    }
    if asked.gpus == 0:
        del size["nvidia.com/gpu"]
    resources |= {"requests": size, "limits": dict(size)}
    bounds = {"work": asked.disk_gib, "shm": min(8, asked.memory_gib // 2)}
    for volume in spec["volumes"]:
        if volume["name"] in bounds:
            volume["emptyDir"]["sizeLimit"] = f"{bounds[volume['name']]}Gi"


def _fill_kustomization(kustomization: dict[str, Any], request: Request) -> None:
    image, tag, digest = _image(request.options.image or "")
    kustomization["components"] = [f"../../components/{name}" for name in components(request)]
    kustomization["images"] = [
        {"name": "finetune-job", "newName": image} | ({"newTag": tag} if tag else {}) | ({"digest": digest} if digest else {})
    ]
    kustomization["nameSuffix"] = f"-{request.name}"
    if request.options.namespace:
        kustomization["namespace"] = request.options.namespace


def _image(image: str) -> tuple[str, str, str]:
    """Name, tag, digest: ``host:5000/name:tag`` has its tag behind the last slash."""
    name, _, digest = image.partition("@")
    path, slash, last = name.rpartition("/")
    last, _, tag = last.partition(":")
    return f"{path}{slash}{last}", tag, digest


def _fill_component(files: Files, name: str, value: str) -> None:
    path = f"components/{name}"

    def container(pod: dict[str, Any]) -> Any:
        return pod["template"]["spec"]["containers"][0]

    def secret(pod: dict[str, Any]) -> None:
        for entry in container(pod)["env"]:
            entry["valueFrom"]["secretKeyRef"]["name"] = value

    changes: dict[str, tuple[str, Any]] = {
        "kueue": ("queue.yaml", lambda queue: queue["metadata"]["labels"].update({"kueue.x-k8s.io/queue-name": value})),
        "s3-secret": ("pod.yaml", secret),
        "s3-irsa": (
            "service-account.yaml",
            lambda who: who["metadata"]["annotations"].update({"eks.amazonaws.com/role-arn": value}),
        ),
        "hub-token": ("pod.yaml", lambda pod: pod["template"]["spec"]["volumes"][0]["secret"].update({"secretName": value})),
        "pvc-cache": (
            "pod.yaml",
            lambda pod: pod["template"]["spec"]["volumes"][0]["persistentVolumeClaim"].update({"claimName": value}),
        ),
    }
    if name in changes:
        file, change = changes[name]
        _edit(files, f"{path}/{file}", change)


def _fill_single(files: Files, folder: str, request: Request) -> None:
    limit = {"activeDeadlineSeconds": request.options.time_limit_s}
    _edit(files, f"{folder}/job.yaml", lambda job: job["spec"].update(limit))


def _fill_multi_node(files: Files, folder: str, request: Request) -> None:
    nodes = request.options.nodes
    size = {"completions": nodes, "parallelism": nodes, "activeDeadlineSeconds": request.options.time_limit_s}
    _edit(files, f"{folder}/jobset.yaml", lambda jobset: jobset["spec"]["replicatedJobs"][0]["template"]["spec"].update(size))

    def count(patch: dict[str, Any]) -> None:
        env = patch["template"]["spec"]["containers"][0]["env"]
        next(entry for entry in env if entry["name"] == "PET_NNODES")["value"] = str(nodes)

    _edit(files, f"{folder}/nodes.yaml", count)


def _fill_sweep(files: Files, folder: str, request: Request) -> None:
    asked, number = request.options, len(request.runs)
    size = {
        "completions": number,
        "maxFailedIndexes": number,
        "parallelism": min(asked.variants_at_once, number),
    }
    _edit(files, f"{folder}/job.yaml", lambda job: job["spec"].update(size))
    # Of each pod: the Job's own limit would end the variants that have not begun.
    limit = {"activeDeadlineSeconds": asked.time_limit_s}
    _edit(files, f"{folder}/variants.yaml", lambda pod: pod["template"]["spec"].update(limit))
    if asked.variants_path is not None:
        files[f"{folder}/variants.txt"] = asked.variants_path.read_text(encoding="utf-8")


_FILL_CONTROLLER = {"single": _fill_single, "multi-node": _fill_multi_node, "sweep": _fill_sweep}


def _set_by_the_pod(files: Files, folder: str, request: Request) -> set[str]:
    patches = [f"components/{name}/pod.yaml" for name in components(request)]
    patches += [f"{folder}/nodes.yaml", f"{folder}/variants.yaml", POD]
    pods = [yaml.safe_load(files[name]) for name in patches if name in files]
    containers = [container for pod in pods for container in pod["template"].get("spec", {}).get("containers", ())]
    return {entry["name"] for container in containers for entry in container.get("env", ())}
