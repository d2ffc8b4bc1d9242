import pathlib

import pytest

from job.errors import SettingsError
from job.settings import root
from tests.support.environments import MINIMAL, OTHER, TOGETHER, load, refusal

CANARY = "canary-7f3a91"


def problems(environ: dict[str, str]) -> str:
    with pytest.raises(SettingsError) as raised:
        root.load(environ)
    return str(raised.value)


def config(tmp_path: pathlib.Path, text: str) -> str:
    path = tmp_path / "job.yaml"
    path.write_text(text)
    return str(path)


def test_defaults_fill_what_is_not_said():
    settings = root.load(MINIMAL)
    assert (settings.run.name, settings.task, settings.train.epochs) == ("first", "text-classification", 3.0)


def test_every_variable_has_a_second_value_here():
    assert set(OTHER) == set(root.variables())


@pytest.mark.parametrize("name", OTHER)
def test_a_variable_sets_its_field(name):
    settings = root.load(MINIMAL | TOGETHER.get(name, {}) | {name: OTHER[name]})
    group, _, field = name.removeprefix("JOB_").lower().partition("__")
    value = getattr(settings, group) if not field else getattr(getattr(settings, group), field)
    assert value is not None
    if name != "JOB_TASK":
        assert value != getattr(getattr(root.load(MINIMAL), group), field)


def test_the_variable_is_stronger_than_its_file_and_both_than_yaml(tmp_path):
    (tmp_path / "epochs").write_text("2\n")
    yaml = config(tmp_path, "train:\n  epochs: 1\n  learning_rate: 2e-5\n")
    environ = MINIMAL | {"JOB_CONFIG": yaml}
    assert root.load(environ).train.epochs == 1
    environ["JOB_TRAIN__EPOCHS_FILE"] = str(tmp_path / "epochs")
    assert root.load(environ).train.epochs == 2
    environ["JOB_TRAIN__EPOCHS"] = "3.5"
    assert (root.load(environ).train.epochs, root.load(environ).train.learning_rate) == (3.5, 2e-5)


def test_a_whole_run_from_yaml(tmp_path):
    text = """
run: {name: first}
model: {uri: org/name}
data: {train_uri: [a.csv, b.csv], header: no, column_names: [text, label], quoting: none}
output: {uri: published}
train: {max_steps: }
limits:
"""
    settings = root.load({"JOB_CONFIG": config(tmp_path, text)})
    assert settings.data.train_uri == ("a.csv", "b.csv")
    assert (settings.data.header, settings.data.quoting, settings.train.max_steps) == (False, "none", None)


def test_empty_counts_as_not_set(tmp_path):
    (tmp_path / "name").write_text("from-file")
    empty = {"JOB_CONFIG": "", "JOB_TRAIN__EPOCHS": "", "JOB_TRAIN__SCHEDULE_FILE": "", "JOB_RUN__NAME": ""}
    settings = root.load(MINIMAL | empty | {"JOB_RUN__NAME_FILE": str(tmp_path / "name")})
    assert (settings.train.epochs, settings.run.name) == (3.0, "from-file")
    assert "JOB_MODEL__URI is missing" in problems(MINIMAL | {"JOB_MODEL__URI": ""})


def test_everything_wrong_is_said_at_once():
    text = problems(
        {"JOB_TRAIN__EPOCHS": "many", "JOB_RUN__SEED": "-1", "JOB_MODEL__URI": "x", "JOB_TYPO": "x", "JOB_TASK": "none"}
    )
    for name in (
        "JOB_TRAIN__EPOCHS",
        "JOB_RUN__SEED",
        "JOB_RUN__NAME",
        "JOB_DATA__TRAIN_URI",
        "JOB_OUTPUT__URI",
        "JOB_TYPO",
        "JOB_TASK",
    ):
        assert name in text
    assert text.startswith("7 settings are wrong or missing")
    assert SettingsError.exit_code == 64


@pytest.mark.parametrize(
    ("wrong", "nearest"),
    [
        ("JOB_TRAIN__LEARNING_RAET", "JOB_TRAIN__LEARNING_RATE"),
        ("JOB_LEARNING_RATE", "JOB_TRAIN__LEARNING_RATE"),
        ("JOB_TRAIN_EPOCHS", "JOB_TRAIN__EPOCHS"),
        ("job_train__epochs", "JOB_TRAIN__EPOCHS"),
        ("Job_Data__Text_Column", "JOB_DATA__TEXT_COLUMN"),
        ("JOB_TRAIN__EPOCHS__X", "JOB_TRAIN__EPOCHS"),
    ],
)
def test_an_unknown_variable_is_told_the_nearest(wrong, nearest):
    assert f"{wrong} is no setting. Nearest: {nearest}." in problems(MINIMAL | {wrong: "1"})


