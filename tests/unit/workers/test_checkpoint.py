import pytest
import torch
from safetensors.torch import load_file

from job import run_dir as run_dirs
from job.errors import LocalIOError, UnusableError
from job.run_dir import RunDir
from job.settings.train import TrainSettings
from job.workers import checkpoint as checkpoints
from job.workers.checkpoint import Checkpointer, preload
from job.workers.engine import files, whole
from job.workers.engine.whole import WholeTensors, write_weights
from job.workers.optimizer import make_optimizer
from job.workers.state import BestMetric, TrainState, Window
from job.workers.tuning import trained
from tests.support.training import OneRank, TwoLayers

IDENTITY = {"settings_fingerprint": "s", "data_fingerprint": "d"}


class Node:
    """One attempt's model, optimizer and checkpointer."""

    def __init__(self, folder, seed=0, identity=IDENTITY, best="accuracy", rank=0):
        self.run_dir = RunDir(folder)
        run_dirs.write_json(self.run_dir.identity, identity)
        self.model = TwoLayers(seed).float()
        self.optimizer = make_optimizer(self.model, TrainSettings(learning_rate=0.1, weight_decay=0.1))
        self.tensors = WholeTensors(self.model, self.optimizer, writes=rank == 0)
        self.checkpointer = Checkpointer(self.run_dir, self.tensors, OneRank(rank, 1 + rank), BestMetric(best))

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
    assert other.checkpointer.read(folder) == state
    assert same(other.everything(), node.everything())
    for each in (node, other):
        each.step(3)
    assert same(other.everything(), node.everything())
    assert len(node.everything()) == 6 + 3 * 6


def test_the_loss_scale_is_part_of_it(node, tmp_path):
    """Torch's scaler of float16, on the CPU: without its state a continued run would begin with the highest scale again."""

    def scaled(node, scale):
        tensors = WholeTensors(node.model, node.optimizer, scaler=torch.amp.GradScaler("cpu", init_scale=scale))
        node.checkpointer = Checkpointer(node.run_dir, tensors, OneRank(), BestMetric("accuracy"))
        return tensors.loss_scaler

    scaled(node, 512.0)
    folder = node.checkpointer.write(TrainState(step=3))
    assert run_dirs.read_json(folder / "state.json")["state"]["loss_scale"] == {"scale": 512.0, "good_steps": 0}
    other = Node(tmp_path / "second")
    scaler = scaled(other, 65536.0)
    other.checkpointer.read(folder)
    assert scaler.get_scale() == 512


def test_a_checkpoint_before_the_first_step(tmp_path):
    fresh = Node(tmp_path / "first")
    folder = fresh.checkpointer.write(TrainState())
    other = Node(tmp_path / "second", seed=9)
    other.checkpointer.read(folder)
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
    other.checkpointer.read(folder)
    assert other.checkpointer.best.read_bytes() == best
    assert other.run_dir.metrics.read_text() == '{"step": 1}\n'


def test_best_weights_that_are_the_current_ones_are_not_written_twice(node, tmp_path):
    folder = node.checkpointer.write(TrainState(step=3, best_step=3))
    assert sorted(path.name for path in folder.iterdir()) == ["model.safetensors", "optimizer.safetensors", "state.json"]
    other = Node(tmp_path / "second")
    other.checkpointer.read(folder)
    assert other.checkpointer.best.read_bytes() == (folder / "model.safetensors").read_bytes()


def test_only_the_main_process_writes_files_back(node, tmp_path):
    node.run_dir.metrics.write_text('{"step": 1}\n')
    folder = node.checkpointer.write(TrainState(step=3, best_step=3))
    other = Node(tmp_path / "second", rank=1)
    other.checkpointer.read(folder)
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
        other.checkpointer.read(folder)
    assert caught.value.exit_code == 78
    assert same(dict(other.model.state_dict()), before)


