import contextlib
import resource

import pytest
import torch

from job import run_dir as run_dirs
from job.errors import LocalIOError, UnusableError, as_job_error
from job.run_dir import RunDir
from job.settings.train import TrainSettings
from job.workers import checkpoint as checkpoints
from job.workers.checkpoint import Checkpointer, read_weights, write_weights
from job.workers.optimizer import make_optimizer
from job.workers.state import BestMetric, TrainState, Window
from tests.support.training import TwoLayers

IDENTITY = {"settings_fingerprint": "s", "data_fingerprint": "d"}


class Node:
    """One attempt's model, optimizer and checkpointer."""

    def __init__(self, folder, seed=0, identity=IDENTITY, best="accuracy"):
        self.run_dir = RunDir(folder)
        run_dirs.write_json(self.run_dir.identity, identity)
        self.model = TwoLayers(seed).float()
        self.optimizer = make_optimizer(self.model, TrainSettings(learning_rate=0.1, weight_decay=0.1))
        self.checkpointer = Checkpointer(self.run_dir, self.model, self.optimizer, BestMetric(best))

    def step(self, seed):
        torch.manual_seed(seed)
        self.model(torch.randn(5, 3)).logits.square().sum().backward()
        self.optimizer.step()
        self.optimizer.zero_grad()

    def everything(self):
        tensors = dict(self.model.state_dict())
        for name, parameter in self.model.named_parameters():
            tensors |= {f"{name}/{key}": value for key, value in self.optimizer.state[parameter].items()}
        return tensors


def same(ours, theirs):
    return ours.keys() == theirs.keys() and all(
        torch.equal(ours[name], theirs[name]) and ours[name].dtype == theirs[name].dtype for name in ours
    )


@pytest.fixture
def node(tmp_path):
    node = Node(tmp_path / "first")
    for seed in range(3):
        node.step(seed)
    return node


def test_continues_bit_for_bit(node, tmp_path):
    state = TrainState(step=3, nonfinite_steps=1, window=Window(loss=0.1 + 0.2, tokens=7))
    folder = node.checkpointer.write(state)
    assert folder == node.run_dir.checkpoint(3)
    other = Node(tmp_path / "second", seed=9)
    assert other.checkpointer.read(folder, is_main=True) == state
    assert same(other.everything(), node.everything())
    for each in (node, other):
        each.step(3)
    assert same(other.everything(), node.everything())
    assert len(node.everything()) == 6 + 3 * 6


def test_a_checkpoint_before_the_first_step(tmp_path):
    fresh = Node(tmp_path / "first")
    folder = fresh.checkpointer.write(TrainState())
    other = Node(tmp_path / "second", seed=9)
    other.checkpointer.read(folder, is_main=True)
    for each in (fresh, other):
        each.step(0)
    assert same(other.everything(), fresh.everything())


def test_record(node):
    state = TrainState(step=3, evaluated_step=3, last_value=0.5, best_value=0.75, best_step=3)
    record = run_dirs.read_json(node.checkpointer.write(state) / "state.json")
    assert record == {
        "format": checkpoints.FORMAT,
        **IDENTITY,
        "state": state.as_dict(),
        "metric": {"name": "accuracy", "value": 0.5, "greater_is_better": True},
    }


@pytest.mark.parametrize(
    ("best", "state"),
    [
        ("accuracy", TrainState(step=3, evaluated_step=2, last_value=0.5)),
        ("accuracy", TrainState(step=3, evaluated_step=3, last_value=None)),
        (None, TrainState(step=3, evaluated_step=3, last_value=0.5)),
    ],
)
def test_no_metric_where_this_step_has_none(tmp_path, best, state):
    node = Node(tmp_path, best=best)
    assert run_dirs.read_json(node.checkpointer.write(state) / "state.json")["metric"] is None


