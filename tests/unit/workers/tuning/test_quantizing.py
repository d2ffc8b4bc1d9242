"""The real bitsandbytes, which can compute in 4 bits on a CPU too, only slowly; without it the replacing is looked at alone."""

import sys
from types import SimpleNamespace

import pytest
import torch

from job.errors import SettingsError
from job.workers.tuning.quantizing import quantize
from tests.support import architectures


class Linear4bit(torch.nn.Linear):
    """What is asked of bitsandbytes' class of this name."""

    def __init__(self, inputs, outputs, bias, *asked, **more):
        super().__init__(inputs, outputs, bias)
        self.asked = (*asked, *more.values())


def params(weight, requires_grad, quant_type, compress_statistics):
    return torch.nn.Parameter(weight.clone(), requires_grad=requires_grad)


@pytest.fixture
def bitsandbytes(monkeypatch):
    monkeypatch.setitem(sys.modules, "bitsandbytes", SimpleNamespace(nn=SimpleNamespace(Linear4bit=Linear4bit, Params4bit=params)))


def test_the_body_is_replaced_and_the_head_is_not(bitsandbytes):
    model = architectures.build("bert").eval()
    ids = torch.tensor([[5, 6, 7]])
    before = model(ids).logits
    quantize(model, torch.bfloat16)
    replaced = [name for name, module in model.named_modules() if isinstance(module, Linear4bit)]
    assert len(replaced) == 3 * 6 + 1
    assert not [name for name in replaced if name.startswith("classifier")]
    assert model.get_submodule(replaced[0]).asked == (torch.bfloat16, True, "nf4")
    assert model.is_loaded_in_4bit
    assert torch.equal(model(ids).logits, before)  # the stand-in keeps the weights as they are


def test_a_model_without_maps_that_can_be_packed_is_refused(bitsandbytes):
    with pytest.raises(SettingsError, match="has no linear layers that bitsandbytes can hold in 4 bits"):
        quantize(architectures.build("gpt2"), torch.bfloat16)