@pytest.mark.parametrize(
    ("module", "fails"), [(trained, "save_file"), (whole, "save_file"), (checkpoints, "flush"), (files, "flush")]
)
def test_a_write_that_fails_halfway_leaves_no_checkpoint(node, monkeypatch, module, fails):
    state = TrainState(step=3)

    def full(*_):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(module, fails, full)
        with pytest.raises(OSError, match="No space"):
            node.checkpointer.write(state)
    assert node.run_dir.finished_checkpoints() == []
    assert node.checkpointer.write(state).name == "step-0000000003"  # and what is left of it is not in the way
    assert [path.name for path in node.run_dir.checkpoints.iterdir()] == ["step-0000000003"]


def test_no_third_checkpoint_is_staged_while_two_wait_for_upload(node):
    node.checkpointer.write(TrainState(step=1))
    assert not node.checkpointer.must_wait()
    node.checkpointer.write(TrainState(step=2))
    assert node.checkpointer.must_wait()
    node.run_dir.checkpoint(1).rename(node.run_dir.root / "uploaded")
    assert not node.checkpointer.must_wait()


def test_a_checkpoint_that_would_fill_the_disk_is_not_begun(node):
    with pytest.raises(LocalIOError, match="bytes free"):
        node.checkpointer.write(TrainState(step=3), spare_bytes=2**60)
    assert not node.run_dir.checkpoints.exists()


def test_a_node_whose_ranks_have_nothing_to_add_says_that_there_is_a_checkpoint(tmp_path):
    elsewhere = Node(tmp_path / "elsewhere", rank=1)
    elsewhere.checkpointer._group.is_local_main = True  # rank 1, alone on its node
    folder = elsewhere.checkpointer.write(TrainState(step=3))
    assert [path.name for path in folder.iterdir()] == ["node-1.json"]
    assert run_dirs.read_json(folder / "node-1.json") == {"step": 3, "rank": 1}


def test_of_a_frozen_model_the_trained_part_is_checkpointed_and_preloaded(tmp_path):
    node, other = (Node(tmp_path / name, seed=seed) for name, seed in (("first", 1), ("second", 2)))
    for each in (node, other):
        each.model.first.requires_grad_(False)
    frozen = other.model.first.weight.clone()
    other.run_dir.inputs.mkdir()
    folder = node.checkpointer.write(TrainState(step=3))
    assert not any(name.startswith("first.") for name in load_file(folder / "model.safetensors"))
    folder.rename(other.run_dir.input_checkpoint)
    preload(other.run_dir, other.model)
    assert torch.equal(other.model.second.weight, node.model.second.weight)
    assert torch.equal(other.model.first.weight, frozen)


@pytest.mark.parametrize("preloaded", [False, True], ids=["read", "preload"])
@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("model.safetensors", b"a pickle, or what not"),
        ("optimizer.safetensors", b"a pickle, or what not"),
        ("state.json", b"["),
        ("state.json", b"[" * 100_000),
        ("state.json", b"[]"),
        ("state.json", b"null"),
    ],
)
def test_what_no_checkpoint_holds_is_no_bug(node, tmp_path, name, content, preloaded):
    other = Node(tmp_path / "second", seed=9)
    other.run_dir.inputs.mkdir()
    node.checkpointer.write(TrainState(step=3)).rename(other.run_dir.input_checkpoint)
    (other.run_dir.input_checkpoint / name).write_bytes(content)
    if preloaded and name == "optimizer.safetensors":
        preload(other.run_dir, other.model)  # the moments are read later
        return
    with pytest.raises(UnusableError, match="something else than this program writes") as caught:
        if preloaded:
            preload(other.run_dir, other.model)
        else:
            other.checkpointer.read(other.run_dir.input_checkpoint)
    assert caught.value.exit_code == 78


def test_preload(node, tmp_path):
    other = Node(tmp_path / "second", seed=9)
    before = other.model.first.weight.clone()
    preload(other.run_dir, other.model)
    assert torch.equal(other.model.first.weight, before)  # nothing to continue from

    other.run_dir.inputs.mkdir()
    node.checkpointer.write(TrainState(step=3)).rename(other.run_dir.input_checkpoint)
    preload(other.run_dir, other.model)
    assert torch.equal(other.model.first.weight, node.model.first.weight)

    run_dirs.write_json(other.run_dir.identity, {**IDENTITY, "data_fingerprint": "other"})
    with pytest.raises(UnusableError, match="data fingerprint"):
        preload(other.run_dir, other.model)
