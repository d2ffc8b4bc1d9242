import contextlib
import resource

import pytest
import torch

from job.errors import as_job_error
from job.settings.train import TrainSettings
from job.workers.engine.whole import WEIGHTS_EACH, WholeTensors, read_weights, write_weights
from job.workers.optimizer import make_optimizer
from tests.support.training import TwoLayers


@pytest.fixture
def node():
    model = TwoLayers().float()
    return WholeTensors(model, make_optimizer(model, TrainSettings()))


@contextlib.contextmanager
def small_disk():
    """Files of at most 100 bytes: what a full disk is to a writer, from the same place.

    For no longer than the write itself: pytest's own output may go to a file.
    """
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_what_the_disk_refuses_is_no_bug_of_ours(node, tmp_path):
    with pytest.raises(OSError, match="File too large") as caught, small_disk():
        node.write_weights(tmp_path / "model.safetensors")
    assert not (tmp_path / "model.safetensors").exists()
    assert caught.value.filename == str(tmp_path / "model.safetensors")
    full = OSError(28, "No space left on device")
    assert as_job_error(full).exit_code == 74


def test_weights_must_be_all_there(tmp_path):
    write_weights(TwoLayers().first, tmp_path / "part.safetensors")
    with pytest.raises(RuntimeError, match="Missing key"):
        read_weights(TwoLayers(), tmp_path / "part.safetensors")


def test_tied_weights(tmp_path):
    class Tied(torch.nn.Module):
        def __init__(self, seed):
            super().__init__()
            torch.manual_seed(seed)
            self.a = torch.nn.Linear(3, 3)
            self.b = torch.nn.Linear(3, 3)
            self.b.weight = self.a.weight

    write_weights(Tied(0), tmp_path / "tied.safetensors")
    read = Tied(1)
    read_weights(read, tmp_path / "tied.safetensors")
    assert read.a.weight is read.b.weight
    assert torch.equal(read.b.weight, Tied(0).b.weight)


def test_only_the_rank_that_writes_writes(tmp_path):
    model = TwoLayers()
    silent = WholeTensors(model, make_optimizer(model, TrainSettings()), writes=False)
    silent.write_weights(tmp_path / "model.safetensors")
    silent.write_moments(tmp_path)
    assert list(tmp_path.iterdir()) == []
    assert silent.num_bytes() == 0


def test_size(node):
    elements = sum(parameter.numel() for parameter in TwoLayers().parameters())
    assert node.num_bytes() == WEIGHTS_EACH * 4 * elements


def test_what_is_published_is_in_the_model(node, tmp_path):
    write_weights(better := TwoLayers(5).float(), tmp_path / "best.safetensors")
    assert node.publishable(None, tmp_path / "scratch") is None
    assert not torch.equal(node._model.first.weight, better.first.weight)
    assert node.publishable(tmp_path / "best.safetensors", tmp_path / "scratch") is None
    assert torch.equal(node._model.first.weight, better.first.weight)
