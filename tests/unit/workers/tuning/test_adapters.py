"""Adapters by the real peft, on models in memory."""

import json

import pytest
import torch
from safetensors.torch import load_file, save_file

from job.errors import CrashError, SettingsError
from job.settings.tuning import TuningSettings
from job.workers.tuning import adapters
from tests.support import architectures

IDS = torch.tensor([[5, 6, 7, 2], [8, 9, 2, 0]])
BASE = {"name": "org/base", "uri": "hf://org/base", "revision": "a" * 40, "sha256": "b" * 64}


def lora(**more):
    return TuningSettings(method="lora", **more)


def stirred(model):
    """Every trainable weight another: an adapter's second matrix starts at zero."""
    torch.manual_seed(3)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.add_(torch.randn_like(parameter) * 0.1)
    return model.eval()


def outputs(model):
    model.eval()
    with torch.no_grad():
        return model(input_ids=IDS, attention_mask=(IDS != 0).long()).logits


@pytest.mark.parametrize("kind", ["distilbert", "roberta", "gpt2", "bart"])
@pytest.mark.parametrize("variant", [{}, {"lora_dora": True, "lora_rank": 3}, {"lora_rslora": True, "lora_bias": "all"}])
def test_what_is_written_is_what_was_trained(tmp_path, kind, variant):
    model = stirred(adapters.add(architectures.build(kind), lora(**variant)))
    expected = outputs(model)
    adapters.write(model, tmp_path / "a", BASE)
    assert sorted(path.name for path in (tmp_path / "a").iterdir()) == [
        "adapter_base.json",
        "adapter_config.json",
        "adapter_model.safetensors",
    ]
    base = architectures.build(kind)
    assert not torch.allclose(outputs(base), expected, atol=1e-3)
    assert torch.equal(outputs(adapters.load_published(base, tmp_path / "a")), expected)
    continued, notes = adapters.put_on(architectures.build(kind), tmp_path / "a", dropout=0.3)
    assert torch.equal(outputs(continued), expected)
    assert not notes
    assert {name for name, each in continued.named_parameters() if each.requires_grad} == {
        name for name, each in model.named_parameters() if each.requires_grad
    }
    merged = adapters.merge(model)
    assert torch.allclose(outputs(merged), expected, atol=1e-4)
    assert not adapters.is_adapter(merged)


def test_settings_reach_the_adapter(tmp_path):
    given = lora(lora_rank=4, lora_alpha=32, lora_dropout=0.01, lora_targets=("q_lin",), lora_modules_to_save=("LayerNorm",))
    model = adapters.add(architectures.build("distilbert"), given)
    adapters.write(model, tmp_path, BASE)
    config = json.loads((tmp_path / "adapter_config.json").read_bytes())
    assert (config["r"], config["lora_alpha"], config["lora_dropout"], config["target_modules"]) == (4, 32, 0.01, ["q_lin"])
    assert config["modules_to_save"] == sorted(["pre_classifier", "classifier", "distilbert.embeddings.LayerNorm"])
    assert (config["task_type"], config["base_model_name_or_path"], config["revision"]) == ("SEQ_CLS", "org/base", "a" * 40)
    assert json.loads((tmp_path / "adapter_base.json").read_bytes()) == BASE | {"labels": ["LABEL_0", "LABEL_1", "LABEL_2"]}
    assert model.base_model.model.distilbert.transformer.layer[0].attention.q_lin.scaling["default"] == 32 / 4


def test_by_default_rank_8_with_twice_as_much_alpha():
    config = adapters.add(architectures.build("distilbert"), lora()).peft_config["default"]
    assert (config.r, config.lora_alpha, config.bias, config.use_dora) == (8, 16, "none", False)
    assert config.target_modules == {"q_lin", "k_lin", "v_lin", "out_lin", "lin1", "lin2"}


def test_an_adapter_that_lacks_something_is_a_crash(tmp_path):
    adapters.write(adapters.add(architectures.build("bert"), lora()), tmp_path, BASE)
    tensors = load_file(tmp_path / "adapter_model.safetensors")
    tensors.pop("base_model.model.classifier.weight")
    save_file(tensors, tmp_path / "adapter_model.safetensors")
    with pytest.raises(CrashError, match="does not load as it was"):
        adapters.load_published(architectures.build("bert"), tmp_path)


def test_a_head_for_other_labels_starts_anew(tmp_path):
    model = stirred(adapters.add(architectures.build("bert"), lora()))
    adapters.write(model, tmp_path, BASE)
    continued, notes = adapters.put_on(architectures.build("bert", num_labels=5), tmp_path)
    assert outputs(continued).shape == (2, 5)
    assert notes == [
        "New in the adapter, starting from random weights: base_model.model.classifier.bias, base_model.model.classifier.weight."
    ]
    query = "base_model.model.bert.encoder.layer.0.attention.self.query.lora_B.default.weight"
    assert torch.equal(continued.get_parameter(query), model.get_parameter(query))


def test_an_adapter_without_a_head_gets_one(tmp_path):
    model = adapters.add(architectures.build("gpt2", "AutoModelForCausalLM"), lora())
    adapters.write(model, tmp_path, BASE)
    continued, _ = adapters.put_on(architectures.build("gpt2"), tmp_path)
    assert continued.get_parameter("base_model.model.score.modules_to_save.default.weight").requires_grad


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        ({"peft_type": "IA3"}, "not of the kind LORA"),
        ({"target_modules": ["q_proj"]}, "does not fit its base model"),
        ({"r": "wide"}, "does not fit its base model"),
    ],
)
def test_an_adapter_that_cannot_be_used(tmp_path, spoil, says):
    adapters.write(adapters.add(architectures.build("bert"), lora()), tmp_path, BASE)
    content = json.loads((tmp_path / "adapter_config.json").read_bytes())
    (tmp_path / "adapter_config.json").write_text(json.dumps(content | spoil))
    with pytest.raises(SettingsError, match=says):
        adapters.put_on(architectures.build("bert"), tmp_path)


def test_an_adapter_of_another_model_is_refused(tmp_path):
    adapters.write(adapters.add(architectures.build("bert"), lora()), tmp_path, BASE)
    with pytest.raises(SettingsError, match=r"holds \d+ tensors that this base model has no place for|does not fit"):
        adapters.put_on(architectures.build("bert", num_hidden_layers=2), tmp_path)


def test_a_continued_adapter_stays_what_it_is():
    model = adapters.add(architectures.build("bert"), lora(lora_rank=4))
    adapters.check_same(model, lora())
    adapters.check_same(model, lora(lora_rank=4, lora_dropout=0.5))
    with pytest.raises(SettingsError, match=r"^JOB_TUNING__LORA_RANK, JOB_TUNING__LORA_TARGETS would make another adapter"):
        adapters.check_same(model, lora(lora_rank=8, lora_targets=("query",)))


def test_nothing_left_for_an_adapter():
    with pytest.raises(SettingsError, match="No module is left for an adapter"):
        adapters.add(architectures.build("bert"), lora(lora_targets=("query",), lora_modules_to_save=("encoder",)))
