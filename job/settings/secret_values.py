"""Which strings must never be seen: the values of everything secret that this process holds."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import BaseModel, SecretStr

from job.settings.root import Settings

SECRET_VARIABLES = ("AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "HF_TOKEN", "HUGGING_FACE_HUB_TOKEN")


def secret_values(settings: Settings, environ: Mapping[str, str]) -> tuple[str, ...]:
    """Values of secret settings and of the libraries' secret variables, for the log filter."""
    return tuple(value for value in (*_in(settings), *(environ.get(name, "") for name in SECRET_VARIABLES)) if value)


def _in(model: BaseModel) -> tuple[str, ...]:
    found: tuple[str, ...] = ()
    for _, value in model:
        if isinstance(value, BaseModel):
            found += _in(value)
        elif isinstance(value, SecretStr):
            found += (value.get_secret_value(),)
    return found
