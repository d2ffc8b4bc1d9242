"""Environment in, settings out: the one place that reads ``JOB_*`` variables.

Sources, strongest first: the chosen variant of a sweep, the variable, the file that ``<variable>_FILE`` names, the YAML file
that ``JOB_CONFIG`` names, defaults.  An empty variable, and an empty entry of the YAML file, counts as not set.  Everything wrong is reported in one
message, without values; a group's rules between fields are checked once each of its fields is right by itself.  Standard
names (``AWS_*``, ``HF_*``) stay with the libraries they belong to.
"""

from __future__ import annotations

import difflib
import functools
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ValidationError
from pydantic_settings import BaseSettings, EnvSettingsSource, PydanticBaseSettingsSource, SettingsConfigDict

from job.errors import SettingsError
from job.settings import combinations, config_file, deepspeed, sweep
from job.settings.checkpoint import CheckpointSettings
from job.settings.config_file import CONFIG_VARIABLE
from job.settings.data import DataSettings
from job.settings.embedding import EmbeddingSettings
from job.settings.evaluation import EvalSettings
from job.settings.limits import LimitsSettings
from job.settings.metrics import MetricsSettings
from job.settings.model import ModelSettings
from job.settings.output import OutputSettings
from job.settings.parallel import ParallelSettings
from job.settings.preference import PreferenceSettings
from job.settings.run import RunSettings
from job.settings.sweep import SweepSettings
from job.settings.tagging import TaggingSettings
from job.settings.train import TrainSettings
from job.settings.tuning import TuningSettings

PREFIX = "JOB_"
DELIMITER = "__"
FILE_SUFFIX = "_FILE"
NOT_SETTINGS = frozenset({CONFIG_VARIABLE, "JOB_COMPLETION_INDEX", "JOB_SETTINGS_FILE"})
"""Names that begin like a setting and are none: ours for the YAML file, Kubernetes' for the pod's index, slurm/job.sbatch's environment file."""

Task = Literal["text-classification", "token-classification", "masked-lm", "causal-lm", "sft", "dpo", "kto", "reward", "embedding", "seq2seq"]  # fmt: skip


class Settings(BaseSettings):
    """All settings of one run."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        env_nested_delimiter=DELIMITER,
        frozen=True,
        extra="forbid",
        hide_input_in_errors=True,
        use_attribute_docstrings=True,
    )

    task: Task = "text-classification"
    """What the model learns to do."""

    run: RunSettings
    model: ModelSettings
    data: DataSettings
    tuning: TuningSettings = TuningSettings()
    train: TrainSettings = TrainSettings()
    eval: EvalSettings = EvalSettings()
    tagging: TaggingSettings = TaggingSettings()
    preference: PreferenceSettings = PreferenceSettings()
    embedding: EmbeddingSettings = EmbeddingSettings()
    checkpoint: CheckpointSettings = CheckpointSettings()
    output: OutputSettings
    parallel: ParallelSettings = ParallelSettings()
    limits: LimitsSettings = LimitsSettings()
    metrics: MetricsSettings = MetricsSettings()
    sweep: SweepSettings = SweepSettings()

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """No source but what `load` passes: nothing is read behind the caller's back."""
        return (init_settings,)


