"""Settings of text embeddings."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from job.settings.group import Group


class EmbeddingSettings(Group):
    """Text embeddings (task `embedding`)."""

    pooling: Literal["mean", "cls", "last", "max"] = "mean"
    """How the vectors of a text's tokens become one: their mean, the first, the last, or the largest of each dimension."""

    scale: float = Field(default=20.0, gt=0, le=1000)
    """Cosine similarities are multiplied by this in the loss (1 / temperature)."""
