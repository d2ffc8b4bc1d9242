"""``job suggest``: the next variants of a sweep, chosen by an Optuna study from what earlier variants scored.

The study is a journal file of Optuna's.  It is told the main metrics of the published runs, read as `job compare` reads them, and
asked for lines of the same variants file that any sweep has.  It starts nothing, and nothing waits for it: a sweep by hand and one by
Optuna are the same jobs.  Optuna is an extra of the package and is imported here and in `job.inspection.search_space` alone.
"""

from __future__ import annotations

import importlib.util
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from job import run_dir as run_dirs
from job.errors import ERRORS, DataError, Retry, SettingsError
from job.inspection import compare, search_space
from job.inspection.search_space import written, wrong
from job.reporting.comparison import Variant
from job.settings import root
from job.settings.sweep import NAME_VARIABLE
from job.storage import audit, disk, uri
from job.storage.base import Store
from job.storage.log import Log
from job.storage.stores import open_store

if TYPE_CHECKING:
    from optuna import Study
    from optuna.distributions import BaseDistribution
    from optuna.trial import FrozenTrial

RUN = "run"
"""Attribute of a trial: the name of its run."""
SCORED = "scored"
"""Attribute of a study: what its values are, in words."""


@dataclass(frozen=True)
class Wish:
    """What is asked for.

    Attributes:
        space: YAML file: each variable with ``low`` and ``high`` (whole numbers give whole numbers), ``log`` or ``step``; or ``choices``.
        study: Optuna's journal file; made by the first call.
        count: variants wanted.
        minimize: whether less of the main metric is better.
        output: the variants file; None for none.
    """

    space: Path
    study: Path
    count: int
    minimize: bool
    output: Path | None = None


def suggest(environ: Mapping[str, str], wish: Wish) -> tuple[str, str]:
    """Tell the study what is known by now, and ask it for more.

    Args:
        environ: the settings that all variants share, by variable.
        wish: the rest.

    Returns:
        Lines of a variants file, and a sentence about the study.

    Raises:
        SettingsError: Optuna is not installed; the shared settings, the space, or a value of it are wrong; the variants file exists.
        DataError: what the study is to be told, or its name for a run, belongs to something else.
        DeniedError, UnavailableError, LocalIOError: as the store and the disk say.
    """
    if importlib.util.find_spec("optuna") is None:
        raise SettingsError("`job suggest` needs Optuna, which is not installed.", "pip install 'finetune-job[sweep]'")
    if wish.count < 1:
        raise SettingsError("--count must be 1 or more.")
    if wish.output is not None and wish.output.exists():
        raise SettingsError(
            f"{wish.output} is there already, and a run of an earlier round that is requeued reads its line of it again.",
            "Give each round a file of its own.",
        )
    shared = root.load(environ)
    space = search_space.read(wish.space, environ)
    study = _study(wish, shared)
    store = open_store(uri.parse(shared.output.uri))
    there = frozenset(audit.run_names(store))
    told = _tell(study, store, there)
    text = "".join(f"{_ask(study, space, environ, there)}\n" for _ in range(wish.count))
    if wish.output is not None:
        with disk.border(str(wish.output), writing=True):
            run_dirs.write_bytes(wish.output, text.encode())
    return text, _sentence(study, told, wish.count)


def _study(wish: Wish, shared: root.Settings) -> Study:
    import optuna
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    direction: Literal["minimize", "maximize"] = "minimize" if wish.minimize else "maximize"
    with disk.border(str(wish.study), writing=True):
        try:
            storage = JournalStorage(JournalFileBackend(str(wish.study)))
            study = optuna.create_study(storage=storage, study_name=shared.run.name, direction=direction, load_if_exists=True)
        except (ValueError, KeyError, TypeError, AssertionError) as error:  # what Optuna makes of a foreign file
            raise SettingsError(f"{wish.study} is no journal of Optuna's.", "Name another file with --study.") from error
    if study.direction.name.lower() != direction:
        raise SettingsError(
            f"The study in {wish.study} was begun to {study.direction.name.lower()} the metric.",
            "Say --minimize at every call or at none, or begin another study.",
        )
    # A stream of its own for every call; those of one call that are still open count as if they had scored badly, so they differ.
    study.sampler = optuna.samplers.TPESampler(seed=shared.run.seed + len(study.trials), constant_liar=True)
    return study


def _tell(study: Study, store: Store, there: frozenset[str]) -> int:
    """Tell of the runs that have ended since the last call; how many."""
    from optuna.trial import TrialState

    told = 0
    for trial in study.get_trials(states=(TrialState.RUNNING,)):
        name = trial.user_attrs.get(RUN, "")
        if name not in there:
            continue
        found = compare.read(store, name)
        if found.value is not None:
            _check_score(study, found)
            study.tell(trial.number, found.value)
        elif _failed_for_good(store, name):
            study.tell(trial.number, state=TrialState.FAIL)
        else:
            continue
        told += 1
    return told


def _failed_for_good(store: Store, name: str) -> bool:
    """Whether a run ended so that trying again would end the same way; Optuna takes a trial's end once."""
    last = Log(store, f"{name}/").read()[-1]
    kind = ERRORS.get(int(last.fields.get("code") or 0)) if last.kind == "failed" else None
    return kind is not None and kind.retry is Retry.NEVER


def _check_score(study: Study, found: Variant) -> None:
    """See that a score is of the metric and the examples that the study knows, and better in the study's direction."""
    scored = "{main_metric} of {num_examples} examples ({split})".format(**found.evaluation)
    known = study.user_attrs.get(SCORED, scored)
    if known != scored:
        raise DataError(
            f"The study compares {known}, and {found.name} has {scored}.", "Runs of one study need the same test data and JOB_TASK."
        )
    _check_direction(study, found)
    study.set_user_attr(SCORED, scored)


def _check_direction(study: Study, found: Variant) -> None:
    greater = bool(found.evaluation["greater_is_better"])
    if greater != (study.direction.name == "MAXIMIZE"):
        raise SettingsError(
            f"{'More' if greater else 'Less'} of {found.evaluation['main_metric']} is better, and the study is to "
            f"{study.direction.name.lower()} it.",
            f"Begin another study, {'without' if greater else 'with'} --minimize.",
        )


def _ask(study: Study, space: dict[str, BaseDistribution], environ: Mapping[str, str], there: frozenset[str]) -> str:
    """One line of the variants file."""
    from optuna.trial import TrialState

    trial = study.ask(space)
    name = f"{study.study_name}-{trial.number}"
    if name in there:
        study.tell(trial.number, state=TrialState.FAIL)
        raise DataError(
            f"There is a run {name} already, which this study did not ask for.",
            "Give the study's runs a JOB_RUN__NAME of their own.",
        )
    variant = {NAME_VARIABLE: name} | {variable: written(value) for variable, value in trial.params.items()}
    problems = wrong({**environ, **variant})
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
