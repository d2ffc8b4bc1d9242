"""Settings of the model to start from and of its tokenizer."""

from __future__ import annotations

from typing import Literal

from pydantic import SecretStr

from job.settings.group import Group, NonEmpty, Uri


class ModelSettings(Group):
    """The model to start from, and its tokenizer."""

    uri: Uri
    """Where the model lies: a local folder, `file://`, `s3://bucket/prefix`, or on the Hub `org/name` or `hf://org/name@revision`."""

    revision: NonEmpty | None = None
    """Branch, tag or commit on the Hub. Resolved to a commit sha, which is recorded. Default: the main branch."""

    base_uri: Uri | None = None
    """For an adapter in `JOB_MODEL__URI`: where its base model lies. Default: the place that the adapter itself names."""

    hub_token: SecretStr | None = None
    """Token for the Hub, stronger than `HF_TOKEN`. Best given as `JOB_MODEL__HUB_TOKEN_FILE`."""

    from_config: bool = False
    """Start from random weights made from `config.json` instead of the pretrained ones; the folder then needs no weights."""

    pad_token: Literal["auto", "eos", "add"] = "auto"
    """For a tokenizer without a pad token: reuse the end-of-text token (`eos`, also `auto`), or `add` a new one and resize the embeddings."""

    pad_token_text: NonEmpty = "[PAD]"
    """Text of the pad token that `JOB_MODEL__PAD_TOKEN=add` adds."""

    truncation_side: Literal["right", "left"] = "right"
    """Which end of a text over the maximum length is cut off."""
