"""What one source says of one fact about the nodes; several sources that say the same, or contradict each other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from job.errors import SettingsError


@dataclass(frozen=True)
class Claim:
    """``source``, a variable, says that ``fact`` (``num_nodes``, ``node_rank``, ``main_address``, ``main_port``) is ``value``."""

    fact: str
    value: int | str
    source: str


def agreed(claims: Sequence[Claim], fact: str) -> Claim | None:
    """The first claim about a fact, when all others about it say the same; None without any.

    Raises:
        SettingsError: naming two sources that contradict each other.
    """
    found = [claim for claim in claims if claim.fact == fact]
    for other in found[1:]:
        if other.value != found[0].value:
            raise SettingsError(
                f"{found[0].source} and {other.source} contradict each other about {fact.replace('_', ' ')}.",
                f"Leave one of the two out, or make them say the same. {found[0].source} is not needed where the scheduler is right.",
            )
    return found[0] if found else None


def whole_number(environ: Mapping[str, str], name: str) -> int:
    """A variable's value as a number from 0 up.

    Raises:
        SettingsError: when it is none.
    """
    text = environ[name].strip()
    if not text.isdigit():
        raise SettingsError(f"{name} must be a whole number.", "The scheduler sets it; whoever changed it knows why.")
    return int(text)
