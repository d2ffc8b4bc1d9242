import itertools
import json
import os

import pytest
import torch
from safetensors.torch import load_file, save_file

from job.errors import UnusableError
from job.workers.engine.files import STARTS, Layout, Moments, replacing, write_stream


def test_a_stream_is_a_safetensors_file(tmp_path):
    tensors = {
        "a": torch.randn(3, 4),
        "b": torch.arange(5),
        "scalar": torch.tensor(2.5),
        "half": torch.randn(7).bfloat16(),
        "empty": torch.ones(0, 3),
        "yes": torch.tensor([True, False]),
        "transposed": torch.randn(3, 4).t(),
    }
    layouts = [Layout(name, tensor.dtype, tuple(tensor.shape)) for name, tensor in tensors.items()]
    write_stream(tmp_path / "x.safetensors", layouts, iter(tensors.values()))
    found = load_file(tmp_path / "x.safetensors")
    assert found.keys() == tensors.keys()
    assert all(torch.equal(found[name], tensors[name]) and found[name].dtype == tensors[name].dtype for name in tensors)


def test_a_stream_of_something_else_is_refused(tmp_path):
    with pytest.raises(AssertionError, match="a is"):
        write_stream(tmp_path / "x", [Layout("a", torch.float32, (2,))], [torch.ones(3)])
    with pytest.raises(ValueError, match="shorter"):
        write_stream(tmp_path / "x", [Layout("a", torch.float32, (2,))], [])


def write_parts(folder, whole, cuts):
    edges = [0, *cuts, len(whole)]
    for number, (begin, end) in enumerate(itertools.pairwise(edges), 1):
        save_file(
            {"w/exp_avg": whole[begin:end].clone(), "w/step": torch.tensor(4.0)},
            str(folder / f"optimizer-{number:05d}-of-{len(edges) - 1:05d}.safetensors"),
            metadata={STARTS: json.dumps({"w/exp_avg": begin, "w/step": 0})},
        )


@pytest.mark.parametrize("cuts", [[], [5], [1, 2, 9], [4, 8]])
def test_slices_are_put_together_from_any_parts(tmp_path, cuts):
    whole = torch.randn(12)
    write_parts(tmp_path, whole, cuts)
    with Moments(tmp_path) as moments:
        assert sorted(moments.keys("w")) == ["exp_avg", "step"]
        assert moments.keys("other") == []
        assert torch.equal(moments.whole("w", "exp_avg", torch.empty(3, 4)), whole.view(3, 4))
        assert moments.whole("w", "step", torch.empty(3, 4)).shape == ()
        for start in range(12):
            for end in range(start, 13):
                assert torch.equal(moments.slice("w", "exp_avg", start, end - start), whole[start:end])


def test_a_rank_s_file_that_is_missing_is_noticed(tmp_path):
    write_parts(tmp_path, torch.randn(12), [4, 8])
    (tmp_path / "optimizer-00002-of-00003.safetensors").unlink()
    with Moments(tmp_path) as moments:
        assert moments.slice("w", "exp_avg", 8, 4).shape == (4,)
        with pytest.raises(UnusableError, match="8 of 12 elements of w/exp_avg"):
            moments.slice("w", "exp_avg", 0, 12)


def test_a_file_takes_its_place_when_it_is_whole(tmp_path):
    path = tmp_path / "folder" / "file"

    def half():
        with replacing(path) as temporary:
            temporary.write_text("half")
            raise OSError(28, os.strerror(28))

    with pytest.raises(OSError, match="space"):
        half()
    assert not path.exists()
    with replacing(path) as temporary:
        temporary.write_text("whole")
    assert [found.name for found in path.parent.iterdir()] == ["file"]
