import pytest

from job.errors import SettingsError
from job.settings import resolved, root, sweep
from tests.support.environments import MINIMAL


@pytest.fixture
def variants(tmp_path):
    path = tmp_path / "variants.txt"
    path.write_text(
        "# rates\nJOB_TRAIN__LEARNING_RATE=1e-5\n\nJOB_TRAIN__LEARNING_RATE=2e-5 JOB_RUN__SEED=7\nJOB_RUN__NAME=mine JOB_RUN__SEED=8\n"
    )
    return path


def sweeping(variants, **more: str) -> root.Settings:
    return root.load(MINIMAL | {"JOB_SWEEP__VARIANTS_PATH": str(variants)} | more)


def refusal(variants, **more: str) -> str:
    with pytest.raises(SettingsError) as raised:
        sweeping(variants, **more)
    return str(raised.value)


@pytest.mark.parametrize("name", ["JOB_SWEEP__INDEX", *sweep.SCHEDULERS_INDEX])
def test_the_index_chooses_the_variant_and_names_the_run(variants, name):
    settings = sweeping(variants, **{name: "1"})
    assert (settings.run.name, settings.run.seed, settings.train.learning_rate) == ("first-1", 7, 2e-5)


def test_the_setting_is_stronger_than_the_schedulers_index(variants):
    assert sweeping(variants, JOB_SWEEP__INDEX="0", SLURM_ARRAY_TASK_ID="1").run.name == "first-0"


def test_a_variant_is_stronger_than_a_variable_and_may_name_its_run(variants):
    settings = sweeping(variants, JOB_COMPLETION_INDEX="2", JOB_RUN__SEED="3")
    assert (settings.run.name, settings.run.seed) == ("mine", 8)


def test_from_yaml_and_index_zero(variants, tmp_path):
    (tmp_path / "job.yaml").write_text(f"sweep: {{variants_path: {variants}, index: 0}}\n")
    assert root.load(MINIMAL | {"JOB_CONFIG": str(tmp_path / "job.yaml")}).run.name == "first-0"


def test_without_a_file_the_schedulers_index_says_nothing():
    assert root.load(MINIMAL | {"JOB_COMPLETION_INDEX": "3"}).run.name == "first"


def test_the_workers_read_the_resolved_run(variants, tmp_path):
    settings = sweeping(variants, JOB_COMPLETION_INDEX="1")
    (tmp_path / "settings.json").write_text(settings.model_dump_json())
    assert resolved.read(tmp_path / "settings.json").run.name == "first-1"


@pytest.mark.parametrize("index", ["", "3", "-1", "x"])
def test_an_index_that_chooses_nothing_is_refused(variants, index):
    assert "which of the 3 variants" in refusal(variants, JOB_COMPLETION_INDEX=index)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("JOB_TRAIN__EPOCHS", "Line 1 of the file"),
        ("learning_rate=3", "Line 1 of the file"),
        ("JOB_RUN__SEED='1", "Line 1 of the file"),
        ("JOB_TRAIN__EPOCH=1", "JOB_TRAIN__EPOCH is no setting. Nearest"),
        ("JOB_TRAIN__EPOCHS=-1", "JOB_TRAIN__EPOCHS"),
        ("JOB_SWEEP__INDEX=1", "a setting of the sweep itself"),
        ("JOB_RUN__NAME=a\nJOB_RUN__NAME=a", "the same JOB_RUN__NAME"),
    ],
)
def test_a_wrong_line_is_named(tmp_path, line, said):
    path = tmp_path / "variants.txt"
    path.write_text(line + "\n")
    assert said in refusal(path, JOB_COMPLETION_INDEX="0")


def test_a_file_that_cannot_be_read_is_said(tmp_path):
    assert "cannot be read" in refusal(tmp_path / "none.txt", JOB_COMPLETION_INDEX="0")
