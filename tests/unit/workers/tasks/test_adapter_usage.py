"""The code is run in ``tests/integration/test_task_methods.py``."""

import ast

import pytest

from job.workers.tasks import TASKS
from job.workers.tasks.adapter_usage import adapter_usage


@pytest.mark.parametrize("task", ["token-classification", "reward"])
def test_labels_are_said(task):
    code = adapter_usage(task, ["O", "B-it's"])
    ast.parse(code)
    assert """{0: 'O', 1: "B-it's"}""" in code
    assert code.count("{model}") == 1
    assert "merge_and_unload" in code


def test_other_tasks_need_no_other_code():
    assert {task for task in TASKS if adapter_usage(task, [])} == {"token-classification", "reward"}
