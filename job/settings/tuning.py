"""Settings of what is trained: which weights."""

from __future__ import annotations

from typing import Literal

from job.settings.group import Group


class TuningSettings(Group):
    """Which weights are trained."""

    method: Literal["full"] = "full"
    """`full`: all weights."""
