import pytest
import torch

from job.settings.train import TrainSettings
from job.workers.optimizer import learning_rate, make_optimizer
from tests.support.training import TwoLayers


def test_settings_reach_adamw():
    settings = TrainSettings(learning_rate=0.25, weight_decay=0.5, adam_beta1=0.1, adam_beta2=0.2, adam_epsilon=0.3)
    optimizer = make_optimizer(TwoLayers(), settings)
    assert isinstance(optimizer, torch.optim.AdamW)
    for group in optimizer.param_groups:
        assert (group["lr"], group["betas"], group["eps"], group["fused"]) == (0.25, (0.1, 0.2), 0.3, True)


def test_biases_and_norms_do_not_decay():
    model = TwoLayers()
    decayed, rest = make_optimizer(model, TrainSettings(weight_decay=0.5)).param_groups
    assert (decayed["weight_decay"], rest["weight_decay"]) == (0.5, 0.0)
    assert {id(p) for p in decayed["params"]} == {id(model.first.weight), id(model.second.weight)}
    assert len(rest["params"]) == 4


@pytest.mark.parametrize(
    "name", ["encoder.LayerNorm.weight", "h.0.ln_1.weight", "model.norm.weight", "layers.0.input_layernorm.weight"]
)
def test_names_of_norms(name):
    model = torch.nn.Module()
    model.named_parameters = lambda: [
        (name, torch.nn.Parameter(torch.ones(2))),
        ("dense.weight", torch.nn.Parameter(torch.ones(2))),
    ]
    decayed, rest = make_optimizer(model, TrainSettings(weight_decay=0.5)).param_groups
    assert [len(decayed["params"]), len(rest["params"])] == [1, 1]


def test_frozen_parameters_are_left_out():
    model = TwoLayers()
    for parameter in [*model.first.parameters(), model.norm.bias, model.norm.weight, model.second.bias]:
        parameter.requires_grad_(False)
    groups = make_optimizer(model, TrainSettings()).param_groups
    assert [len(group["params"]) for group in groups] == [1]


def rates(num_steps, **given):
    settings = TrainSettings(learning_rate=0.5, **given)
    return [learning_rate(settings, num_steps, step) for step in range(num_steps)]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, [0.5, 0.375, 0.25, 0.125]),
        ({"schedule": "constant"}, [0.5] * 4),
        ({"schedule": "cosine"}, [0.5, 0.4267766952966369, 0.25, 0.07322330470336313]),
        ({"warmup_steps": 2}, [0.0, 0.25, 0.5, 0.25]),
        ({"warmup_ratio": 0.3}, [0.0, 0.25, 0.5, 0.25]),
        ({"warmup_ratio": 0.3, "warmup_steps": 0}, [0.5, 0.375, 0.25, 0.125]),
        ({"warmup_steps": 2, "schedule": "constant"}, [0.0, 0.25, 0.5, 0.5]),
        ({"warmup_steps": 2, "schedule": "cosine"}, [0.0, 0.25, 0.5, 0.25]),
        ({"warmup_steps": 4}, [0.0, 0.125, 0.25, 0.375]),
        ({"warmup_steps": 8}, [0.0, 0.0625, 0.125, 0.1875]),
    ],
)
def test_learning_rate(given, expected):
    assert rates(4, **given) == pytest.approx(expected, abs=1e-15)


def test_after_the_last_step_the_rate_is_zero():
    assert learning_rate(TrainSettings(), 4, 4) == learning_rate(TrainSettings(), 4, 9) == 0.0
