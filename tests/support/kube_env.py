"""The environment of a rendered pod's container, as controllers and kubelet make it: a model, no kubelet runs here.

It holds what Kubernetes documents: ``fieldRef`` of labels and annotations, ``$(NAME)`` of what stands above, the labels and annotations
that the Job and JobSet controllers put on a pod, and the index that the Job controller adds.
"""

import re

from tests.support.manifests import Manifest, config_map, container, controller, pod_template

_FIELD = re.compile(r"metadata\.(labels|annotations)\['(.+)'\]")
_REFERENCE = re.compile(r"\$\(([A-Za-z_][A-Za-z0-9_]*)\)")
INDEX = "batch.kubernetes.io/job-completion-index"


def environ(manifests: list[Manifest], index: int) -> dict[str, str]:
    """The variables of the pod with this completion index; those from secrets are left out, as they are not in the manifests."""
    found = {"JOB_COMPLETION_INDEX": str(index), **config_map(manifests, "settings")}
    metadata = _metadata(manifests, index)
    for entry in container(manifests)["env"]:
        if "value" in entry:
            found[entry["name"]] = _REFERENCE.sub(lambda match: found.get(match[1], match[0]), entry["value"])
        elif "fieldRef" in entry["valueFrom"]:
            kind, name = _FIELD.fullmatch(entry["valueFrom"]["fieldRef"]["fieldPath"]).groups()
            found[entry["name"]] = metadata[kind].get(name, "")
    return found


def _metadata(manifests: list[Manifest], index: int) -> dict[str, dict[str, str]]:
    """Labels and annotations of a pod: the template's, and the controllers' own."""
    template, owner = pod_template(manifests)["metadata"], controller(manifests)
    of_the_set = {"jobset.sigs.k8s.io/jobset-name": owner["metadata"]["name"], "jobset.sigs.k8s.io/restart-attempt": "0"}
    labels = template["labels"] | {INDEX: str(index)} | (of_the_set if owner["kind"] == "JobSet" else {})
    return {"labels": labels, "annotations": template["annotations"] | {INDEX: str(index)}}
