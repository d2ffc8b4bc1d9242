"""The pod of a rendered Job, run by ``podman kube play``: what a kubelet would do with it, as far as podman goes.

Not as on a cluster: podman's health checks need systemd's timers, so the probes' command is tried by the test; volumes are folders of podman's
without the pod's group, so they are made writable; secrets are podman's; where ``env`` and ``envFrom`` name the same variable, the latter wins.
"""

import base64
import contextlib
import copy
import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import yaml

from tests.support.containers.podman import Container, environ, podman
from tests.support.manifests import Manifest, of_kind, pod_template

INDEX = "JOB_COMPLETION_INDEX"
PROBES = ("startupProbe", "livenessProbe")


def pod_from_job(rendered: list[Manifest], name: str, index: int = 0) -> Manifest:
    """What the Job controller makes of the template for one index, without probes, and with volumes of its own.

    Args:
        rendered: the manifests of an overlay.
        name: the pod's name.
        index: its completion index.
    """
    template = copy.deepcopy(pod_template(rendered))
    (container,) = template["spec"]["containers"]
    container.setdefault("env", []).append({"name": INDEX, "value": str(index)})
    for probe in PROBES:
        container.pop(probe)
    for named in [*template["spec"]["volumes"], *container["volumeMounts"]]:
        named["name"] = f"{name}-{named['name']}"  # podman's volumes are one name space for all pods
    return {"apiVersion": "v1", "kind": "Pod", "metadata": template["metadata"] | {"name": name}, "spec": template["spec"]}


@contextlib.contextmanager
def played(rendered: list[Manifest], name: str, folder: Path) -> Iterator[Container]:
    """The pod on this machine's network, until the block ends; then it is gone with its volumes, as a lost node."""
    pod = pod_from_job(rendered, name)
    (container,) = pod["spec"]["containers"]
    volumes = [volume["name"] for volume in pod["spec"]["volumes"]]
    path = folder / f"{name}.yaml"
    path.write_text(yaml.safe_dump_all([*of_kind(rendered, "ConfigMap"), pod]))
    try:
        for volume in volumes:
            mountpoint = Path(
                podman("volume", "create", volume)
                and podman("volume", "inspect", "--format={{.Mountpoint}}", volume).stdout.strip()
            )
            mountpoint.chmod(0o1777)
        podman("kube", "play", "--network=host", str(path))
        yield Container(f"{name}-{container['name']}")
    finally:
        podman("pod", "rm", "--force", "--time=0", "--ignore", name)
        podman("volume", "rm", "--force", *volumes, check=False)


@contextlib.contextmanager
def secret(name: str, values: dict[str, str]) -> Iterator[None]:
    """A secret as podman keeps one of Kubernetes': its keys and values, in base64, as JSON."""
    data = {key: base64.b64encode(value.encode()).decode() for key, value in values.items()}
    subprocess.run(
        ["podman", "secret", "create", name, "-"],
        input=json.dumps(data),
        text=True,
        capture_output=True,
        check=True,
        env=dict(environ()),
    )
    try:
        yield
    finally:
        podman("secret", "rm", name)
