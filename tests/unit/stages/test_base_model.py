import json

import pytest

from job.errors import SettingsError
from job.stages import base_model


def write(folder, **content):
    (folder / "adapter_config.json").write_text(json.dumps(content))
    return folder


def test_an_adapter_is_no_whole_model(tmp_path):
    assert not base_model.is_adapter(tmp_path)
    assert base_model.is_adapter(write(tmp_path))
    (tmp_path / "config.json").write_text("{}")
    assert not base_model.is_adapter(tmp_path)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ({"base_model_name_or_path": "org/base", "revision": "abc"}, ("org/base", "abc")),
        ({"base_model_name_or_path": "gpt2", "revision": None}, ("hf://gpt2", None)),
        ({"base_model_name_or_path": "/models/base"}, ("/models/base", None)),
        ({"base_model_name_or_path": "s3://bucket/base", "revision": ""}, ("s3://bucket/base", None)),
    ],
)
def test_what_an_adapter_names(tmp_path, content, expected):
    assert base_model.recorded_base(write(tmp_path, **content)) == expected


def test_a_base_that_is_not_named(tmp_path):
    for content in ({}, {"base_model_name_or_path": None}, {"base_model_name_or_path": 3}):
        with pytest.raises(SettingsError, match="names no base model") as caught:
            base_model.recorded_base(write(tmp_path, **content))
        assert "JOB_MODEL__BASE_URI" in caught.value.hint
    for broken in ("{", "[" * 100_000):
        (tmp_path / "adapter_config.json").write_text(broken)
        with pytest.raises(SettingsError, match="is not valid JSON"):
            base_model.recorded_base(tmp_path)
