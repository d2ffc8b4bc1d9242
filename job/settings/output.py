"""Settings of where the results go."""

from __future__ import annotations

from typing import Literal

from pydantic import field_validator

from job.settings.group import Group, Uri


class OutputSettings(Group):
    """Where checkpoints, metrics and the model go."""

    uri: Uri
    """Store for the run, which lies below it under its name: `s3://bucket/prefix`, `file:///folder`, or a local folder."""

    fence: Literal["required", "off"] = "required"
    """Whether a store without a sound put-if-absent is refused. `off` runs without protection against two attempts at once."""

    @field_validator("uri")
    @classmethod
    def _writable(cls, uri: str) -> str:
        if uri.startswith("hf://"):
            raise ValueError("the Hub is no store for a run: use s3://bucket/prefix, file:///folder or a local folder")
        return uri
