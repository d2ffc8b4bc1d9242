import pytest
import torch

from job.errors import SettingsError
from job.workers.tuning import anatomy
from job.workers.tuning.freezing import freeze
from tests.support import architectures


def trained(model):
    return {name for name, parameter in model.named_parameters() if parameter.requires_grad}


@pytest.mark.parametrize("kind", ["distilbert", "gpt2", "llama", "modernbert", "bart", "t5"])
@pytest.mark.parametrize("last", [0, 1, 3])
def test_head_and_last_layers_are_trained_and_nothing_else_gets_a_gradient(kind, last):
    model = architectures.build(kind)
    freeze(model, last)
    name = anatomy.layers(model)[0]
    heads = anatomy.head_modules(model)
    in_layers = {each.removeprefix(f"{name}.").partition(".")[0] for each in trained(model) if each.startswith(f"{name}.")}
    assert in_layers == {str(number) for number in range(3 - last, 3)}
    rest = {each for each in trained(model) if not each.startswith(f"{name}.") and each.partition(".")[0] not in heads}
    assert bool(rest) == (last > 0 and kind in ("gpt2", "llama", "modernbert", "t5"))
    assert not [each for each in rest if "emb" in each or "wte" in each or "shared" in each]
    ids = torch.tensor([[5, 6, 7, 2]])
    model(input_ids=ids, labels=torch.tensor([1])).loss.backward()
    assert {each for each, parameter in model.named_parameters() if parameter.grad is not None} == trained(model)


def test_more_layers_than_there_are():
    with pytest.raises(SettingsError, match=r"asks for 4 layers, and bert\.encoder\.layer has 3") as caught:
        freeze(architectures.build("bert"), 4)
    assert "JOB_TUNING__TRAIN_LAST_LAYERS to 3 or less" in caught.value.hint


def test_the_head_alone_of_a_model_that_has_none():
    model = architectures.build("gpt2", "AutoModelForCausalLM")
    with pytest.raises(SettingsError, match="leaves nothing to train"):
        freeze(model, 0)
    freeze(model, 1)
    assert "transformer.wte.weight" not in trained(model)  # the words are shared with the head
    assert "transformer.ln_f.weight" in trained(model)


def test_the_pooler_of_an_embedding_stays_frozen():
    model = architectures.build("bert", "AutoModel")
    anatomy.mark_idle(model, "pooler")
    with pytest.raises(SettingsError, match="leaves nothing to train: this BertModel has no head"):
        freeze(model, 0)
    freeze(model, 1)
    assert {name.rpartition("layer.")[2].partition(".")[0] for name in trained(model)} == {"2"}
