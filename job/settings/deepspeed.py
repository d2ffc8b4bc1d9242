"""A user's own DeepSpeed JSON file: read, and held against what the job's settings decide.

The rules: what the file says beyond the job's settings is taken over.  What the job's settings decide may be left out, be
``auto``, or say the same; anything else is an error that names both places.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from job.settings.root import Settings

DEFAULT_STAGE = 2
_VARIABLE = "JOB_PARALLEL__DEEPSPEED_CONFIG"
_ABSENT = object()


def read(path: Path) -> dict[str, Any]:
    """The file's object.

    Raises:
        ValueError: a sentence that says what is wrong with it.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ValueError(f"{_VARIABLE} names a file that cannot be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{_VARIABLE} names a file that is not valid JSON") from error
    if not isinstance(content, dict):
        raise ValueError(f"{_VARIABLE} must name a file with a JSON object")  # noqa: TRY004 - one kind of error for the caller
    return content


def problems(settings: Settings) -> list[str]:
    """Sentences about what is wrong with the file that the settings name, or contradicts them; empty without a file."""
    if settings.parallel.deepspeed_config is None:
        return []
    try:
        content = read(Path(settings.parallel.deepspeed_config))
    except ValueError as error:
        return [f"{error}."]
    return [
        f"`{'.'.join(path)}` in the file of {_VARIABLE} contradicts {variable}: leave it out of the file, or write `auto`."
        for path, (variable, agrees) in _owned(settings).items()
        if (found := _at(content, path)) is not _ABSENT and found != "auto" and not agrees(found)
    ]


Rule = tuple[str, Callable[[Any], bool]]
"""The setting that decides, and whether a value of the file says the same."""


def _owned(settings: Settings) -> dict[tuple[str, ...], Rule]:
    train, parallel = settings.train, settings.parallel

    def never(_: Any) -> bool:
        return False

    def precision(name: str) -> Rule:
        asked = train.precision

        def agrees(section: Any) -> bool:
            on = isinstance(section, dict) and section.get("enabled", False)
            return on == "auto" or (asked != "auto" and bool(on) == (asked == name)) or (asked == "auto" and not on)

        return "JOB_TRAIN__PRECISION", agrees

    def offload(variable: str, *, asked: bool) -> Rule:
        def agrees(section: Any) -> bool:
            return isinstance(section, dict) and section.get("device", "none") == ("cpu" if asked else "none")

        return f"JOB_PARALLEL__{variable}", agrees

    return {
        ("train_batch_size",): ("JOB_TRAIN__GLOBAL_BATCH_SIZE", lambda value: value == train.global_batch_size),
        ("train_micro_batch_size_per_gpu",): ("JOB_TRAIN__MICRO_BATCH_SIZE", lambda value: value == train.micro_batch_size),
        ("gradient_accumulation_steps",): ("JOB_TRAIN__GLOBAL_BATCH_SIZE, from which the job derives it", never),
        ("gradient_clipping",): ("JOB_TRAIN__MAX_GRAD_NORM", lambda value: value == train.max_grad_norm),
        ("optimizer",): ("the job's own AdamW (JOB_TRAIN__LEARNING_RATE and its like)", never),
        ("scheduler",): ("JOB_TRAIN__SCHEDULE", never),
        ("bf16",): precision("bf16"),
        ("fp16",): precision("fp16"),
        ("torch_autocast",): ("JOB_TRAIN__PRECISION", never),
        ("zero_optimization", "stage"): (
            "JOB_PARALLEL__ZERO_STAGE",
            lambda value: value == (parallel.zero_stage or DEFAULT_STAGE),
        ),
        ("zero_optimization", "offload_optimizer"): offload("OFFLOAD_OPTIMIZER", asked=parallel.offload_optimizer),
        ("zero_optimization", "offload_param"): offload("OFFLOAD_PARAMETERS", asked=parallel.offload_parameters),
    }


def _at(content: Mapping[str, Any], path: tuple[str, ...]) -> Any:
    found: Any = content
    for name in path:
        if not isinstance(found, dict) or name not in found:
            return _ABSENT
        found = found[name]
    return found