class _MappingSource(EnvSettingsSource):
    """pydantic-settings' own environment source over a given mapping instead of ``os.environ``."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = {name.lower(): value for name, value in environ.items()}
        super().__init__(Settings)

    def _load_env_vars(self) -> Mapping[str, str | None]:
        return self._environ


def load(environ: Mapping[str, str]) -> Settings:
    """Read and check the settings.

    Args:
        environ: the environment, or a test's mapping.

    Raises:
        SettingsError: naming everything that is wrong at once.
    """
    given = {name: value for name, value in environ.items() if value}
    problems = _unknown_variables(given)
    from_environ, more = _read_environment(given)
    from_file, still_more = config_file.read(given.get(CONFIG_VARIABLE), Settings.model_fields)
    merged, of_the_variant = _with_variant(_merge(from_file, from_environ), given)
    problems += more + still_more + of_the_variant
    try:
        settings = Settings(**merged)
        problems += deepspeed.problems(settings) + combinations.problems(settings)
    except ValidationError as error:
        problems += [_sentence(detail) for detail in error.errors(include_input=False, include_context=False, include_url=False)]
    if problems:
        lines = "\n".join(f"  - {problem}" for problem in problems)
        raise SettingsError(
            f"{len(problems)} setting{'s are' if len(problems) > 1 else ' is'} wrong or missing:\n{lines}",
            "`job settings` prints every setting with its meaning, type and default.",
        )
    return settings


@functools.cache
def variables() -> Mapping[str, type[BaseModel]]:
    """Every valid ``JOB_*`` variable, with the model that holds it."""
    known: dict[str, type[BaseModel]] = {variable(name): Settings for name in Settings.model_fields.keys() - _groups().keys()}
    for name, group in _groups().items():
        known |= {variable(name, inner): group for inner in group.model_fields}
    return known


@functools.cache
def _groups() -> Mapping[str, type[BaseModel]]:
    kinds = {name: field.annotation for name, field in Settings.model_fields.items()}
    return {name: kind for name, kind in kinds.items() if isinstance(kind, type) and issubclass(kind, BaseModel)}


def variable(*path: str | int) -> str:
    """The environment variable of a setting's path: ``("train", "epochs")`` → ``JOB_TRAIN__EPOCHS``."""
    return PREFIX + DELIMITER.join(str(part).upper() for part in path)


def _unknown_variables(environ: Mapping[str, str]) -> list[str]:
    known = variables()
    valid = {*known, *(f"{name}{FILE_SUFFIX}" for name in known), *NOT_SETTINGS}
    unknown = sorted(name for name in environ if name.upper().startswith(PREFIX) and name not in valid)
    return [f"{name} is no setting.{_nearest(name, known)}" for name in unknown]


def _nearest(name: str, known: Mapping[str, object]) -> str:
    near = difflib.get_close_matches(name.upper(), known, n=1, cutoff=0.6)
    return f" Nearest: {near[0]}." if near else ""


def _read_environment(environ: Mapping[str, str]) -> tuple[dict[str, Any], list[str]]:
    """The variables' values, those of ``*_FILE`` filled in where the variable itself is not there."""
    known = variables()
    values, problems = {name: value for name, value in environ.items() if name in known}, []
    for name in sorted(known.keys() - values.keys()):
        path = environ.get(name + FILE_SUFFIX)
        if path is None:
            continue
        try:
            values[name] = Path(path).read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            problems.append(f"{name}{FILE_SUFFIX} names a file that cannot be read: {config_file.reason(error)}.")
        else:
            problems += [] if values[name] else [f"{name}{FILE_SUFFIX} names a file that is empty."]
    return _MappingSource(values)() if values else {}, problems


def _merge(weak: dict[str, Any], strong: dict[str, Any]) -> dict[str, Any]:
    """``strong`` over ``weak``, group by group."""
    merged = dict(weak)
    for key, value in strong.items():
        below = merged.get(key)
        merged[key] = _merge(below, value) if isinstance(below, dict) and isinstance(value, dict) else value
    return merged


def _with_variant(merged: dict[str, Any], environ: Mapping[str, str]) -> tuple[dict[str, Any], list[str]]:
    """The settings with those of the chosen variant of a sweep over them."""
    variant, problems = sweep.chosen(merged, environ)
    values, more = _read_environment(variant)
    return _merge(merged, values), problems + _unknown_variables(variant) + more


def _sentence(detail: Mapping[str, Any]) -> str:
    """One pydantic error as a sentence that begins with the variable's name."""
    path, kind = detail["loc"], detail["type"]
    if kind == "missing":
        return f"{variable(*path) if len(path) > 1 else _required(str(path[0]))} is missing."
    if kind == "extra_forbidden":
        name = variable(*path)
        return f"{name} (from {CONFIG_VARIABLE}) is no setting.{_nearest(name, variables())}"
    if kind == "model_type":
        return f"`{path[0]}` (from {CONFIG_VARIABLE}) must be a group: its settings stand indented below it."
    message = str(detail["msg"]).removeprefix("Value error, ")
    of_a_group = kind == "value_error" and len(path) == 1
    return f"{message}." if of_a_group else f"{variable(*path[:2])}: {message}."


def _required(group: str) -> str:
    """A missing group is reported by its required fields, which is what the reader has to set."""
    return " and ".join(variable(group, name) for name, field in _groups()[group].model_fields.items() if field.is_required())