def test_best_weights_and_metrics_go_along(node, tmp_path):
    node.run_dir.metrics.write_text('{"step": 1}\n')
    write_weights(node.model, node.checkpointer.best)
    best = node.checkpointer.best.read_bytes()
    node.step(7)
    folder = node.checkpointer.write(TrainState(step=4, best_step=3))
    write_weights(node.model, node.checkpointer.best)  # better ones come along while the checkpoint waits for upload
    assert (folder / "best.safetensors").read_bytes() == best

    other = Node(tmp_path / "second")
    other.run_dir.metrics.write_text("of a killed attempt\n")
    other.checkpointer.read(folder, is_main=True)
    assert other.checkpointer.best.read_bytes() == best
    assert other.run_dir.metrics.read_text() == '{"step": 1}\n'


def test_best_weights_that_are_the_current_ones_are_not_written_twice(node, tmp_path):
    folder = node.checkpointer.write(TrainState(step=3, best_step=3))
    assert sorted(path.name for path in folder.iterdir()) == ["model.safetensors", "optimizer.safetensors", "state.json"]
    other = Node(tmp_path / "second")
    other.checkpointer.read(folder, is_main=True)
    assert other.checkpointer.best.read_bytes() == (folder / "model.safetensors").read_bytes()


def test_only_the_main_process_writes_files_back(node, tmp_path):
    node.run_dir.metrics.write_text('{"step": 1}\n')
    folder = node.checkpointer.write(TrainState(step=3, best_step=3))
    other = Node(tmp_path / "second")
    other.checkpointer.read(folder, is_main=False)
    assert same(other.everything(), node.everything())
    assert not other.checkpointer.best.exists()
    assert not other.run_dir.metrics.exists()


@pytest.mark.parametrize("name", [*IDENTITY, "format"])
def test_another_run_s_checkpoint_is_refused_before_anything_is_read(node, tmp_path, name):
    folder = node.checkpointer.write(TrainState(step=3))
    record = run_dirs.read_json(folder / "state.json")
    run_dirs.write_json(folder / "state.json", {**record, name: "other"})
    other = Node(tmp_path / "second", seed=9)
    before = {key: value.clone() for key, value in other.model.state_dict().items()}
    with pytest.raises(UnusableError, match=name.replace("_", " ")) as caught:
        other.checkpointer.read(folder, is_main=True)
    assert caught.value.exit_code == 78
    assert same(dict(other.model.state_dict()), before)


@pytest.mark.parametrize("fails", ["trained.save", "save_file", "_flush"])
def test_a_write_that_fails_halfway_leaves_no_checkpoint(node, monkeypatch, fails):
    state = TrainState(step=3)

    def full(*_):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(f"job.workers.checkpoint.{fails}", full)
        with pytest.raises(OSError, match="No space"):
            node.checkpointer.write(state)
    assert node.run_dir.finished_checkpoints() == []
    assert node.checkpointer.write(state).name == "step-0000000003"  # and what is left of it is not in the way
    assert [path.name for path in node.run_dir.checkpoints.iterdir()] == ["step-0000000003"]


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
        write_weights(node.model, tmp_path / "model.safetensors")
    assert not (tmp_path / "model.safetensors").exists()
    assert caught.value.filename == str(tmp_path / "model.safetensors")
    full = OSError(28, "No space left on device")
    assert as_job_error(full).exit_code == 74


def test_no_third_checkpoint_is_staged_while_two_wait_for_upload(node):
    node.checkpointer.write(TrainState(step=1))
    assert not node.checkpointer.must_wait()
    node.checkpointer.write(TrainState(step=2))
    assert node.checkpointer.must_wait()
    node.run_dir.checkpoint(1).rename(node.run_dir.root / "uploaded")
    assert not node.checkpointer.must_wait()


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


def test_a_checkpoint_that_would_fill_the_disk_is_not_begun(node):
    with pytest.raises(LocalIOError, match="bytes free"):
        node.checkpointer.write(TrainState(step=3), spare_bytes=2**60)
    assert not node.run_dir.checkpoints.exists()
