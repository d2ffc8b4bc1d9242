"""The space that ``job suggest`` searches: variables with ranges or choices, from YAML to Optuna's distributions."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from job.errors import SettingsError
from job.settings import config_file, root

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution

OF_A_RANGE = {"low", "high", "log", "step"}


def read(path: Path, environ: Mapping[str, str]) -> dict[str, BaseDistribution]:
    """Distributions by variable; the ends of every range and every choice are checked as settings.

    Args:
        path: YAML file, as `job.inspection.suggest.Wish` describes it.
        environ: the settings that all variants share.

    Raises:
        SettingsError: the file cannot be read, or everything that is wrong with it at once.
    """
    try:
        given = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path} cannot be read: {config_file.reason(error)}.", "Give its path with --space.") from error
    except (yaml.YAMLError, RecursionError) as error:
        raise SettingsError(f"{path} is not valid YAML.", "See docs/sweeps.md for an example.") from error
    if not isinstance(given, dict) or not given:
        raise SettingsError(
            f"{path} must hold a mapping of JOB_... variables to ranges or choices.", "See docs/sweeps.md for an example."
        )
    found, problems = {}, []
    for name, described in given.items():
        try:
            found[str(name)] = _distribution(described)
        except (TypeError, ValueError) as error:
            problems.append(f"{name}: {error}")
            continue
        problems += [problem for value in _ends(found[str(name)]) for problem in wrong({**environ, str(name): value})]
    if problems:
        lines = "\n".join(f"  - {problem}" for problem in dict.fromkeys(problems))
        raise SettingsError(f"{path} cannot be searched:\n{lines}", "Nothing was asked of the study. Mend the file and try again.")
    return found


def _distribution(described: Any) -> BaseDistribution:
    from optuna import distributions

    if not isinstance(described, dict):
        raise TypeError("must be {low: ..., high: ...} or {choices: [...]}")
    if described.keys() == {"choices"}:
        if not isinstance(described["choices"], list) or not described["choices"]:
            raise TypeError("choices must be a list")
        return distributions.CategoricalDistribution([written(choice) for choice in described["choices"]])
    if not {"low", "high"} <= described.keys() <= OF_A_RANGE:
        raise TypeError("must be {low: ..., high: ...} with log or step if wanted, or {choices: [...]}")
    if all(isinstance(described[end], int) for end in ("low", "high")):
        return distributions.IntDistribution(
            described["low"], described["high"], bool(described.get("log")), described.get("step", 1)
        )
    # YAML 1.1 takes 1e-5 for a word.
    step = described.get("step")
    return distributions.FloatDistribution(
        float(described["low"]), float(described["high"]), bool(described.get("log")), None if step is None else float(step)
    )


def written(value: Any) -> str:
    """A value as a variable holds it."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def _ends(distribution: Any) -> list[str]:
    return [written(each) for each in getattr(distribution, "choices", None) or (distribution.low, distribution.high)]


def wrong(environ: Mapping[str, str]) -> list[str]:
    """What the settings say of these variables, without its heading."""
    try:
        root.load(environ)
    except SettingsError as error:
        return [line.removeprefix("  - ") for line in error.message.splitlines()[1:]]
    return []
