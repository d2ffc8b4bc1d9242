import pytest
from pydantic import SecretStr

from job.settings import root
from job.settings.root import Settings
from job.submit import secret_names


def secret_fields():
    """By another way than the code's: from the groups of the model."""
    return {
        root.variable(group, name)
        for group, field in Settings.model_fields.items()
        for name, inner in getattr(field.annotation, "model_fields", {}).items()
        if SecretStr.__name__ in str(inner.annotation)
    }


def test_every_secret_field_of_the_settings_is_one():
    assert secret_names.of_settings() == secret_fields() >= {"JOB_MODEL__HUB_TOKEN", "JOB_OUTPUT__HUB_TOKEN"}


@pytest.mark.parametrize("name", ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"])  # fmt: skip
def test_so_are_the_libraries(name):
    assert secret_names.is_secret(name)


@pytest.mark.parametrize(
    "name",
    ["JOB_DATA__TOKENS_COLUMN", "JOB_MODEL__PAD_TOKEN", "JOB_MODEL__HUB_TOKEN_FILE", "AWS_REGION", "TOKENIZERS_PARALLELISM", "HF_HUB_DISABLE_IMPLICIT_TOKEN"],
)  # fmt: skip
def test_what_only_sounds_like_one_is_none(name):
    assert not secret_names.is_secret(name)


def test_values_are_hidden_wherever_they_stand():
    masker = secret_names.masker({"JOB_OUTPUT__HUB_TOKEN": "sesame", "JOB_RUN__NAME": "first"}, {"HF_TOKEN": "open it"})
    assert masker.mask("first sesame, open it") == "first **********, **********"
