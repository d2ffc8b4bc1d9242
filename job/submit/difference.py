"""What differs between what runs and what would run, without secrets: of a container, and of manifests that ``kubectl diff`` gives up on."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import yaml

from job.submit import secret_names
from job.submit.request import Request

LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
"""The manifest as it was applied: what lives also holds what the cluster made of it."""
AS_IT_IS_HERE = "as it is here"
_OF_THE_PROGRAM = ("container", "HOME", "HOSTNAME", "TERM")
"""What podman adds to a container's variables."""


def of_container(config: Mapping[str, Any], of_the_image: Iterable[str], command: Sequence[str], request: Request) -> str:
    """Image and variables of a container, as a unified diff; a variable that is set no more is in it.

    Args:
        config: what the container was started with (``.Config``).
        of_the_image: the variables that its image brings, ``NAME=value``.
        command: the command that would run.
        request: what was asked for.
    """
    ours = _variables(option.removeprefix("--env=") for option in command if option.startswith("--env="))
    running = _variables(config["Env"])
    # Without a value it is handed on by its name: whether it is the same here is not looked at.
    would_run = dict(request.variables) | {name: value or running.get(name, AS_IT_IS_HERE) for name, value in ours.items()}
    others = {name: value for name, value in running.items() if name in _OF_THE_PROGRAM} | _variables(of_the_image)
    runs = {name: value for name, value in running.items() if name in would_run or others.get(name) != value}
    before = [f"image {config['Image']}", *_sorted_lines(runs)]
    after = [f"image {request.options.image}", *_sorted_lines(would_run)]
    return secret_names.masker(runs, would_run).mask(_unified(before, after))


def of_manifests(live: Sequence[Mapping[str, Any]], rendered: Sequence[Mapping[str, Any]]) -> str:
    """Manifests as they were applied beside those that would be, as a unified diff.

    Args:
        live: what the cluster holds.
        rendered: what would be applied.
    """
    before = [_as_applied(manifest) for manifest in live]
    hidden = secret_names.masker(*(manifest["data"] for manifest in before if isinstance(manifest.get("data"), dict)))
    return hidden.mask(_unified(_yaml_lines(before), _yaml_lines([_plain(manifest) for manifest in rendered])))


def config_maps(value: Any) -> set[str]:
    """The names of the ConfigMaps that a manifest's pods read, wherever in it they stand."""
    if isinstance(value, list):
        return set().union(*map(config_maps, value))
    if not isinstance(value, dict):
        return set()
    own = {value[key]["name"] for key in ("configMapRef", "configMap") if isinstance(value.get(key), dict)}
    return own.union(*map(config_maps, value.values()))


def _variables(entries: Iterable[str]) -> dict[str, str]:
    return {name: value for name, _, value in (entry.partition("=") for entry in entries)}


def _sorted_lines(variables: Mapping[str, str]) -> list[str]:
    return sorted(f"{name}={value}" for name, value in variables.items())


def _as_applied(manifest: Mapping[str, Any]) -> dict[str, Any]:
    applied = (manifest["metadata"].get("annotations") or {}).get(LAST_APPLIED)
    return _plain(json.loads(applied) if applied else manifest)


def _plain(manifest: Mapping[str, Any]) -> dict[str, Any]:
    """Without what the cluster and kubectl add; the namespace is the same on both sides."""
    metadata = {name: manifest["metadata"][name] for name in ("name", "labels", "annotations") if manifest["metadata"].get(name)}
    return {**manifest, "metadata": metadata}


def _yaml_lines(manifests: Sequence[Mapping[str, Any]]) -> list[str]:
    ordered = sorted(manifests, key=lambda manifest: (manifest["kind"], manifest["metadata"]["name"]))
    return yaml.safe_dump_all(ordered).splitlines()


def _unified(before: Sequence[str], after: Sequence[str]) -> str:
    return "\n".join(difflib.unified_diff(before, after, "runs", "would run", lineterm=""))
