"""Weight files are looked at before a library opens them."""

import json

import pytest
import torch
from safetensors.torch import save_file

from job.errors import SettingsError
from job.workers.weight_files import check_weight_files


def test_whole_files_pass(tmp_path):
    save_file({"a": torch.ones(3)}, tmp_path / "model.safetensors")
    check_weight_files(tmp_path)


def test_a_sharded_model_needs_all_its_parts(tmp_path):
    (tmp_path / "model.safetensors.index.json").write_text(
        json.dumps({"weight_map": {"a": "one.safetensors", "b": "two.safetensors"}})
    )
    save_file({"a": torch.ones(3)}, tmp_path / "one.safetensors")
    with pytest.raises(SettingsError, match=r"lists two\.safetensors, which is not in the folder"):
        check_weight_files(tmp_path)
    save_file({"b": torch.ones(3)}, tmp_path / "two.safetensors")
    check_weight_files(tmp_path)


def test_a_damaged_file_is_named(tmp_path):
    (tmp_path / "model.safetensors").write_bytes(b"\x08" + b"\x00" * 7 + b"notjson!")
    with pytest.raises(SettingsError, match=r"model\.safetensors is damaged"):
        check_weight_files(tmp_path)


@pytest.mark.parametrize(
    ("name", "message"), [("pytorch_model.bin", "pickled"), ("weights.pth", "pickled"), ("readme.txt", "has no weights")]
)
def test_other_formats_are_refused(tmp_path, name, message):
    (tmp_path / name).write_bytes(b"x")
    with pytest.raises(SettingsError, match=message) as caught:
        check_weight_files(tmp_path)
    assert "JOB_MODEL__URI" in caught.value.hint
