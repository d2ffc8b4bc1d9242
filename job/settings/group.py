"""What every settings group is: frozen, strict about unknown names, silent about values, documented field by field."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, StringConstraints
from pydantic_settings import NoDecode


class Group(BaseModel):
    """Base of the settings groups.  Field docstrings become the descriptions in ``docs/settings.md``."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        use_attribute_docstrings=True,
        hide_input_in_errors=True,
        validate_default=True,
        allow_inf_nan=False,
    )


def _split_on_commas(value: Any) -> Any:
    if isinstance(value, str):
        return tuple(part.strip() for part in value.split(",") if part.strip())
    return value


def _known_scheme(uri: str) -> str:
    scheme, separator, rest = uri.partition("://")
    if separator and (scheme not in SCHEMES or not rest):
        known = ", ".join(f"{known}://" for known in SCHEMES)
        raise ValueError(f"a URI begins with {known}, or is a local path or a Hub name org/name")
    if scheme == "s3" and "@" in rest.partition("/")[0]:
        raise ValueError("a URI holds no credentials, it is printed and recorded: give them to boto3 (AWS_ACCESS_KEY_ID and so on)")
    return uri


SCHEMES = ("file", "s3", "hf")
NonEmpty = Annotated[str, StringConstraints(min_length=1)]
Uri = Annotated[str, StringConstraints(min_length=1), AfterValidator(_known_scheme)]
CommaList = Annotated[tuple[NonEmpty, ...], NoDecode, BeforeValidator(_split_on_commas)]
"""Several values in one variable, separated by commas; a list in YAML."""
UriList = Annotated[tuple[Uri, ...], NoDecode, BeforeValidator(_split_on_commas)]
