import importlib.util

import pytest

from job.errors import SettingsError
from job.stages.feasibility import check_method
from tests.support import tiny


@pytest.mark.parametrize("method", ["full", "freeze", "lora"])
def test_most_methods_go_everywhere(tmp_path, method):
    check_method(tiny.settings(tmp_path, TUNING__METHOD=method), "cpu")


def test_four_bits_need_a_gpu_and_their_library(tmp_path, monkeypatch):
    settings = tiny.settings(tmp_path, TUNING__METHOD="qlora")
    with pytest.raises(SettingsError, match="JOB_TUNING__METHOD=qlora needs a GPU"):
        check_method(settings, "cpu")
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    with pytest.raises(SettingsError, match="needs the package bitsandbytes"):
        check_method(settings, "cuda")
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: object())
    check_method(settings, "cuda")


def test_random_weights_are_not_left_as_they_are(tmp_path):
    check_method(tiny.settings(tmp_path, MODEL__FROM_CONFIG="true"), "cpu")
    with pytest.raises(SettingsError, match="JOB_MODEL__FROM_CONFIG makes them random"):
        check_method(tiny.settings(tmp_path, MODEL__FROM_CONFIG="true", TUNING__METHOD="lora"), "cpu")
