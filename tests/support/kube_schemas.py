"""Whether a manifest has only fields that its kind has: Kubernetes' own schemas, and small tables for kinds of add-ons.

The tables hold the fields and values that the add-ons document and that this project uses; their controllers' behaviour is modelled in
``tests/support/kube_model.py``.
"""

import re
from typing import Any

import kubernetes_validate
from kubernetes_validate.utils import all_versions, major_minor

NUM_VERSIONS = 4
VERSIONS = sorted({major_minor(version) for version in all_versions()}, key=lambda version: int(version.split(".")[1]))
VERSIONS = VERSIONS[-NUM_VERSIONS:]

JOBSET = {
    "apiVersion": "jobset.x-k8s.io/v1alpha2",
    "kind": "JobSet",
    "metadata": dict,
    "spec": {
        "network": {"enableDNSHostnames": bool, "publishNotReadyAddresses": bool, "subdomain": str},
        "suspend": bool,
        "ttlSecondsAfterFinished": int,
        "failurePolicy": {
            "maxRestarts": int,
            "restartStrategy": {"Recreate", "BlockingRecreate", "InPlaceRestart"},
            "rules": [
                {
                    "name": re.compile(r"[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?"),
                    "action": {
                        "FailJobSet",
                        "RestartJobSet",
                        "RestartJobSetAndIgnoreMaxRestarts",
                        "RestartJob",
                        "RestartJobAndIgnoreMaxRestarts",
                    },
                    "onJobFailureReasons": [
                        {
                            "BackoffLimitExceeded",
                            "DeadlineExceeded",
                            "FailedIndexes",
                            "MaxFailedIndexesExceeded",
                            "PodFailurePolicy",
                        }
                    ],
                    "onJobFailureMessagePatterns": [str],
                    "targetReplicatedJobs": [str],
                }
            ],
        },
        "successPolicy": {"operator": {"All", "Any"}, "targetReplicatedJobs": [str]},
        "replicatedJobs": [{"name": str, "groupName": str, "replicas": int, "template": {"metadata": dict, "spec": dict}}],
    },
}
POD_MONITOR = {
    "apiVersion": "monitoring.coreos.com/v1",
    "kind": "PodMonitor",
    "metadata": dict,
    "spec": {
        "selector": {"matchLabels": dict},
        "podMetricsEndpoints": [{"port": str, "path": str, "interval": re.compile(r"\d+s")}],
    },
}
KUEUE_LABELS = {
    "kueue.x-k8s.io/queue-name",
    "kueue.x-k8s.io/priority-class",
    "kueue.x-k8s.io/max-exec-time-seconds",
}
KUEUE_POD_ANNOTATIONS = {
    "kueue.x-k8s.io/safe-to-forcefully-delete",
    "kueue.x-k8s.io/podset-required-topology",
    "kueue.x-k8s.io/podset-preferred-topology",
    "kueue.x-k8s.io/podset-unconstrained-topology",
}
TABLES = {"JobSet": JOBSET, "PodMonitor": POD_MONITOR}


def findings(manifest: dict[str, Any], version: str) -> list[str]:
    """What one manifest has that its kind has not, for a minor version of Kubernetes."""
    kind = manifest["kind"]
    found = differences(manifest, TABLES[kind], kind) if kind in TABLES else _by_schema(manifest, version)
    if kind == "JobSet":
        for entry in manifest["spec"]["replicatedJobs"]:
            found += _by_schema({"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "x"}} | entry["template"], version)
    return found + _kueue(manifest)


def differences(value: Any, table: Any, where: str) -> list[str]:
    """Where a value is not as its table says: unknown fields, wrong types, values outside of a choice."""
    if isinstance(table, dict | list):
        if not isinstance(value, type(table)):
            return [f"{where} is no {type(table).__name__}"]
        return _mapping(value, table, where) if isinstance(value, dict) else _list(value, table, where)
    if isinstance(table, type):
        return [] if type(value) is table else [f"{where} is no {table.__name__}"]
    if isinstance(table, re.Pattern):
        return [] if isinstance(value, str) and table.fullmatch(value) else [f"{where} is not {table.pattern}"]
    allowed = table if isinstance(table, set) else {table}
    return [] if value in allowed else [f"{where} is none of {sorted(allowed)}"]


def _mapping(value: dict[str, Any], table: dict[str, Any], where: str) -> list[str]:
    found = [f"{where}.{name} is no field" for name in value.keys() - table.keys()]
    return found + [
        more for name in value.keys() & table.keys() for more in differences(value[name], table[name], f"{where}.{name}")
    ]


def _list(value: list[Any], table: list[Any], where: str) -> list[str]:
    return [found for number, entry in enumerate(value) for found in differences(entry, table[0], f"{where}.{number}")]


def _by_schema(manifest: dict[str, Any], version: str) -> list[str]:
    try:
        kubernetes_validate.validate(manifest, version, strict=True)
    except kubernetes_validate.ValidationError as error:
        return [f"{manifest['kind']} {version}: {'.'.join(map(str, error.path))} {error.message}"]
    return []


def _kueue(value: Any) -> list[str]:
    """Labels and annotations of Kueue's are of those it knows."""
    if isinstance(value, list):
        return [found for entry in value for found in _kueue(entry)]
    if not isinstance(value, dict):
        return []
    found = [
        f"{name} is none of Kueue's {part}"
        for part, known in (("labels", KUEUE_LABELS), ("annotations", KUEUE_POD_ANNOTATIONS))
        for name in (value.get("metadata") or {}).get(part) or ()
        if name.startswith("kueue.") and name not in known
    ]
    return found + [more for entry in value.values() for more in _kueue(entry)]
