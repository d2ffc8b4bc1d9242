"""``job suggest``: the next variants of a sweep, chosen by an Optuna study from what earlier variants scored.

The study is a journal file of Optuna's.  It is told the main metrics of the published runs, read as `job compare` reads them, and
asked for lines of the same variants file that any sweep has.  It starts nothing, and nothing waits for it: a sweep by hand and one by
Optuna are the same jobs.  Optuna is an extra of the package and is imported here alone.
"""

from __future__ import annotations

import importlib.util
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import yaml

from job.errors import SettingsError
from job.inspection import compare
from job.reporting.comparison import Variant
from job.settings import root
from job.settings.sweep import NAME_VARIABLE
from job.storage import audit, disk, uri
from job.storage.stores import open_store

if TYPE_CHECKING:
    from optuna import Study
    from optuna.distributions import BaseDistribution
    from optuna.trial import FrozenTrial

RUN = "run"
"""Attribute of a trial: the name of its run."""
OF_A_RANGE = {"low", "high", "log", "step"}


@dataclass(frozen=True)
class Wish:
    """What is asked for.

    Attributes:
        space: YAML file: each variable with ``low`` and ``high`` (whole numbers give whole numbers), ``log`` or ``step``; or ``choices``.
        study: Optuna's journal file; made by the first call.
        count: variants wanted.
        minimize: whether less of the main metric is better.
    """

    space: Path
    study: Path
    count: int
    minimize: bool


def suggest(environ: Mapping[str, str], wish: Wish) -> tuple[str, str]:
    """Tell the study what is known by now, and ask it for more.

    Args:
        environ: the settings that all variants share, by variable.
        wish: the rest.

    Returns:
        Lines of a variants file, and a sentence about the study.

    Raises:
        SettingsError: Optuna is not installed; the shared settings, the space, or a value of it are wrong.
        DeniedError, UnavailableError, LocalIOError: as the store and the disk say.
    """
    if importlib.util.find_spec("optuna") is None:
        raise SettingsError("`job suggest` needs Optuna, which is not installed.", "pip install 'finetune-job[sweep]'")
    if wish.count < 1:
        raise SettingsError("--count must be 1 or more.")
    shared = root.load(environ)
    space = _space(wish.space, environ)
    study = _study(wish, shared)
    told = _tell(study, shared.output.uri)
    lines = [_ask(study, space, environ, shared.run.name) for _ in range(wish.count)]
    return "".join(f"{line}\n" for line in lines), _sentence(study, told, len(lines))


def _space(path: Path, environ: Mapping[str, str]) -> dict[str, BaseDistribution]:
    """Distributions by variable; the ends of every range and every choice are checked as settings."""
    with disk.border(str(path)):
        text = path.read_text(encoding="utf-8")
    try:
        given = yaml.safe_load(text)
    except yaml.YAMLError as error:
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
        problems += [problem for value in _ends(found[str(name)]) for problem in _wrong({**environ, str(name): value})]
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
        return distributions.CategoricalDistribution([_written(choice) for choice in described["choices"]])
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


def _written(value: Any) -> str:
    """A value as a variable holds it."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def _ends(distribution: Any) -> list[str]:
    return [_written(each) for each in getattr(distribution, "choices", None) or (distribution.low, distribution.high)]


def _wrong(environ: Mapping[str, str]) -> list[str]:
    """What the settings say of these variables, without its heading."""
    try:
        root.load(environ)
    except SettingsError as error:
        return [line.removeprefix("  - ") for line in error.message.splitlines()[1:]]
    return []


def _study(wish: Wish, shared: root.Settings) -> Study:
    import optuna
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    direction: Literal["minimize", "maximize"] = "minimize" if wish.minimize else "maximize"
    with disk.border(str(wish.study), writing=True):
        storage = JournalStorage(JournalFileBackend(str(wish.study)))
        study = optuna.create_study(storage=storage, study_name=shared.run.name, direction=direction, load_if_exists=True)
    if study.direction.name.lower() != direction:
        raise SettingsError(
            f"The study in {wish.study} was begun to {study.direction.name.lower()} the metric.",
            "Say --minimize at every call or at none, or begin another study.",
        )
    # A stream of its own for every call; those of one call that are still open count as if they had scored badly, so they differ.
    study.sampler = optuna.samplers.TPESampler(seed=shared.run.seed + len(study.trials), constant_liar=True)
    return study


def _tell(study: Study, output: str) -> int:
    """Tell of the runs that have ended since the last call; how many."""
    from optuna.trial import TrialState

    store = open_store(uri.parse(output))
    there, told = set(audit.run_names(store)), 0
    for trial in study.get_trials(states=(TrialState.RUNNING,)):
        name = trial.user_attrs.get(RUN, "")
        if name not in there:
            continue
        found = compare.read(store, name)
        if found.value is not None:
            _check_direction(study, found)
            study.tell(trial.number, found.value)
            told += 1
        elif found.state == "failed":
            # A failure that is tried again may still score; Optuna takes a trial's end once.
            study.tell(trial.number, state=TrialState.FAIL)
            told += 1
    return told


def _check_direction(study: Study, found: Variant) -> None:
    greater = bool(found.evaluation["greater_is_better"])
    if greater != (study.direction.name == "MAXIMIZE"):
        raise SettingsError(
            f"{'More' if greater else 'Less'} of {found.evaluation['main_metric']} is better, and the study is to "
            f"{study.direction.name.lower()} it.",
            f"Begin another study, {'without' if greater else 'with'} --minimize.",
        )


def _ask(study: Study, space: dict[str, BaseDistribution], environ: Mapping[str, str], base: str) -> str:
    """One line of the variants file."""
    from optuna.trial import TrialState

    trial = study.ask(space)
    name = f"{base}-{trial.number}"
    variant = {NAME_VARIABLE: name} | {variable: _written(value) for variable, value in trial.params.items()}
    problems = _wrong({**environ, **variant})
    if problems:
        study.tell(trial.number, state=TrialState.FAIL)
        raise SettingsError(
            f"Values of the space do not go together: {'; '.join(problems)}", "Mend the space; the study knows of the failure."
        )
    trial.set_user_attr(RUN, name)
    return " ".join(f"{variable}={shlex.quote(value)}" for variable, value in variant.items())


def _sentence(study: Study, told: int, asked: int) -> str:
    done = [trial for trial in study.trials if trial.value is not None]
    open_now = len(study.trials) - sum(trial.state.is_finished() for trial in study.trials)
    said = f"{told} result(s) told, {len(done)} in all; {asked} new variant(s), {open_now} without a result."
    return f"{said} Best so far: {_best(study, done)}." if done else said


def _best(study: Study, done: list[FrozenTrial]) -> str:
    sign = -1 if study.direction.name == "MAXIMIZE" else 1
    best = min(done, key=lambda trial: (sign * (trial.value or 0.0), trial.number))
    return f"{best.user_attrs[RUN]}, {best.value:.4g}"
