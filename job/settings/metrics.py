"""Settings of live metrics: where a monitoring system finds them while the job runs."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field, field_validator

from job.settings.group import Group


class MetricsSettings(Group):
    """Live metrics in Prometheus' text format."""

    port: int | None = Field(default=None, ge=1, le=65535)
    """TCP port on which every node process serves them, under any path. Default: none."""

    textfile: Path | None = None
    """File that they are written to every 15 seconds and at the end, for node_exporter's textfile collector; ends with `.prom`."""

    @field_validator("textfile")
    @classmethod
    def _collected(cls, path: Path | None) -> Path | None:
        if path is not None and (path.suffix != ".prom" or "\0" in str(path)):
            raise ValueError("node_exporter reads files whose name ends with .prom")
        return path
