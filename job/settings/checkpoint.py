"""Settings of checkpoints: when they are made, how many are kept."""

from __future__ import annotations

from typing import Self

from pydantic import Field, model_validator

from job.settings.group import Group


class CheckpointSettings(Group):
    """Checkpoints, to continue from: when they are made, how many are kept."""

    every_steps: int | None = Field(default=None, ge=1)
    """Optimizer steps between two checkpoints."""

    every_minutes: float = Field(default=10.0, ge=0)
    """Minutes of training between two checkpoints; with steps given too, whichever comes first. 0 switches it off."""

    keep: int = Field(default=2, ge=2)
    """Newest checkpoints kept in the store, beside the one with the best metric. At least 2."""

    max_failed_uploads: int = Field(default=5, ge=1)
    """Uploads that may fail in a row before the run ends with code 69. One failed upload never stops training."""

    parts_timeout_s: float = Field(default=1800.0, gt=0)
    """Several nodes: seconds that the main node waits for what the others have to upload of a checkpoint, before that counts as a failed upload."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.every_steps is None and self.every_minutes == 0:
            raise ValueError("give JOB_CHECKPOINT__EVERY_STEPS or JOB_CHECKPOINT__EVERY_MINUTES: without, a killed run is lost")
        return self
