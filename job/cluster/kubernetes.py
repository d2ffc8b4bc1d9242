"""What Kubernetes says of the nodes of a job: an Indexed Job's index and names, JobSet's, and the ``PET_*`` variables of Kubeflow."""

from __future__ import annotations

import re
from collections.abc import Mapping

from job.cluster.claims import Claim, whole_number
from job.errors import SettingsError

INDEX = "JOB_COMPLETION_INDEX"


def claims(environ: Mapping[str, str], headless_service: str | None) -> list[Claim]:
    """Nodes, rank, main node's name and port, as far as the variables go.

    Args:
        environ: the environment.
        headless_service: the service in which the pods have names, from settings.
    """
    found = _kubeflow(environ)
    if environ.get(INDEX):
        found.append(Claim("node_rank", whole_number(environ, INDEX), INDEX))
        if headless_service:
            found.append(Claim("main_address", _first_pod(environ, headless_service), "JOB_PARALLEL__HEADLESS_SERVICE"))
    return found


def launch_id(environ: Mapping[str, str]) -> str:
    """What tells one start of a JobSet from the next, where the manifest hands it on; empty elsewhere."""
    attempt = environ.get("JOBSET_RESTART_ATTEMPT", "")
    return f"jobset-{attempt}" if attempt else ""


def _kubeflow(environ: Mapping[str, str]) -> list[Claim]:
    """Torchrun's own variables, which Kubeflow sets for its trainer's nodes."""
    found = []
    if environ.get("PET_NNODES"):
        least, _, most = environ["PET_NNODES"].partition(":")
        if most not in ("", least):
            raise SettingsError(
                "PET_NNODES asks for an elastic number of nodes; this job runs on a fixed one.",
                "Set minNodes and maxNodes of the trainer to the same number.",
            )
        found.append(Claim("num_nodes", whole_number({"PET_NNODES": least}, "PET_NNODES"), "PET_NNODES"))
    if environ.get("PET_NODE_RANK"):
        found.append(Claim("node_rank", whole_number(environ, "PET_NODE_RANK"), "PET_NODE_RANK"))
    if environ.get("PET_MASTER_ADDR"):
        found.append(Claim("main_address", environ["PET_MASTER_ADDR"], "PET_MASTER_ADDR"))
    if environ.get("PET_MASTER_PORT"):
        found.append(Claim("main_port", whole_number(environ, "PET_MASTER_PORT"), "PET_MASTER_PORT"))
    return found


def _first_pod(environ: Mapping[str, str], service: str) -> str:
    """``train-3`` with index 3 → ``train-0.<service>``; a JobSet's ``set-node-0-3`` → ``set-node-0-0.<service>``."""
    hostname, index = environ.get("HOSTNAME", ""), environ[INDEX]
    if not re.fullmatch(rf".+-{re.escape(index)}", hostname):
        raise SettingsError(
            f"JOB_PARALLEL__HEADLESS_SERVICE is set, and the pod's name (HOSTNAME) does not end in {INDEX}.",
            "Set JOB_PARALLEL__MAIN_ADDRESS to the name of the pod with index 0.",
        )
    return f"{hostname.removesuffix(index)}0.{service}"
