"""The arithmetic of slices, on stand-ins for what DeepSpeed keeps; the real thing is in ``tests/integration/test_engines.py``."""

from types import SimpleNamespace

import pytest
import torch
from safetensors.torch import load_file, save_file

from job.workers.engine.spread import SpreadTensors, held, slices
from tests.support.training import OneRank

SHAPES = {"a": (3,), "b": (2, 4), "c": (2,)}
WHOLE = {"a": torch.arange(3.0), "b": torch.arange(10.0, 18.0).view(2, 4), "c": torch.arange(20.0, 22.0)}


class Model(torch.nn.Module):
    def __init__(self):
        super().__init__()
        for name, shape in SHAPES.items():
            self.register_parameter(name, torch.nn.Parameter(torch.zeros(shape)))
        self.register_buffer("frozen", torch.ones(1))


def stage3(rank, world_size):
    """Equal parts of every parameter, the last ones padded."""
    model, offset, zero = Model(), 0, SimpleNamespace(grad_position={}, get_param_id=lambda parameter: parameter.ds_id)
    for number, (name, parameter) in enumerate(model.named_parameters()):
        part = -(-parameter.numel() // world_size)
        parameter.ds_id, parameter.ds_numel, parameter.ds_shape = number, parameter.numel(), parameter.shape
        parameter.ds_tensor = torch.zeros(part)
        zero.grad_position[number] = [0, offset, part]
        offset += part
        assert name in SHAPES
    zero.fp32_partitioned_groups_flat = [torch.zeros(offset)]
    return model, zero


def stage2(rank, world_size):
    """Equal parts of the whole group."""
    model, total, begin = Model(), 13, 0
    part = -(-total // world_size)
    zero = SimpleNamespace(single_partition_of_fp32_groups=[torch.zeros(part)])
    for parameter in model.parameters():
        first, last = max(begin, rank * part), min(begin + parameter.numel(), (rank + 1) * part)
        parameter._hp_mapping = (
            SimpleNamespace(
                param_group_index=0,
                hp_fragment_address=SimpleNamespace(start=first - rank * part, numel=last - first),
                lp_fragment_address=SimpleNamespace(start=first - begin, numel=last - first),
            )
            if first < last
            else None
        )
        begin += parameter.numel()
    return model, zero


def make(kind, rank, world_size):
    model, zero = kind(rank, world_size)
    zero.optimizer = SimpleNamespace(state=dict.fromkeys(getattr(zero, "fp32_partitioned_groups_flat", ()) or ()))
    flats = getattr(zero, "fp32_partitioned_groups_flat", None) or zero.single_partition_of_fp32_groups
    zero.optimizer.state = {flat: {} for flat in flats}
    engine = OneRank(rank, world_size)
    return model, zero, SpreadTensors(model, zero, engine), engine


@pytest.mark.parametrize("kind", [stage2, stage3])
@pytest.mark.parametrize("world_size", [1, 2, 3, 4, 7])
def test_every_element_lies_on_one_rank(kind, world_size):
    seen = {name: torch.zeros(torch.Size(shape).numel()) for name, shape in SHAPES.items()}
    for rank in range(world_size):
        model, zero, _, engine = make(kind, rank, world_size)
        for each in slices(model, zero, engine):
            seen[each.name][each.start : each.start + each.numel] += 1
            assert each.of(each.flat).shape == (each.numel,)
    assert all((counts == 1).all() for counts in seen.values())


@pytest.mark.parametrize("kind", [stage2, stage3])
@pytest.mark.parametrize("then", [stage2, stage3])
@pytest.mark.parametrize(("before", "after"), [(1, 3), (3, 2), (4, 1), (2, 2)])
def test_moments_go_from_any_engine_and_number_of_ranks_to_any_other(tmp_path, kind, then, before, after):
    for rank in range(before):
        model, zero, tensors, engine = make(kind, rank, before)
        for flat in zero.optimizer.state:
            zero.optimizer.state[flat] = {
                "step": torch.tensor(5.0), "exp_avg": torch.zeros_like(flat), "exp_avg_sq": torch.zeros_like(flat)
            }  # fmt: skip
        for each in slices(model, zero, engine):
            for key, factor in (("exp_avg", 1), ("exp_avg_sq", 2)):
                mine = WHOLE[each.name].flatten()[each.start : each.start + each.numel] * factor
                each.of(zero.optimizer.state[each.flat][key]).copy_(mine)
        tensors.write_moments(tmp_path)
    assert len(list(tmp_path.iterdir())) == before

    found = {name: torch.zeros(torch.Size(shape).numel()) for name, shape in SHAPES.items()}
    for rank in range(after):
        model, zero, tensors, engine = make(then, rank, after)
        tensors.read_moments(tmp_path)
        for each in slices(model, zero, engine):
            state = zero.optimizer.state[each.flat]
            assert float(state["step"]) == 5
            assert torch.equal(each.of(state["exp_avg_sq"]), 2 * each.of(state["exp_avg"]))
            found[each.name][each.start : each.start + each.numel] = each.of(state["exp_avg"])
    assert all(torch.equal(found[name], WHOLE[name].flatten()) for name in WHOLE)


def test_nothing_is_taken_over_from_before_the_first_step(tmp_path):
    make(stage3, 0, 1)[2].write_moments(tmp_path)
    assert load_file(tmp_path / "optimizer-00001-of-00001.safetensors") == {}
    _, zero, tensors, _ = make(stage3, 0, 1)
    tensors.read_moments(tmp_path)
    assert not any(zero.optimizer.state.values())


@pytest.mark.parametrize("kind", [stage2, stage3])
def test_master_weights_are_read_where_the_model_s_own_are_16_bits(tmp_path, kind):
    save_file(WHOLE, str(tmp_path / "model.safetensors"))
    for precision, expected in (("fp32", False), ("bf16", True)):
        model, zero, tensors, engine = make(kind, 1, 2)
        engine.precision = precision
        tensors.read_weights(tmp_path / "model.safetensors")
        for each in slices(model, zero, engine):
            wanted = WHOLE[each.name].flatten()[each.start : each.start + each.numel]
            assert torch.equal(each.of(each.flat), wanted) == (expected or not wanted.any())


def test_what_a_rank_holds():
    model, zero, tensors, engine = make(stage3, 0, 2)
    assert held(model, zero, engine) == (7, 7)
    assert tensors.num_bytes() == 2 * 4 * 7 + 4 * 13 + 4
    model, zero, _, engine = make(stage2, 1, 2)
    assert held(model, zero, engine) == (7, 13)
