"""Every task's preparation, driven as the prepare program drives it: the parts of the protocol are there and agree."""

import pyarrow as pa
import pytest

from job.workers.readers.base import ID_ROLE
from job.workers.rows import schema_of
from job.workers.tasks import TASKS
from job.workers.tasks.preparation import Preparation

METHODS = [name for name in vars(Preparation) if callable(getattr(Preparation, name)) and not name.startswith("_")]


@pytest.mark.parametrize("name", TASKS)
def test_a_task_has_every_part(name):
    kind = TASKS[name].prepare
    assert [method for method in METHODS if not callable(getattr(kind, method, None))] == []


def test_roles_make_a_schema():
    roles = TASKS["text-classification"].prepare.roles
    assert roles["id"] == ID_ROLE
    assert schema_of(roles).field("text").type == pa.large_string()
