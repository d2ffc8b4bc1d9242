"""How many nodes there are, which this is, and where the main one is found: from settings and what schedulers say."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from job.cluster import kubernetes, slurm
from job.cluster.claims import Claim, agreed
from job.errors import SettingsError
from job.settings import root
from job.settings.parallel import ParallelSettings

FIRST_PORT, LAST_PORT = 20000, 32767
"""Below the range from which Linux takes ports for outgoing connections."""
_FACTS = ("num_nodes", "node_rank", "main_address", "main_port")
_ALL_NODES = "the same on every node"


@dataclass(frozen=True)
class NodePlace:
    """The place of a node among those of a launch.

    ``launch`` tells one start of the same run from another where the scheduler does (empty: unknown); ``sources`` names, fact by
    fact, the variable it came from.
    """

    num_nodes: int = 1
    node_rank: int = 0
    main_address: str = "127.0.0.1"
    main_port: int = 0
    launch: str = ""
    sources: Mapping[str, str] = field(default_factory=dict, compare=False)


ALONE = NodePlace()


def resolve(settings: ParallelSettings, run_name: str, environ: Mapping[str, str]) -> NodePlace:
    """The node's place.

    What settings and schedulers say of number and rank must agree; address and port may be set otherwise than the scheduler has them.

    Raises:
        SettingsError: on a contradiction, naming both sides, or when something is missing.
    """
    claims = _claims(settings, environ)
    count = agreed(claims, "num_nodes")
    rank = agreed(claims, "node_rank")
    if count is None or count.value == 1:
        if settings.node_rank:
            raise SettingsError(
                f"JOB_PARALLEL__NODE_RANK is more than 0, and there is one node only{f' ({count.source})' if count else ''}.",
                f"Set JOB_PARALLEL__NUM_NODES, {_ALL_NODES}.",
            )
        return NodePlace(sources={count.fact: count.source} if count else {})
    rank = rank or _missing("the rank of this node", "JOB_PARALLEL__NODE_RANK, from 0 on the main node")
    if int(rank.value) >= int(count.value):
        raise SettingsError(f"{rank.source} must be less than {count.source}.", "The nodes are numbered from 0.")
    address = agreed(claims, "main_address") or _missing("the main node's address", f"JOB_PARALLEL__MAIN_ADDRESS, {_ALL_NODES}")
    launch = slurm.launch_id(environ) or kubernetes.launch_id(environ)
    port = agreed(claims, "main_port") or Claim("main_port", _port(run_name, environ.get("SLURM_JOB_ID", "")), "JOB_RUN__NAME")
    return NodePlace(
        num_nodes=int(count.value),
        node_rank=int(rank.value),
        main_address=str(address.value),
        main_port=int(port.value),
        launch=launch,
        sources={claim.fact: claim.source for claim in (count, rank, address, port)},
    )


def _claims(settings: ParallelSettings, environ: Mapping[str, str]) -> Sequence[Claim]:
    values = {fact: getattr(settings, fact) for fact in _FACTS}
    own = [Claim(fact, value, root.variable("parallel", fact)) for fact, value in values.items() if value is not None]
    said = [*kubernetes.claims(environ, settings.headless_service), *slurm.claims(environ)]
    if settings.num_nodes == 1:
        # An allocation of several nodes is no launch on all of them: one node process in it may be what is wanted.
        said = [claim for claim in said if claim.source not in (slurm.ALLOCATION[0], "SLURM_NNODES")]
    overruled = {claim.fact for claim in own} & {"main_address", "main_port"}
    return own + [claim for claim in said if claim.fact not in overruled]


def _missing(what: str, setting: str) -> Claim:
    raise SettingsError(
        f"There are several nodes, and nothing says {what}.", f"Set {setting}, or start the job with srun or as an Indexed Job."
    )


def _port(run_name: str, job_id: str) -> int:
    """The same for all nodes of a launch, another for most other runs."""
    number = int.from_bytes(hashlib.sha256(f"{run_name}/{job_id}".encode()).digest()[:8], "big")
    return FIRST_PORT + number % (LAST_PORT - FIRST_PORT + 1)
