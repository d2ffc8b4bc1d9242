"""Settings of a sweep: many runs that differ in a few settings, and which of them this one is.

A variants file has one variant in a line, ``JOB_TRAIN__LEARNING_RATE=1e-5 JOB_RUN__SEED=7``; a scheduler's index chooses the line.
"""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import Field

from job.settings.group import Group

NAME_VARIABLE = "JOB_RUN__NAME"
SCHEDULERS_INDEX = ("JOB_COMPLETION_INDEX", "SLURM_ARRAY_TASK_ID")
"""Where a scheduler says the index: Kubernetes' Indexed Job, Slurm's job array."""


class SweepSettings(Group):
    """A sweep: many runs that differ in a few settings."""

    variants_path: Path | None = None
    """File with one variant in a line: variables and their values, apart by spaces, stronger than all others. Lines with # are skipped."""

    index: int | None = Field(default=None, ge=0)
    """Which variant this run is, counted from 0. Default: `JOB_COMPLETION_INDEX` (Kubernetes) or `SLURM_ARRAY_TASK_ID`."""


def variants(text: str) -> tuple[list[dict[str, str]], list[str]]:
    """The variants of a file, in order, and what is wrong with it.

    Args:
        text: the file's content.
    """
    found, problems = [], []
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        try:
            words = [word.partition("=") for word in shlex.split(line)]
        except ValueError:
            words = [(line, "", "")]
        if not all(name.startswith("JOB_") and separator for name, separator, _ in words):
            problems.append(f"Line {number} of the file at JOB_SWEEP__VARIANTS_PATH must hold JOB_...=value, apart by spaces.")
        if any(name.startswith("JOB_SWEEP__") for name, _, _ in words):
            problems.append(f"Line {number} of the file at JOB_SWEEP__VARIANTS_PATH holds a setting of the sweep itself.")
        found.append({name: value for name, _, value in words})
    names = Counter(variant[NAME_VARIABLE] for variant in found if NAME_VARIABLE in variant)
    if any(count > 1 for count in names.values()):
        problems.append(f"Two variants of the file at JOB_SWEEP__VARIANTS_PATH have the same {NAME_VARIABLE}.")
    return found, problems


def chosen(merged: Mapping[str, Any], environ: Mapping[str, str]) -> tuple[dict[str, str], list[str]]:
    """The variables of this run's variant; none when there is no sweep.

    The run's name gets the variant's number, unless the variant names its run itself.

    Args:
        merged: the settings so far, by group.
        environ: the environment, for the scheduler's index.

    Returns:
        Variables with their values, and what is wrong.
    """
    group, run = merged.get("sweep"), merged.get("run")
    if not isinstance(group, dict) or not isinstance(group.get("variants_path"), str):
        return {}, []
    try:
        found, problems = variants(Path(group["variants_path"]).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}, ["JOB_SWEEP__VARIANTS_PATH names a file that cannot be read as text."]
    indices = (group.get("index"), *(environ.get(name) for name in SCHEDULERS_INDEX))
    given = next((str(index) for index in indices if index is not None), "")
    if not given.isdecimal() or int(given) >= len(found):
        which = " or ".join(("JOB_SWEEP__INDEX", *SCHEDULERS_INDEX))
        return {}, [*problems, f"{which} must say which of the {len(found)} variants this run is, counted from 0."]
    name = run.get("name") if isinstance(run, dict) else None
    named = {NAME_VARIABLE: f"{name}-{int(given)}"} if name else {}
    return named | found[int(given)], problems
