"""Packed documents do not see each other: the same outputs as alone, and no gradient from one to the other."""

import pytest
import torch
from transformers import (
    AutoModelForCausalLM,
    AutoModelForMaskedLM,
    BertConfig,
    DistilBertConfig,
    GPT2Config,
    LlamaConfig,
    RobertaConfig,
)

from job.errors import SettingsError
from job.workers.documents import check_packing, model_inputs, numbers, outputs, packed_inputs, positions
from job.workers.model import first_position

SMALL = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 48,
    "vocab_size": 60,
    "max_position_embeddings": 40,
}
GPT2 = GPT2Config(n_embd=32, n_layer=2, n_head=4, vocab_size=60, n_positions=40)
MODELS = {
    "llama": (AutoModelForCausalLM, LlamaConfig(**SMALL)),
    "gpt2": (AutoModelForCausalLM, GPT2),
    "bert": (AutoModelForMaskedLM, BertConfig(**SMALL)),
    "roberta": (AutoModelForMaskedLM, RobertaConfig(**SMALL, pad_token_id=1)),
    "distilbert": (AutoModelForMaskedLM, DistilBertConfig(dim=32, n_layers=2, n_heads=4, hidden_dim=48, vocab_size=60)),
}
PIECES = [[5, 3, 4], [7]]
"""Two rows: three documents, and one with padding after it."""


def made(name, **more):
    auto, config = MODELS[name]
    torch.manual_seed(0)
    return auto.from_config(config, **more).eval(), {
        "causal": auto is AutoModelForCausalLM,
        "first_position": first_position(config),
    }


def test_numbers_and_positions():
    assert numbers(PIECES, 12).tolist() == [[0] * 5 + [1] * 3 + [2] * 4, [0] * 7 + [-1] * 5]
    assert positions(PIECES, 12).tolist() == [[0, 1, 2, 3, 4, 0, 1, 2, 0, 1, 2, 3], [*range(7), *[0] * 5]]
    assert model_inputs([[3], [1]], 3, causal=True)["attention_mask"].tolist() == [[1, 1, 1], [1, 0, 0]]


@pytest.mark.parametrize("name", MODELS)
def test_a_packed_document_is_read_as_if_it_were_alone(name):
    model, how = made(name)
    ids = torch.randint(5, 60, (2, 12), generator=torch.Generator().manual_seed(1))
    together = outputs(model, {"input_ids": ids, **packed_inputs(PIECES, 12, **how)}, causal=how["causal"])
    for row, lengths in enumerate(PIECES):
        start = 0
        for length in lengths:
            part = ids[row : row + 1, start : start + length]
            alone = model(input_ids=part, attention_mask=torch.ones_like(part)).logits
            torch.testing.assert_close(together[row : row + 1, start : start + length], alone, rtol=1e-4, atol=1e-5)
            start += length


@pytest.mark.parametrize("name", MODELS)
def test_no_token_depends_on_another_document(name):
    model, how = made(name)
    ids = torch.randint(5, 60, (1, 12), generator=torch.Generator().manual_seed(1))
    embedded = model.get_input_embeddings()(ids).detach().requires_grad_()
    logits = outputs(model, {"inputs_embeds": embedded, **packed_inputs(PIECES[:1], 12, **how)}, causal=how["causal"])
    number = numbers(PIECES[:1], 12)[0]
    for at in range(12):
        (gradient,) = torch.autograd.grad(logits[0, at].sum(), embedded, retain_graph=True)
        reached = gradient[0].abs().sum(dim=1) > 0
        assert not reached[number != number[at]].any()
        within = number == number[at]
        expected = within & (torch.arange(12) <= at) if how["causal"] else within
        assert torch.equal(reached, expected), "every token of its own document is seen"


@pytest.mark.parametrize("name", MODELS)
def test_a_model_that_keeps_documents_apart_may_be_packed(name):
    model, how = made(name)
    check_packing(model.train(), **how)
    assert model.training


def test_a_model_that_does_not_is_refused():
    model, how = made("roberta")
    with pytest.raises(SettingsError, match="lets one document see another"):
        check_packing(model, causal=False, first_position=0)
    eager, _ = made("bert", attn_implementation="eager")
    with pytest.raises(SettingsError, match="JOB_DATA__PACKING=off") as caught:
        check_packing(eager, **how)
    assert "'bert'" in caught.value.message

    class Cached(torch.nn.Module):
        """As one calls a decoder without thinking of its cache."""

        def __init__(self, inner):
            super().__init__()
            self.inner, self.config = inner, inner.config

        def get_input_embeddings(self):
            return self.inner.get_input_embeddings()

        def forward(self, use_cache=True, **inputs):
            return self.inner(use_cache=True, **inputs)

    with pytest.raises(SettingsError, match="lets one document see another"):
        check_packing(Cached(made("llama")[0]), causal=True)

    class Deaf(torch.nn.Module):
        config = model.config

        def get_input_embeddings(self):
            return torch.nn.Embedding(60, 2)

        def forward(self, input_ids, attention_mask):
            return None

    with pytest.raises(SettingsError, match="fails on them"):
        check_packing(Deaf(), causal=True)
