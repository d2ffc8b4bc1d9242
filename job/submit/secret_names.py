"""Which variables hold a secret, and text without their values."""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping
from typing import get_args

from pydantic import SecretStr

from job.reporting.masking import Masker
from job.settings import root

_OF_LIBRARIES = re.compile(r"(?:^|_)(?:TOKEN|SECRET|PASSWORD|API_KEY|ACCESS_KEY(?:_ID)?)$", re.IGNORECASE)
"""How the names of the libraries' secrets end: ``AWS_SESSION_TOKEN``, ``HF_TOKEN``, ``WANDB_API_KEY``."""
_SWITCHES = ("HF_HUB_DISABLE_IMPLICIT_TOKEN",)


@functools.cache
def of_settings() -> frozenset[str]:
    """The settings that are secret, by their type."""
    return frozenset(
        name
        for name, group in root.variables().items()
        if _is_secret_type(group.model_fields[name.removeprefix(root.PREFIX).rpartition(root.DELIMITER)[2].lower()].annotation)
    )


def is_secret(name: str) -> bool:
    """Whether a variable of this name holds a secret.  A setting is known by its type: many are about tokens of a text."""
    if name.startswith(root.PREFIX):
        return name in of_settings()
    return bool(_OF_LIBRARIES.search(name)) and name not in _SWITCHES


def masker(*environments: Mapping[str, str]) -> Masker:
    """What hides the secrets of some variables in a text."""
    return Masker.of(value for variables in environments for name, value in variables.items() if is_secret(name))


def _is_secret_type(annotation: object) -> bool:
    return annotation is SecretStr or SecretStr in get_args(annotation)
