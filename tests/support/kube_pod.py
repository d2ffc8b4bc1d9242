"""The pod of a rendered Job, as an object that ``podman kube play`` runs: what the kubelet would do with it, as far as podman goes."""

import copy
from typing import Any

from tests.support.manifests import Manifest, of_kind, pod_template

INDEX = "JOB_COMPLETION_INDEX"
LEFT_OUT = ("startupProbe", "livenessProbe")
"""podman's health checks need systemd's timers; the test asks the probes' own command instead."""


def pod_from_job(rendered: list[Manifest], name: str, index: int = 0) -> Manifest:
    """What the Job controller makes of the template for one index.

    Args:
        rendered: the manifests of an overlay.
        name: the pod's name.
        index: its completion index.
    """
    template = copy.deepcopy(pod_template(rendered))
    (container,) = template["spec"]["containers"]
    container.setdefault("env", []).append({"name": INDEX, "value": str(index)})
    for probe in LEFT_OUT:
        container.pop(probe)
    return {"apiVersion": "v1", "kind": "Pod", "metadata": template["metadata"] | {"name": name}, "spec": template["spec"]}


def play_file(rendered: list[Manifest], pod: Manifest, secrets: dict[str, dict[str, str]]) -> list[dict[str, Any]]:
    """Everything the pod refers to, and the pod."""
    made = [
        {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "stringData": values} for name, values in secrets.items()
    ]
    return [*of_kind(rendered, "ConfigMap"), *made, pod]
