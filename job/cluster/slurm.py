"""What Slurm says of the nodes of a job: its variables, and its short form of a list of hosts."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Mapping

from job.cluster.claims import Claim, whole_number
from job.errors import SettingsError

STEP = ("SLURM_STEP_NUM_NODES", "SLURM_STEP_NODELIST")
ALLOCATION = ("SLURM_JOB_NUM_NODES", "SLURM_JOB_NODELIST")
"""srun describes its own step; without it (in a batch script, or a container that was not told) the allocation counts."""
_OLD_NAMES = {"SLURM_JOB_NUM_NODES": "SLURM_NNODES", "SLURM_JOB_NODELIST": "SLURM_NODELIST"}
_ITEM = re.compile(r"(?:\[[^\[\]]*\]|[^,\[\]])+")
_PART = re.compile(r"\[([^\]]*)\]|([^\[\],]+)")


def claims(environ: Mapping[str, str]) -> list[Claim]:
    """Nodes, rank and main node's name, as far as the variables go.

    Raises:
        SettingsError: when srun started more than one task on a node.
    """
    names = STEP if environ.get(STEP[0]) else ALLOCATION
    count, nodes = (_spelled(name, environ) for name in names)
    if not environ.get(count):
        return []
    num_nodes = whole_number(environ, count)
    _check_tasks(environ, num_nodes)
    found = [Claim("num_nodes", num_nodes, count)]
    if environ.get("SLURM_NODEID"):
        found.append(Claim("node_rank", whole_number(environ, "SLURM_NODEID"), "SLURM_NODEID"))
    if environ.get(nodes):
        try:
            found.append(Claim("main_address", next(expand(environ[nodes])), nodes))
        except (ValueError, StopIteration) as error:
            raise SettingsError(f"{nodes} is no list of hosts as Slurm writes it.", "Set JOB_PARALLEL__MAIN_ADDRESS.") from error
    return found


def launch_id(environ: Mapping[str, str]) -> str:
    """What tells one start of a Slurm job from the next; empty outside Slurm."""
    job = environ.get("SLURM_JOB_ID", "")
    return f"slurm-{job}-{environ.get('SLURM_RESTART_COUNT') or '0'}" if job else ""


def expand(hosts: str) -> Iterator[str]:
    """Every host of a list such as ``login,n[01-03,7]-ib,r[1-2]c[1-2]``, in its order.

    Raises:
        ValueError: when it is no such list.
    """
    for item in _split(hosts):
        parts, end = [], 0
        for match in _PART.finditer(item):
            if match.start() != end:
                raise ValueError(item)
            end = match.end()
            parts.append(list(_numbers(match[1])) if match[1] is not None else [match[2]])
        if end != len(item):
            raise ValueError(item)
        yield from ("".join(choice) for choice in itertools.product(*parts))


def _split(hosts: str) -> list[str]:
    """The items of a list, at the commas outside of brackets."""
    items = _ITEM.findall(hosts.strip())
    if ",".join(items) != hosts.strip():
        raise ValueError(hosts)
    return items


def _numbers(ranges: str) -> Iterator[str]:
    """``01-03,7`` → 01, 02, 03, 7: as many digits as the first of a range has."""
    for text in ranges.split(","):
        first, dash, last = text.partition("-")
        if not first.isdigit() or (dash and not last.isdigit()):
            raise ValueError(text)
        for number in range(int(first), int(last if dash else first) + 1):
            yield f"{number:0{len(first)}d}"


def _spelled(name: str, environ: Mapping[str, str]) -> str:
    """The variable's name, or the older one where only that is set."""
    old = _OLD_NAMES.get(name)
    return old if old and not environ.get(name) and environ.get(old) else name


def _check_tasks(environ: Mapping[str, str], num_nodes: int) -> None:
    tasks = "SLURM_STEP_NUM_TASKS"
    if environ.get(STEP[0]) and environ.get(tasks) and whole_number(environ, tasks) > num_nodes:
        raise SettingsError(
            f"srun started more tasks than nodes ({tasks} against {STEP[0]}); the job is one process per node, which starts its workers itself.",
            "Give srun --ntasks-per-node=1, and JOB_PARALLEL__WORKERS_PER_NODE for the workers.",
        )
