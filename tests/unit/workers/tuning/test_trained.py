import pytest
import torch
from safetensors.torch import load_file

from job.workers.tuning import trained
from tests.support import architectures
from tests.support.training import TwoLayers


class Counting(TwoLayers):
    """With a buffer that belongs to the state, and one that does not."""

    def __init__(self, seed=0):
        super().__init__(seed)
        self.register_buffer("seen", torch.tensor([float(seed)]))
        self.register_buffer("scratch", torch.tensor([float(seed)]), persistent=False)


def partial(seed):
    model = Counting(seed)
    model.first.requires_grad_(False)
    return model


def test_of_a_frozen_model_the_rest_is_kept(tmp_path):
    trained.save(partial(1), tmp_path / "x.safetensors")
    assert sorted(load_file(tmp_path / "x.safetensors")) == ["norm.bias", "norm.weight", "second.bias", "second.weight", "seen"]
    read, before = partial(2), partial(2)
    trained.load(read, tmp_path / "x.safetensors")
    assert torch.equal(read.second.weight, partial(1).second.weight)
    assert torch.equal(read.first.weight, before.first.weight)
    assert (float(read.seen), float(read.scratch)) == (1.0, 2.0)
    assert trained.size_bytes(read) == sum(tensor.nbytes for tensor in load_file(tmp_path / "x.safetensors").values())


def test_of_a_whole_model_everything_is_kept(tmp_path):
    model = Counting(1)
    assert not trained.is_partial(model)
    trained.save(model, tmp_path / "x.safetensors")
    assert load_file(tmp_path / "x.safetensors").keys() == model.state_dict().keys()
    read = Counting(2)
    trained.load(read, tmp_path / "x.safetensors")
    assert torch.equal(read.first.weight, model.first.weight)
    assert trained.size_bytes(model) == sum(tensor.nbytes for tensor in load_file(tmp_path / "x.safetensors").values())


def test_shared_weights_are_written_once_by_the_name_that_every_engine_gives_them(tmp_path):
    model = architectures.build("llama", "AutoModelForCausalLM", tie_word_embeddings=True)
    trained.save(model, tmp_path / "x.safetensors")
    assert load_file(tmp_path / "x.safetensors").keys() == dict(model.named_parameters()).keys()
    read = architectures.build("llama", "AutoModelForCausalLM", tie_word_embeddings=True)
    torch.nn.init.zeros_(read.lm_head.weight)
    trained.load(read, tmp_path / "x.safetensors")
    assert torch.equal(read.lm_head.weight, model.lm_head.weight)
    assert torch.equal(read.model.embed_tokens.weight, model.lm_head.weight)


def test_a_file_of_another_method_is_refused(tmp_path):
    trained.save(Counting(1), tmp_path / "x.safetensors")
    with pytest.raises(RuntimeError, match=r"does not hold what this model trains: first\.bias"):
        trained.load(partial(1), tmp_path / "x.safetensors")
