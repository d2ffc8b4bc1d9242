"""Every recipe, and the README's example, is a set of settings that the job accepts."""

import re

import pytest

from job.errors import SettingsError
from job.settings import root
from tests.support import house

RECIPES = sorted((house.ROOT / "docs/recipes").glob("*.env"))
README_EXAMPLE = re.search(r"```sh\n((?:export )?JOB_.*?)```", (house.ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL)


def environment(text: str) -> dict[str, str]:
    """An environment file as ``docker run --env-file`` reads it: no quotes, no comments behind a value."""
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    return dict(line.split("=", 1) for line in lines)


def test_the_recipes_are_there():
    expected = {"distilbert-own-csv", "distilbert-imdb-folder", "distilbert-imdb-csv", "gpt2-tweets", "lora-distilbert"}
    assert {path.stem for path in RECIPES} >= expected


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_a_recipe_is_accepted(path):
    values = environment(path.read_text(encoding="utf-8"))
    settings = root.load(values)
    assert settings.run.name == path.stem
    assert all(re.fullmatch(r"[\w./:,*@-]+", value, re.ASCII) for value in values.values()), "a shell would read it differently"


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_a_recipe_shows_its_data(path):
    head = path.read_text(encoding="utf-8").split("\nJOB_")[0].splitlines()
    assert sum(line.startswith("#   ") for line in head) >= 4


def test_the_example_of_the_readme_is_accepted():
    assert README_EXAMPLE is not None
    values = dict(re.findall(r"(JOB_\w+)=(\S+)", README_EXAMPLE[1]))
    assert len(values) >= 10
    assert root.load(values).data.text_column


def test_the_container_lines_of_the_readme_are_accepted():
    lines = re.findall(
        r"^docker run .*?finetune-job$", (house.ROOT / "README.md").read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL
    )
    assert len(lines) == 2
    for line in lines:
        values = dict(re.findall(r"-e (JOB_\w+)=(\S+)", line))
        assert len(values) >= 12
        root.load(values)


def test_a_recipe_with_a_wrong_name_would_be_seen():
    text = RECIPES[0].read_text(encoding="utf-8").replace("JOB_TRAIN__EPOCHS", "JOB_TRAIN__EPOCH")
    with pytest.raises(SettingsError, match="JOB_TRAIN__EPOCH is no setting"):
        root.load(environment(text))