def test_a_group_cannot_be_given_as_a_whole():
    assert "JOB_TRAIN is no setting" in problems(MINIMAL | {"JOB_TRAIN": '{"epochs": 1}'})


def test_names_of_others_are_left_alone():
    root.load(MINIMAL | {"JOB_COMPLETION_INDEX": "0", "AWS_REGION": "x", "HF_TOKEN": "x", "JOBS": "4"})


def test_no_value_is_ever_echoed():
    """The canary stands in every variable in turn, beside another wrong setting: free texts are right with any value."""
    for name in OTHER:
        environ = MINIMAL | {"JOB_LIMITS__STALL_TIMEOUT_S": "-1"} | {name: CANARY}
        assert CANARY not in problems(environ), name
        assert CANARY not in problems(environ | {name: f"ftp://{CANARY}@host/"}), name


def test_no_value_from_a_file_or_from_yaml_is_echoed_either(tmp_path):
    (tmp_path / "value").write_text(CANARY)
    for name in OTHER:
        environ = {**MINIMAL, f"{name}_FILE": str(tmp_path / "value"), "JOB_LIMITS__STALL_TIMEOUT_S": "-1"}
        environ.pop(name, None)
        assert CANARY not in problems(environ), name
        group, _, field = name.removeprefix("JOB_").lower().partition("__")
        text = f"{group}: {{{field}: [{CANARY}, {{a: {CANARY}}}]}}" if field else f"{group}: {CANARY}"
        environ = {**MINIMAL, "JOB_CONFIG": config(tmp_path, text), "JOB_LIMITS__STALL_TIMEOUT_S": "-1"}
        environ.pop(name, None)
        assert CANARY not in problems(environ), name


def test_credentials_do_not_belong_in_a_uri():
    text = problems(MINIMAL | {"JOB_OUTPUT__URI": f"s3://key:{CANARY}@bucket/prefix"})
    assert "JOB_OUTPUT__URI: a URI holds no credentials" in text
    assert CANARY not in text


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("train: [", "not valid YAML at line"),
        ("- a\n- b\n", "must hold a mapping of groups"),
        ("train: 3\n", "`train` (from JOB_CONFIG) must be a group"),
        ("trian: {epochs: 1}\n", "`trian` (from JOB_CONFIG) is no group of settings. Nearest: `train`."),
        ("train: {epoch: 1}\n", "JOB_TRAIN__EPOCH (from JOB_CONFIG) is no setting. Nearest: JOB_TRAIN__EPOCHS."),
        ("_env_file: /etc/passwd\n", "`_env_file` (from JOB_CONFIG) is no group"),
        ("train: {epochs: [1, 2]}\n", "JOB_TRAIN__EPOCHS: Input should be a valid number."),
    ],
)
def test_what_can_be_wrong_with_the_yaml_file(content, said, tmp_path):
    assert said in problems(MINIMAL | {"JOB_CONFIG": config(tmp_path, content)})


@pytest.mark.parametrize("name", ["JOB_CONFIG", "JOB_TRAIN__EPOCHS_FILE"])
def test_files_that_cannot_be_read(name, tmp_path):
    (tmp_path / "latin").write_bytes(b"\xff\xfe")
    for path, reason in ((tmp_path, "Is a directory"), (tmp_path / "absent", "No such file"), (tmp_path / "latin", "not UTF-8")):
        text = problems(MINIMAL | {name: str(path)})
        assert f"{name} names a file that cannot be read: " in text
        assert reason in text


def test_an_empty_secret_file_is_an_error(tmp_path):
    (tmp_path / "token").write_text("\n")
    assert "JOB_MODEL__HUB_TOKEN_FILE names a file that is empty" in refusal(MODEL__HUB_TOKEN_FILE=str(tmp_path / "token"))


def test_an_unknown_file_variable_is_unknown():
    assert "JOB_TRAIN__EPOCH_FILE is no setting" in refusal(TRAIN__EPOCH_FILE="x")


def test_settings_cannot_be_changed():
    with pytest.raises(ValueError, match="frozen"):
        load().train = None  # type: ignore[assignment]


def test_the_environment_of_the_process_is_not_read(monkeypatch):
    monkeypatch.setenv("JOB_TRAIN__EPOCHS", "9")
    monkeypatch.setenv("JOB_UNKNOWN", "9")
    assert root.load(MINIMAL).train.epochs == 3
