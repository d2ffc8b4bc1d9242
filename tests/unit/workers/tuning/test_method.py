"""The door: each method on a small real model, from start to what is published and loaded again."""

import json
from types import SimpleNamespace

import pytest
import torch

from job import run_dir as run_dirs
from job.run_dir import RunDir
from job.workers.tuning import anatomy, method
from tests.support import architectures, tiny

IDS = torch.tensor([[5, 6, 7, 2]])


class Loads:
    """A task, as far as it is asked here: the base is the same every time, the head as the generator gives it."""

    def load_model(self, folder, *, from_config):
        assert not from_config
        state = torch.get_rng_state()
        model = architectures.build("distilbert")
        torch.set_rng_state(state)
        torch.nn.init.normal_(model.classifier.weight)
        model.new_parameters = ("classifier.weight",)
        return model


@pytest.fixture
def run(tmp_path):
    def make(**more):
        return SimpleNamespace(dir=RunDir(tmp_path / "run"), settings=tiny.settings(tmp_path, **more))

    return make


def trained(model):
    return {name.partition(".modules_to_save")[0] for name, parameter in model.named_parameters() if parameter.requires_grad}


def outputs(model):
    with torch.no_grad():
        return model.eval()(input_ids=IDS).logits


def chosen(run):
    torch.manual_seed(0)
    return method.choose_trained(method.start_model(run.dir, run.settings, Loads()), run.settings)


def test_the_methods_train_what_they_say(run):
    every = method.count(chosen(run()))
    assert every["num_parameters"] == every["num_trained_parameters"]
    head = method.count(chosen(run(TUNING__METHOD="freeze")))
    assert head == {"num_parameters": every["num_parameters"], "num_trained_parameters": 17 * 16 + 17 * 3}
    last = method.count(chosen(run(TUNING__METHOD="freeze", TUNING__TRAIN_LAST_LAYERS="1")))
    assert head["num_trained_parameters"] < last["num_trained_parameters"] < every["num_parameters"] / 2
    adapter = method.count(chosen(run(TUNING__METHOD="lora", TUNING__LORA_RANK="4", TUNING__LORA_TARGETS="q_lin")))
    matrices = 3 * (4 * 16 + 16 * 4)
    assert adapter == {
        "num_parameters": every["num_parameters"] + matrices,
        "num_trained_parameters": head["num_trained_parameters"] + matrices,
    }


def test_before_training_an_adapter_changes_nothing(run):
    torch.manual_seed(0)
    expected = outputs(method.start_model(run().dir, run().settings, Loads()))
    assert torch.equal(outputs(chosen(run(TUNING__METHOD="lora"))), expected)


@pytest.mark.parametrize("published", ["adapter", "merged", "both"])
def test_what_is_published_is_loaded_as_it_was(run, published):
    here = run(TUNING__METHOD="lora", TUNING__PUBLISH=published)
    model = chosen(here)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.05 if parameter.requires_grad else 0.0)
    expected = outputs(model)
    method.save(model, here.dir.model, here.dir, here.settings)
    names = {path.name for path in here.dir.model.iterdir()}
    adapter = {"adapter_base.json", "adapter_config.json", "adapter_model.safetensors"}
    whole = {"config.json", "model.safetensors"}
    assert names == {"adapter": adapter, "merged": whole, "both": whole | {"adapter"}}[published]
    assert (here.dir.adapter.is_dir()) == (published != "adapter")
    folder = here.dir.model if published == "adapter" else here.dir.adapter
    assert torch.equal(outputs(method.load_adapter(here.dir, folder, here.settings, Loads())), expected)


@pytest.mark.parametrize("way", ["lora", "full", "freeze"])
def test_an_adapter_is_continued_by_any_method(run, way):
    first = run(TUNING__METHOD="lora")
    model = chosen(first)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.05 if parameter.requires_grad else 0.0)
    expected = outputs(model)
    method.save(model, first.dir.input_adapter, first.dir, first.settings)
    second = run(TUNING__METHOD=way)
    assert torch.equal(outputs(method.start_model(second.dir, second.settings, Loads())), expected)
    continued = chosen(second)
    assert torch.allclose(outputs(continued), expected, atol=1e-5)
    assert hasattr(continued, "peft_config") == (way == "lora")
    assert any("lora_A" in name for name in trained(continued)) == (way == "lora")
    assert ("distilbert.embeddings.word_embeddings.weight" in trained(continued)) == (way == "full")


def test_labels_in_another_order_are_told(run, caplog):
    first = run(TUNING__METHOD="lora")
    method.save(chosen(first), first.dir.input_adapter, first.dir, first.settings)
    path = first.dir.input_adapter / "adapter_base.json"
    path.write_text(json.dumps(json.loads(path.read_bytes()) | {"labels": ["a", "b", "c"]}))
    with caplog.at_level("INFO"):
        method.start_model(first.dir, first.settings, Loads())
    assert "The adapter's own head is kept, and its outputs get new names: a, b, c → LABEL_0, LABEL_1, LABEL_2" in caplog.text


def test_the_base_is_named_as_others_find_it(run, tmp_path):
    here = run(MODEL__URI="org/base")
    assert method.base_of(here.dir, here.settings)["name"] == "org/base"
    source = {"uri": "hf://org/base", "revision": "c" * 40, "sha256": "d", "num_files": 1, "size_bytes": 1}
    run_dirs.write_json(here.dir.marker("fetch"), {"sources": {"model": source}})
    assert method.base_of(here.dir, here.settings) == {
        "name": "org/base",
        "uri": "hf://org/base",
        "revision": "c" * 40,
        "sha256": "d",
    }
    (tmp_path / "base").mkdir()
    local = run(MODEL__URI=f"file://{tmp_path}/base")
    local.dir.marker("fetch").unlink()
    assert method.base_of(local.dir, local.settings)["name"] == str(tmp_path / "base")


@pytest.mark.parametrize("way", [{}, {"TUNING__METHOD": "freeze", "TUNING__TRAIN_LAST_LAYERS": "1"}, {"TUNING__METHOD": "lora", "TUNING__LORA_BIAS": "all"}])  # fmt: skip
def test_no_method_trains_what_the_task_never_calls(run, way):
    """Nor does one that continues from an adapter, which is merged first by some."""

    class Embeds:
        def load_model(self, folder, *, from_config):
            model = architectures.build("bert", "AutoModel")
            anatomy.mark_idle(model, "pooler")
            return model

    first = run(TUNING__METHOD="lora")
    torch.manual_seed(0)
    adapter = method.choose_trained(method.start_model(first.dir, first.settings, Embeds()), first.settings)
    for continued in (False, True):
        if continued:
            method.save(adapter, first.dir.input_adapter, first.dir, first.settings)
        here = run(**({"TUNING__METHOD": "lora"} if continued and "LORA_BIAS" in str(way) else way))
        model = method.choose_trained(method.start_model(here.dir, here.settings, Embeds()), here.settings)
        names = trained(model)
        assert names
        assert not [name for name in names if "pooler" in name]
        model(input_ids=IDS).last_hidden_state.sum().backward()
        assert {name.partition(".modules_to_save")[0] for name, each in model.named_parameters() if each.grad is not None} == names
