import pytest

from job.settings import config_file

GROUPS = ("task", "run", "train")


@pytest.fixture
def said(tmp_path):
    """What a file with some content is read as."""

    def read(content):
        path = tmp_path / "job.yaml"
        path.write_text(content)
        return config_file.read(str(path), GROUPS)

    return read


def test_no_file_is_no_setting():
    assert config_file.read(None, GROUPS) == ({}, [])


def test_groups_are_read_and_empty_entries_are_not_set(said):
    assert said("task: sft\nrun:\ntrain: {epochs: 2, max_steps: }\n") == ({"task": "sft", "train": {"epochs": 2}}, [])


@pytest.mark.parametrize("content", ["", "# nothing\n", "---\n"])
def test_an_empty_file_sets_nothing(said, content):
    assert said(content) == ({}, [])


def test_an_unknown_group_is_named_and_the_others_are_read(said):
    values, problems = said("trian: {epochs: 1}\ntask: sft\n")
    assert values == {"task": "sft"}
    assert problems == ["`trian` (from JOB_CONFIG) is no group of settings. Nearest: `train`."]


def test_broken_yaml_is_said_with_its_place(said):
    values, (problem,) = said("run: {}\ntrain: [")
    assert values == {}
    assert problem == "JOB_CONFIG names a file that is not valid YAML at line 2, column 9."


def test_yaml_that_is_too_deep_is_said(said):
    assert said("train: " + "[" * 10_000)[1] == ["JOB_CONFIG names a file that is not valid YAML."]


def test_a_list_is_no_mapping(said):
    assert "must hold a mapping" in said("- a\n")[1][0]


def test_a_file_that_cannot_be_read(tmp_path):
    (tmp_path / "latin").write_bytes(b"\xff\xfe")
    for path, why in (
        (tmp_path, "Is a directory"),
        (tmp_path / "absent", "No such file or directory"),
        (tmp_path / "latin", "it is not UTF-8 text"),
    ):
        assert config_file.read(str(path), GROUPS) == ({}, [f"JOB_CONFIG names a file that cannot be read: {why}."])
