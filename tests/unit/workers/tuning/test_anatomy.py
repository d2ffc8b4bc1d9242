"""Head, layers and linear maps of models that were not written to be alike."""

import pytest

from job.workers.tuning import anatomy
from tests.support import architectures

HEADS = {
    "distilbert": ["pre_classifier", "classifier"],
    "bert": ["classifier"],
    "roberta": ["classifier"],
    "gpt2": ["score"],
    "llama": ["score"],
    "modernbert": ["head", "classifier"],
    "deberta-v2": ["pooler", "classifier"],
    "bart": ["classification_head"],
    "t5": ["classification_head"],
}
LAYERS = {
    "distilbert": "distilbert.transformer.layer",
    "bert": "bert.encoder.layer",
    "roberta": "roberta.encoder.layer",
    "gpt2": "transformer.h",
    "llama": "model.layers",
    "modernbert": "model.layers",
    "deberta-v2": "deberta.encoder.layer",
    "bart": "model.decoder.layers",
    "t5": "transformer.decoder.block",
}


@pytest.mark.parametrize("kind", HEADS)
def test_head_and_layers_are_found(kind):
    model = architectures.build(kind)
    assert anatomy.head_modules(model) == HEADS[kind]
    name, stack = anatomy.layers(model)
    assert (name, len(stack)) == (LAYERS[kind], 3)
    linear = anatomy.linear_modules(model)
    assert linear
    assert not [each for each in linear if each.partition(".")[0] in HEADS[kind]]


@pytest.mark.parametrize(
    ("kind", "expected"), [("bert", "BertPooler"), ("gpt2", "LayerNorm"), ("llama", "LlamaRMSNorm"), ("t5", "T5LayerNorm")]
)
def test_what_stands_behind_the_layers_is_found(kind, expected):
    behind = [
        type(module).__name__ for module in anatomy.behind_layers(architectures.build(kind)) if anatomy.parameter_count(module)
    ]
    assert behind == [expected]


@pytest.mark.parametrize("kind", ["gpt2", "llama", "t5", "distilbert"])
def test_the_head_of_a_language_model_came_with_it(kind):
    auto = {"t5": "AutoModelForSeq2SeqLM", "distilbert": "AutoModelForMaskedLM"}.get(kind, "AutoModelForCausalLM")
    model = architectures.build(kind, auto)
    assert anatomy.is_language_model(model)
    assert anatomy.head_modules(model) == []
    outputs = model.get_output_embeddings()
    assert all(model.get_submodule(name) is not outputs for name in anatomy.linear_modules(model))


def test_what_was_in_no_file_is_part_of_the_head():
    model = architectures.build("bert")
    model.new_parameters = ("bert.pooler.dense.weight", "bert.pooler.dense.bias", "classifier.weight", "classifier.bias")
    assert anatomy.head_modules(model) == ["bert.pooler.dense", "classifier"]


def test_endings():
    assert anatomy.endings(["a.q", "b.q", "c"]) == ["q", "c"]


BARE = {"bert": "encoder.layer", "distilbert": "transformer.layer", "gpt2": "h", "llama": "layers"}


@pytest.mark.parametrize("kind", BARE)
def test_a_body_alone_has_no_head(kind):
    model = architectures.build(kind, "AutoModel")
    assert anatomy.body_name(model) == ""
    assert anatomy.head_modules(model) == []
    name, stack = anatomy.layers(model)
    assert (name, len(stack)) == (BARE[kind], 3)
    behind = [type(module).__name__ for module in anatomy.behind_layers(model) if anatomy.parameter_count(module)]
    assert behind == {"bert": ["BertPooler"], "gpt2": ["LayerNorm"], "llama": ["LlamaRMSNorm"]}.get(kind, [])


def test_what_is_never_called_is_nobody_s_to_train():
    model = architectures.build("bert", "AutoModel")
    model.new_parameters = ("pooler.dense.weight", "pooler.dense.bias")
    assert anatomy.head_modules(model) == ["pooler.dense"]
    model.new_parameters = ()
    assert "pooler.dense" in anatomy.linear_modules(model)
    model.new_parameters = ("pooler.dense.weight", "pooler.dense.bias")
    anatomy.mark_idle(model, "pooler")
    anatomy.mark_idle(model, "not there")
    assert anatomy.idle_modules(model) == ["pooler", "pooler.dense", "pooler.activation"]
    assert anatomy.head_modules(model) == []
    assert "pooler.dense" not in anatomy.linear_modules(model)
    model.requires_grad_(True)
    anatomy.let_idle(model)
    frozen = {name for name, parameter in model.named_parameters() if not parameter.requires_grad}
    assert frozen == {"pooler.dense.weight", "pooler.dense.bias"}
