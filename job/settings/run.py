"""Settings of the run itself: its name, its place, its time."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, StringConstraints, field_validator, model_validator

from job.settings.group import Group

RunName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$")]


class RunSettings(Group):
    """The run: its name, its place, its time."""

    name: RunName
    """Name of the run: letters, digits, dot, dash, underscore. The same name under the same output continues the same run."""

    dir: Path = Path("runs")
    """Local working folder; the run directory is `<dir>/<name>`. Needs room for inputs, tokenized data and two checkpoints."""

    seed: int = Field(default=42, ge=0, le=2**32 - 1)
    """Seed of everything drawn at random: new weights, dropout, order of examples."""

    time_limit_s: float | None = Field(default=None, gt=0)
    """Seconds from start until the scheduler ends the process. With it, the job stops itself early enough to save."""

    grace_s: float = Field(default=30.0, ge=1)
    """Seconds between a stop signal and the kill that follows it. Same number as the scheduler's grace period."""

    stop_file: Path | None = None
    """File whose appearance asks the job to stop, beside the signals; the scheduler's script makes it, the job never removes it."""

    termination_log: Path | None = None
    """File that gets the failure record as well; by default `/dev/termination-log`, where Kubernetes has put one."""

    log_format: Literal["auto", "text", "json"] = "auto"
    """Log lines for people (`text`) or machines (`json`); `auto` is text on a terminal, else JSON lines."""

    @field_validator("dir", "stop_file", "termination_log")
    @classmethod
    def _a_path(cls, path: Path | None) -> Path | None:
        if "\0" in str(path):
            raise ValueError("no path holds a NUL character")
        return path

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.time_limit_s is not None and self.time_limit_s <= self.grace_s:
            raise ValueError("JOB_RUN__TIME_LIMIT_S leaves nothing to train in: it must be more than JOB_RUN__GRACE_S")
        return self
