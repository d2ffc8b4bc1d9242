"""Settings of where the results go."""

from __future__ import annotations

import re
from typing import Literal, Self

from pydantic import SecretStr, field_validator, model_validator

from job.settings.group import Group, NonEmpty, Uri

_PART = r"[A-Za-z0-9_](?:[A-Za-z0-9._-]{0,94}[A-Za-z0-9_])?"
_HUB_NAME = re.compile(rf"(?!.*(?:--|\.\.)){_PART}/{_PART}(?<!\.git)")
_BRANCH = re.compile(r"(?!.*(?:\.\.|//|@\{|\.lock))[A-Za-z0-9_][A-Za-z0-9._/-]*(?<![./])")


class OutputSettings(Group):
    """Where checkpoints, metrics and the model go."""

    uri: Uri
    """Store for the run, which lies below it under its name: `s3://bucket/prefix`, `file:///folder`, or a local folder."""

    fence: Literal["required", "off"] = "required"
    """Whether a store without a sound put-if-absent is refused. `off` runs without protection against two attempts at once."""

    hub_repo: str | None = None
    """Repository on the Hub, `org/name`, to which the published folder is pushed once it is safe in the store. Made if it is not there. Its outcome never changes that of the run."""

    hub_private: bool = True
    """Whether a repository that is made is private. One that exists stays as it is."""

    hub_revision: NonEmpty | None = None
    """Branch that is pushed to; made if it is not there. Default: the main branch."""

    hub_token: SecretStr | None = None
    """Token that may write there. Best given as `JOB_OUTPUT__HUB_TOKEN_FILE`. Default: `JOB_MODEL__HUB_TOKEN`, then `HF_TOKEN`."""

    @field_validator("uri")
    @classmethod
    def _writable(cls, uri: str) -> str:
        if uri.startswith("hf://"):
            raise ValueError("the Hub is no store for a run: use s3://bucket/prefix, file:///folder or a local folder")
        return uri

    @field_validator("hub_repo")
    @classmethod
    def _repository(cls, name: str | None) -> str | None:
        if name is not None and not _HUB_NAME.fullmatch(name):
            raise ValueError("a repository on the Hub is written org/name, without hf:// and without a revision")
        return name

    @field_validator("hub_revision")
    @classmethod
    def _branch(cls, name: str | None) -> str | None:
        if name is not None and (not _BRANCH.fullmatch(name) or name.startswith("refs/")):
            raise ValueError("a branch is named by letters, digits, dots, dashes and slashes, such as candidates/first")
        return name

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        given = {"HUB_REVISION": self.hub_revision, "HUB_TOKEN": self.hub_token}
        alone = [f"JOB_OUTPUT__{name}" for name, value in given.items() if value is not None and self.hub_repo is None]
        if alone:
            raise ValueError(f"{' and '.join(alone)} without JOB_OUTPUT__HUB_REPO: nothing is pushed to the Hub")
        return self
