import json

from job.settings import describe, root
from tests.support.environments import MINIMAL, OTHER, load


def entries():
    return {entry.variable: entry for section in describe.sections() for entry in section.entries}


def test_every_variable_is_described_once():
    found = [entry.variable for section in describe.sections() for entry in section.entries]
    assert sorted(found) == sorted(root.variables())
    assert all(entry.meaning for entry in entries().values())


def test_type_bounds_and_default_in_words():
    assert (entries()["JOB_TRAIN__LEARNING_RATE"].kind, entries()["JOB_TRAIN__LEARNING_RATE"].default) == (
        "number > 0 ≤ 1",
        "5e-05",
    )
    assert entries()["JOB_TRAIN__SCHEDULE"].kind == "`linear` | `cosine` | `constant`"
    assert entries()["JOB_MODEL__HUB_TOKEN"].kind == "secret"
    assert entries()["JOB_RUN__NAME"].default is None
    assert entries()["JOB_TRAIN__MAX_STEPS"].default == ""


def test_the_table_has_one_row_of_four_cells_for_each_variable():
    rows = [line for line in describe.table().splitlines() if line.startswith("| `JOB_")]
    assert len(rows) == len(root.variables())
    assert all(row.replace("\\|", "").count("|") == 5 for row in rows)
    assert "| `JOB_MODEL__URI` | text | **required** |" in describe.table()


def test_the_environment_file_holds_the_defaults():
    lines = [line for line in describe.env_file().splitlines() if line.lstrip("#").startswith("JOB_")]
    values = dict(line.lstrip("#").split("=", 1) for line in lines)
    assert set(values) == set(root.variables())
    assert {line.rstrip("=") for line in lines if line.startswith("JOB_")} == set(MINIMAL)
    assert root.load(values | MINIMAL) == root.load(MINIMAL)


def test_the_schema_is_json_and_lists_the_groups():
    schema = json.loads(json.dumps(describe.json_schema()))
    assert set(schema["properties"]) == set(root.Settings.model_fields)


def test_resolved_values_load_again_and_hide_secrets():
    settings = load(MODEL__HUB_TOKEN="hf_sesame", DATA__TRAIN_URI="a.csv,b.csv", TRAIN__EPOCHS="2")
    text = describe.resolved_table(settings)
    assert "sesame" not in text
    assert "JOB_MODEL__HUB_TOKEN=**********" in text
    values = dict(line.split("=", 1) for line in text.splitlines() if not line.startswith("#"))
    assert root.load(values | {"JOB_MODEL__HUB_TOKEN": "hf_sesame"}) == settings
    assert values.keys() == OTHER.keys()
