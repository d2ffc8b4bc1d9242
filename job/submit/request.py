"""The settings file of a submission: read as ``docker run --env-file`` reads it, and checked as the job will check it."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from job.errors import SettingsError
from job.settings import root, sweep
from job.settings.root import Settings
from job.submit import options, shipped
from job.submit.options import SubmitOptions

BATCH = "BATCH_"
OTHERS = (options.PREFIX, BATCH)
"""Beginnings of the names that are for `job submit` and for the Slurm script, and not for the job."""
OF_A_VARIANT = "JOB_SWEEP__"
LONGEST_NAME = 32
_LINE = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)=(.*)")


@dataclass(frozen=True)
class Request:
    """A submission that was checked."""

    path: Path
    variables: Mapping[str, str]
    options: SubmitOptions
    runs: tuple[Settings, ...]
    """One, or each variant of a sweep."""
    variants: tuple[Mapping[str, str], ...] = ()
    """The lines of a sweep's file, each its variables."""

    @property
    def is_sweep(self) -> bool:
        return self.options.variants_path is not None

    @property
    def name(self) -> str:
        """The run's name as schedulers take it; with a hash where that is not one to one."""
        name = self.variables.get(sweep.NAME_VARIABLE) or self.runs[0].run.name
        slug = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
        if slug == name and len(slug) <= LONGEST_NAME:
            return slug
        return f"{slug[: LONGEST_NAME - 7].rstrip('-')}-{hashlib.sha256(name.encode()).hexdigest()[:6]}"

    def for_the_job(self) -> dict[str, str]:
        """The variables without those that are for the scheduler."""
        return {name: value for name, value in self.variables.items() if not name.startswith(OTHERS)}


def read(path: Path) -> Request:
    """Read and check a settings file.

    Raises:
        SettingsError: naming everything that is wrong with it at once, without values.
    """
    variables, problems = parse(_text(path, "the settings file"))
    chosen, more = options.read(variables)
    problems += more
    problems += [
        f"{name} is set for each variant by the scheduler: give SUBMIT_VARIANTS_PATH."
        for name in variables
        if name.startswith(OF_A_VARIANT)
    ]
    problems += _for_the_script(variables)
    asked = {name: value for name, value in variables.items() if not name.startswith((*OTHERS, OF_A_VARIANT))}
    variants, more = _variants(chosen)
    problems += more
    runs, more = _load([asked | variant for variant in variants or [{}]])
    problems += more
    if problems or chosen is None:
        lines = "\n".join(f"  - {problem}" for problem in problems)
        raise SettingsError(
            f"The settings file cannot be submitted:\n{lines}", "`job settings` and docs/submit.md say what each line may hold."
        )
    return Request(path.resolve(), variables, chosen, runs, tuple(variants))


def shared_settings(path: Path) -> dict[str, str]:
    """The job's variables of a settings file, without those of a sweep and of schedulers; not checked yet.

    Raises:
        SettingsError: when the file cannot be read, or a line is not ``NAME=value``.
    """
    variables, problems = parse(_text(path, "the settings file"))
    if problems:
        raise SettingsError(
            f"The settings file cannot be read: {' '.join(problems)}", "docs/submit.md says what each line may hold."
        )
    return {name: value for name, value in variables.items() if not name.startswith((*OTHERS, OF_A_VARIANT))}


def _load(environments: Sequence[Mapping[str, str]]) -> tuple[tuple[Settings, ...], list[str]]:
    """The settings of every run, and each thing that is wrong once."""
    runs: list[Settings] = []
    problems: dict[str, None] = {}
    for environ in environments:
        try:
            runs.append(root.load(environ))
        except SettingsError as error:
            problems |= {line.removeprefix("  - "): None for line in error.message.splitlines()[1:]}
    return tuple(runs), list(problems)


def parse(text: str) -> tuple[dict[str, str], list[str]]:
    """``NAME=value`` to the end of the line, no quotes, nothing expanded; lines with # are comments."""
    variables, problems = {}, []
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        found = _LINE.fullmatch(line)
        if found is None:
            problems.append(f"Line {number} is not NAME=value.")
        elif found[1] in variables:
            problems.append(f"Line {number} gives {found[1]} for the second time.")
        else:
            variables[found[1]] = found[2]
    return variables, problems


def _for_the_script(variables: Mapping[str, str]) -> list[str]:
    """What is wrong with the lines for the Slurm script, by the names that the script itself has."""
    given = {name: value for name, value in variables.items() if name.startswith(BATCH)}
    if not given:
        return []
    scripts = sorted(shipped.folder("slurm").glob("*.sbatch"))
    known = set(re.findall(rf"\b{BATCH}[A-Z_]+", "\n".join(path.read_text() for path in scripts)))
    problems = [f"{name} is nothing that the Slurm script knows." for name in given if name not in known]
    if given.get("BATCH_CONTAINER", "none") != "none" and not given.get("BATCH_IMAGE"):
        problems.append("BATCH_CONTAINER needs BATCH_IMAGE, the image of the job.")
    return problems


def _variants(chosen: SubmitOptions | None) -> tuple[list[dict[str, str]], list[str]]:
    if chosen is None or chosen.variants_path is None:
        return [], []
    found, problems = sweep.variants(_text(chosen.variants_path, "the file at SUBMIT_VARIANTS_PATH"))
    return found, problems if found else ["The file at SUBMIT_VARIANTS_PATH has no variant."]


def _text(path: Path, what: str) -> str:
    try:
        text = path.read_bytes().decode()
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise SettingsError(f"{what[0].upper()}{what[1:]} cannot be read: {reason}.", "Give its path with --settings.") from error
    if "\r" in text:
        # A container's program keeps the sign as a part of every value.
        raise SettingsError(
            f"{what[0].upper()}{what[1:]} has the line ends of Windows.", "Convert it, with dos2unix or in the editor."
        )
    return text
