"""The tasks, one file each, and the table that finds them by the name in ``JOB_TASK``.

A new task is one file beside this one with the three parts that `TaskKind` names, one line in `TASKS`, its name in
`job.settings.root.Task`, and the fields of `job.settings.data.DataSettings` that name its columns.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from job.records import PreparedData
from job.settings.root import Settings
from job.workers.tasks.appraisal import Appraisal
from job.workers.tasks.base import Task
from job.workers.tasks.causal_lm import CausalAppraisal, CausalLM, Documents
from job.workers.tasks.masked_lm import MaskedAppraisal, MaskedDocuments, MaskedLM
from job.workers.tasks.preparation import Preparation
from job.workers.tasks.sft import Conversations, SupervisedAppraisal, SupervisedLM
from job.workers.tasks.text_classification import ClassificationAppraisal, LabelledTexts, TextClassification
from job.workers.tokenization import TokenizerSetup


@dataclass(frozen=True)
class TaskKind:
    """The three parts of a task: `Preparation`, `Task`, `Appraisal`."""

    prepare: Callable[[Settings, TokenizerSetup], Preparation]
    train: Callable[[Settings, PreparedData, Any], Task]
    appraise: Callable[[Any], Appraisal]


TASKS: dict[str, TaskKind] = {
    "text-classification": TaskKind(LabelledTexts, TextClassification, ClassificationAppraisal),
    "masked-lm": TaskKind(MaskedDocuments, MaskedLM, MaskedAppraisal),
    "causal-lm": TaskKind(Documents, CausalLM, CausalAppraisal),
    "sft": TaskKind(Conversations, SupervisedLM, SupervisedAppraisal),
}


def make_preparation(settings: Settings, setup: TokenizerSetup) -> Preparation:
    """The preparation of the task that the settings name."""
    return TASKS[settings.task].prepare(settings, setup)


def make_task(settings: Settings, prepared: PreparedData, tokenizer: Any) -> Task:
    """Make the task that the settings name.

    Raises:
        SettingsError: when the settings ask the task for something it does not do.
    """
    return TASKS[settings.task].train(settings, prepared, tokenizer)


def make_appraisal(settings: Settings, task: Task) -> Appraisal:
    """The appraisal of the task that the settings name."""
    return TASKS[settings.task].appraise(task)
