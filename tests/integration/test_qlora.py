"""A base in 4 bits under an adapter, by bitsandbytes itself: its CPU kernels run what a GPU's would.

The job refuses `qlora` without a GPU before anything is fetched, so the worker programs are run here as the node would run them there.
"""

import json
import shutil
import time

import pytest
import torch
from safetensors.torch import load_file

from job import run_dir as run_dirs
from job.run_dir import RunDir
from job.settings import resolved, root
from job.workers import evaluate, prepare, train
from job.workers.engine import Engine
from job.workers.tuning import method
from tests.support import jobs, language, recipes, tiny

SAVED, LAST = 30, 60
QLORA = {
    "TUNING__METHOD": "qlora",
    "TUNING__LORA_DROPOUT": "0.01",
    "TRAIN__LEARNING_RATE": "5e-3",
    "TRAIN__MAX_STEPS": str(LAST),
    "CHECKPOINT__EVERY_STEPS": str(SAVED),
    "EVAL__EVERY_STEPS": str(SAVED),
}


@pytest.fixture(scope="module", autouse=True)
def _plain_kernels():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("bitsandbytes.nn.modules.has_avx512bf16", lambda: False)
        yield


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("qlora")
    tiny.write_model(folder / "model", dim=64, hidden_dim=128)  # bitsandbytes packs blocks of 64
    return folder


@pytest.fixture(scope="module")
def whole(folder):
    run_dir = tiny.prepared_run(folder, "whole", train=200, **QLORA)
    train.main(run_dir, resolved.read(run_dir.settings))
    return run_dir


def record(run_dir):
    return json.loads((run_dir.root / "train.json").read_bytes())


def test_the_base_is_in_four_bits_and_counted_whole(whole):
    settings = resolved.read(whole.settings)
    trainee = train.build(whole, settings, Engine.open(settings))
    packed = [module for module in trainee.model.modules() if type(module).__name__ == "Linear4bit"]
    assert packed
    assert all(module.weight.dtype == torch.uint8 and module.weight.quant_state is not None for module in packed)
    plain = method.start_model(whole, resolved_as(settings, "lora"), trainee.parts.task)
    found, size = record(whole), sum(parameter.numel() for parameter in plain.parameters())
    head = sum(parameter.numel() for name, parameter in plain.named_parameters() if "classifier" in name)
    assert found["num_parameters"] == size + found["num_trained_parameters"] - head
    assert found["num_trained_parameters"] < size / 2


def resolved_as(settings, name):
    return settings.model_copy(update={"tuning": settings.tuning.model_copy(update={"method": name})})


def test_a_continued_run_ends_with_the_same_bytes(folder, whole):
    half = tiny.prepared_run(folder, "half", train=200, **QLORA)
    shutil.copytree(whole.checkpoint(SAVED), half.input_checkpoint)
    train.main(half, resolved.read(half.settings))
    for name in ("model.safetensors", "optimizer.safetensors"):
        assert (half.checkpoint(LAST) / name).read_bytes() == (whole.checkpoint(LAST) / name).read_bytes()


def test_it_learns_and_is_scored_from_what_is_published(whole):
    evaluate.main(whole, resolved.read(whole.settings))
    report = json.loads((whole.evaluation / "report.json").read_bytes())
    assert report["metrics"]["loss"] < report["baselines"]["untrained"]["loss"] - 0.1
    assert {path.name for path in whole.model.iterdir()} >= {"adapter_config.json", "adapter_model.safetensors"}
    assert not (whole.model / "model.safetensors").exists()


def test_two_ranks_train_as_one(tmp_path):
    still = {"dropout": 0.0, "attention_dropout": 0.0, "seq_classif_dropout": 0.0}
    tiny.write_model(tmp_path / "model", dim=64, hidden_dim=128, **still)
    found = []
    for world_size in (1, 2):
        changes = {**QLORA, "TUNING__LORA_DROPOUT": "0", "TRAIN__MAX_STEPS": "10"}
        run_dir = tiny.prepared_run(tmp_path, f"on-{world_size}", train=200, **changes)
        tiny.train_all([run_dir], world_size)
        found.append(load_file(run_dir.model / "adapter_model.safetensors"))
    one, two = found
    assert one.keys() == two.keys()
    assert all(torch.allclose(one[name], two[name], atol=1e-5) for name in one)
    assert any(float(value.abs().max()) > 1e-3 for value in one.values())


def test_the_recipe_is_refused_at_once_without_a_gpu_and_trained_by_its_settings(tmp_path):
    values = recipes.read("qlora-sft")
    began = time.monotonic()
    ended = jobs.run(values, tmp_path / "log")
    assert ended.code == 64, ended.output
    assert "JOB_TUNING__METHOD=qlora needs a GPU" in ended.output
    assert time.monotonic() - began < 20  # a process starts here; what it says is timed in tests/house/test_light.py

    run_dir = RunDir(tmp_path / "run")
    small = {
        "JOB_TRAIN__MAX_STEPS": "4",
        "JOB_TRAIN__PRECISION": "fp32",
        "JOB_EVAL__SAMPLE_TOKENS": "4",
        "JOB_LIMITS__MAX_LEAKED_SHARE": "1",
    }
    settings = root.load({**values, **small, "JOB_DATA__EVAL_URI": "unused"})
    run_dirs.write_json(run_dir.settings, resolved.dump(settings))
    language.write_llama(run_dir.input_model, max_position_embeddings=1024, hidden_size=64, intermediate_size=128)
    for split, count in (("train", 40), ("eval", 8), ("test", 8)):
        run_dir.input_data(split).mkdir(parents=True)
        (run_dir.input_data(split) / "a.jsonl").write_bytes(language.chats(count, seed=count))
        run_dirs.write_json(run_dir.input_data(split).with_suffix(".json"), {"kind": "files", "files": ["a.jsonl"], "uri": []})
    prepare.main(run_dir, settings)
    run_dirs.write_json(run_dir.identity, {"settings_fingerprint": "s", "data_fingerprint": "d"})
    run_dirs.write_json(run_dir.attempt, {"number": 1, "nonce": "n"})
    train.main(run_dir, settings)
    evaluate.main(run_dir, settings)
    report = json.loads((run_dir.evaluation / "report.json").read_bytes())
    assert (report["split"], report["num_examples"]) == ("test", 8)
    assert json.loads((run_dir.model / "adapter_config.json").read_bytes())["r"] == 16
