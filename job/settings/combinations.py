"""Which task goes with which method and which engine: the one table, from which the refusals and ``docs/matrix.md`` are made.

What a test trains is let through (``tests/integration/test_matrix.py``), and anything else is refused with the reason.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from job.settings.deepspeed import DEFAULT_STAGE

if TYPE_CHECKING:
    from job.settings.root import Settings

TRIED_TASKS = (
    "text-classification",
    "token-classification",
    "masked-lm",
    "causal-lm",
    "sft",
    "dpo",
    "kto",
    "reward",
    "embedding",
    "seq2seq",
)
"""Tasks that are tried with every method and engine."""
FEATURE_TASKS = ("text-classification", "token-classification")
METHODS = ("full", "freeze", "lora", "qlora")
ENGINES = {"single": "one process", "ddp": "DDP", "zero1": "ZeRO-1", "zero2": "ZeRO-2", "zero3": "ZeRO-3"}
"""Engines by the job's name, and what people call them."""
TESTED_ENGINES = ("single", "ddp", "zero2", "zero3")
"""Those of which every cell has a test; ZeRO-1 shares ZeRO-2's code."""
NEEDS_GPU = "JOB_TUNING__METHOD=qlora needs a GPU, whose memory it is made to spare. Without one the start is refused."
"""Not known from the settings alone, so `job.stages.feasibility` says it."""
_DEEPSPEED = ("zero1", "zero2", "zero3")


def refusal(task: str, method: str, engine: str) -> str:
    """Why a combination is not there, as a sentence that says what to do instead; empty where it is.

    Args:
        task: as in ``JOB_TASK``.
        method: as in ``JOB_TUNING__METHOD``.
        engine: one of `ENGINES`.
    """
    if task not in TRIED_TASKS and (method != "full" or engine in _DEEPSPEED):
        return (
            f"JOB_TASK={task} is tried with JOB_TUNING__METHOD=full on one process and with DDP only: "
            "use JOB_TUNING__METHOD=full and JOB_PARALLEL__ENGINE=auto, single or ddp."
        )
    if method == "qlora" and engine in _DEEPSPEED:
        return (
            "JOB_PARALLEL__ENGINE=deepspeed does not take JOB_TUNING__METHOD=qlora: it would part and cast weights that "
            "bitsandbytes has packed into 4 bits. Use JOB_PARALLEL__ENGINE=auto, single or ddp, or JOB_TUNING__METHOD=lora."
        )
    return ""


def features_refusal(task: str, engine: str) -> str:
    """Why ``JOB_TUNING__CACHE_FEATURES`` does not go with a task or an engine; empty where it does."""
    if task not in FEATURE_TASKS:
        return (
            f"JOB_TUNING__CACHE_FEATURES is for JOB_TASK={' and '.join(FEATURE_TASKS)}, which ask the model the same of an example in every "
            f"epoch, and JOB_TASK is {task}. Leave it out."
        )
    if engine in _DEEPSPEED:
        return (
            "JOB_PARALLEL__ENGINE=deepspeed does not take JOB_TUNING__CACHE_FEATURES: a head is trained that any process has room for. "
            "Use JOB_PARALLEL__ENGINE=auto, single or ddp."
        )
    return ""


def refusals(settings: Settings, engine: str) -> list[str]:
    """What these settings and an engine are refused for, as sentences."""
    found = [refusal(settings.task, settings.tuning.method, engine)]
    if settings.tuning.cache_features:
        found.append(features_refusal(settings.task, engine))
    return [each for each in found if each]


def problems(settings: Settings) -> list[str]:
    """The refusals of what the settings ask for; ``auto`` asks for no engine, and takes none that is refused."""
    stage = settings.parallel.zero_stage or DEFAULT_STAGE
    asked = {"auto": "single", "deepspeed": f"zero{stage}"}.get(settings.parallel.engine, settings.parallel.engine)
    return refusals(settings, asked)
