"""What all nodes must have in common before they train together, compared while it costs nothing to find out.

Every node hands in the same few facts and every node judges all of them, so that all end with the same words and the same code.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import job
from job.cluster.supervise import Crew
from job.errors import DataError, SettingsError, UnavailableError
from job.records import InputSource
from job.settings import resolved, root
from job.settings.root import Settings
from job.stages.context import RunContext, digest
from job.storage.resume import ResumePoint

_OWN = frozenset(
    [
        *("run.dir", "run.log_format", "run.time_limit_s", "model.hub_token", "train.data_workers", "parallel.threads_per_worker"),
        *("parallel.num_nodes", "parallel.node_rank", "parallel.main_address", "parallel.main_port", "parallel.headless_service"),
        *("model.uri", "model.base_uri", "output.hub_token", "data.train_uri", "data.eval_uri", "data.test_uri"),
        *("metrics.port", "metrics.textfile"),
    ]
)
"""Settings that each node may have otherwise: its rank and disk, where it shows its metrics, and where it finds the inputs, whose content is compared instead."""
_PACKAGES = ("torch", "transformers", "tokenizers", "datasets", "accelerate", "deepspeed", "peft", "numpy")
"""Those whose version may show in the numbers."""
_SHOWN = 8


def agree_on_start(settings: Settings, crew: Crew) -> None:
    """See that all nodes have the same settings, the same code and the same shape.

    Raises:
        SettingsError: naming the nodes, and what differs.
    """
    facts = crew.group.exchange("start", _facts(settings, crew), crew.stop.check) if crew.group.num_nodes > 1 else []
    for node, theirs in enumerate(facts):
        if names := _differing(facts[0], theirs):
            shown = ", ".join(names[:_SHOWN]) + (f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else "")
            raise SettingsError(
                f"{crew.group.name(0).capitalize()} and {crew.group.name(node)} differ in: {shown}.",
                "Start every node with the same settings and the same image.",
            )


def agree_on_inputs(
    context: RunContext, resumed: ResumePoint | None, sources: Mapping[str, InputSource]
) -> dict[str, dict[str, Any]]:
    """See that all nodes continue from the same checkpoint; what node 0 has fetched, by role.

    Raises:
        UnavailableError: when they do not; another start may find the store at rest.
    """
    mine = {
        "manifest_sha256": resumed.entry["manifest_sha256"] if resumed else "",
        "step": resumed.step if resumed else None,
        "sources": {role: source.as_dict() for role, source in sources.items()},
    }
    group = context.group
    facts = group.exchange("inputs", mine, context.stop.check)
    for node, theirs in enumerate(facts):
        if theirs["manifest_sha256"] != facts[0]["manifest_sha256"]:
            raise UnavailableError(
                f"{group.name(0).capitalize()} found {_from(facts[0])}, {group.name(node)} {_from(theirs)}.",
                "The store gave them different answers, or one of them received damaged files. Start again.",
            )
    return dict(facts[0]["sources"])


def agree_on_data(context: RunContext, fingerprint: str, sources: Mapping[str, Mapping[str, Any]]) -> None:
    """See that all nodes prepared the same data, from the same model.

    Raises:
        DataError: naming the nodes, and which input differs.
    """
    group = context.group
    mine = {"fingerprint": fingerprint, **{role: source["sha256"] for role, source in sources.items()}}
    facts = group.exchange("data", mine, context.stop.check)
    for node, theirs in enumerate(facts):
        # Files that differ in what is not read (a column, a README) are no harm: only what was made of them counts.
        if facts[0]["fingerprint"] != theirs["fingerprint"]:
            roles = [role for role in _differing(facts[0], theirs) if role != "fingerprint"]
            named = ", ".join(roles) or "what was prepared from the same files"
            raise DataError(
                f"{group.name(0).capitalize()} and {group.name(node)} have different data: {named}.",
                "Give all nodes the same files, best from one store or one revision of the Hub.",
            )


def _facts(settings: Settings, crew: Crew) -> dict[str, str]:
    """By name, a hash of each value: the values themselves stay here."""
    values: dict[str, Any] = {}
    for name, value in resolved.dump(settings).items():
        values |= {f"{name}.{inner}": item for inner, item in value.items()} if isinstance(value, dict) else {name: value}
    facts = {root.variable(*name.split(".")): value for name, value in values.items() if name not in _OWN}
    shape = crew.topology
    facts |= {
        "the number of workers (JOB_PARALLEL__WORKERS_PER_NODE)": shape.workers_per_node,
        "the device (JOB_PARALLEL__DEVICE)": shape.device,
    }
    facts |= {f"the version of {name}": version for name, version in _versions().items()}
    facts["the job's own code"] = code_digest()
    return {name: digest(value) for name, value in facts.items()}


def _differing(ours: Mapping[str, str], theirs: Mapping[str, str]) -> list[str]:
    return [name for name in sorted(ours.keys() | theirs.keys()) if ours.get(name) != theirs.get(name)]


def _versions() -> dict[str, str]:
    installed = {name: list(importlib.metadata.Distribution.discover(name=name)) for name in _PACKAGES}
    return {name: found[0].version for name, found in installed.items() if found}


def code_digest(folder: Path = Path(job.__file__).parent) -> str:
    """sha256 over the package's own sources."""
    sources: Sequence[Path] = sorted(folder.rglob("*.py"))
    total = hashlib.sha256()
    for path in sources:
        total.update(path.relative_to(folder).as_posix().encode() + b"\0" + hashlib.sha256(path.read_bytes()).digest())
    return total.hexdigest()


def _from(facts: Mapping[str, Any]) -> str:
    return "no checkpoint" if facts["step"] is None else f"the checkpoint of step {facts['step']} ({facts['manifest_sha256'][:8]})"
