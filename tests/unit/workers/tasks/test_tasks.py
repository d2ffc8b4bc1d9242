"""The table of tasks and the setting that names one are the same list."""

from types import SimpleNamespace
from typing import get_args

from job.records import PreparedData
from job.settings.root import Task as TaskName
from job.workers.tasks import TASKS, make_task
from tests.support import tiny


def test_every_task_of_the_settings_is_in_the_table():
    assert set(TASKS) == set(get_args(TaskName))


def test_the_settings_choose(tmp_path):
    prepared = PreparedData({"train": 2}, {"train": 9}, "single_label", ["a", "b"], [1, 1], 8, "0")
    task = make_task(tiny.settings(tmp_path), prepared, SimpleNamespace())
    assert type(task) is TASKS["text-classification"].train
    assert task.prepared is prepared
