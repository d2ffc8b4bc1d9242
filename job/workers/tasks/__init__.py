"""The tasks, one file each, and the table that finds them by the name in ``JOB_TASK``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from job.records import PreparedData
from job.settings.root import Settings
from job.workers.tasks.base import Task
from job.workers.tasks.text_classification import TextClassification

TASKS: dict[str, Callable[[Settings, PreparedData, Any], Task]] = {
    "text-classification": TextClassification,
}


def make_task(settings: Settings, prepared: PreparedData, tokenizer: Any) -> Task:
    """Make the task that the settings name.

    Raises:
        SettingsError: when the settings ask the task for something it does not do.
    """
    return TASKS[settings.task](settings, prepared, tokenizer)
