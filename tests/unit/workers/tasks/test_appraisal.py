"""Every task's appraisal has every part."""

import pyarrow as pa
import pytest

from job.workers.tasks import TASKS
from job.workers.tasks.appraisal import Appraisal, Findings

METHODS = [name for name in vars(Appraisal) if callable(getattr(Appraisal, name)) and not name.startswith("_")]


@pytest.mark.parametrize("name", TASKS)
def test_a_task_has_every_part(name):
    kind = TASKS[name].appraise
    assert [method for method in METHODS if not callable(getattr(kind, method, None))] == []
    assert kind.pipeline_tag


def test_findings_may_have_no_mistakes():
    assert Findings(pa.table({"id": ["a"]})).mistakes == []
