"""The parts of the training program; the program as a whole is run in ``tests/integration``.  Fakes: tokenizer and model folder."""

import json

import pytest
import torch
from safetensors.torch import load_file

from job import run_dir as run_dirs
from job.errors import SettingsError, StopRequested
from job.run_dir import RunDir
from job.settings.train import TrainSettings
from job.workers import fit, train
from job.workers.batching import Cut, MicroBatch
from job.workers.checkpoint import Checkpointer
from job.workers.engine.whole import WholeTensors, write_weights
from job.workers.loop import Parts
from job.workers.optimizer import make_optimizer
from job.workers.state import BestMetric, TrainState
from job.workers.train import Trainee
from tests.support import tiny
from tests.support.training import OneRank, RowsTask, TwoLayers, rows


class Published(TwoLayers):
    def save_pretrained(self, folder):
        folder.mkdir(parents=True, exist_ok=True)
        write_weights(self, folder / "model.safetensors")


class Tokenizer:
    def save_pretrained(self, folder):
        (folder / "tokenizer.json").write_text("{}")


@pytest.fixture
def run_dir(tmp_path):
    run_dir = RunDir(tmp_path / "run")
    run_dirs.write_json(run_dir.identity, {"data_fingerprint": "d"})
    return run_dir


@pytest.fixture
def make(run_dir, tmp_path):
    def make(state=None, best="accuracy", **settings):
        chosen = tiny.settings(tmp_path, **settings)
        model, engine = Published(), OneRank()
        engine.describe = lambda wrapped: {"kind": "single", "wrapped_class": type(wrapped).__name__}
        optimizer = make_optimizer(model, chosen.train)
        feed = train.make_feed(rows(40), chosen, RowsTask(), engine)
        parts = Parts(model, optimizer, lambda _: 0.1, RowsTask(), feed)
        metric = BestMetric(best)
        checkpointer = Checkpointer(run_dir, WholeTensors(model, optimizer), engine, metric)
        return chosen, engine, Trainee(model, Tokenizer(), parts, state or TrainState(), checkpointer, 5, metric, rows(9))

    return make


@pytest.mark.parametrize(
    ("given", "expected"),
    [({"epochs": 3}, 30), ({"epochs": 0.25}, 3), ({"epochs": 0.001}, 1), ({"epochs": 3, "max_steps": 7}, 7)],
)
def test_total_steps(given, expected):
    assert train.total_steps(TrainSettings(**given), 10) == expected


def test_settings_reach_the_feed(tmp_path):
    settings = tiny.settings(
        tmp_path,
        TRAIN__GLOBAL_BATCH_SIZE="8",
        TRAIN__MICRO_BATCH_TOKENS="77",
        TRAIN__MICRO_BATCH_SIZE="3",
        TRAIN__PADDING="longest",
        TRAIN__BATCHING="length_grouped",
        RUN__SEED="9",
    )
    feed = train.make_feed(rows(20), settings, RowsTask(), OneRank(1, 2))
    assert feed.cut == Cut(77, 3, by_length=False)
    assert (feed.schedule.global_batch_size, feed.schedule.seed, feed.schedule.order) == (8, 9, "length_grouped")
    assert (feed._place.rank, feed._place.world_size) == (1, 2)
    assert feed.schedule.lengths.tolist() == rows(20)["length"]


def test_a_fresh_start_forgets_earlier_metrics(run_dir, make):
    run_dir.metrics.write_text("{}\n")
    _, engine, trainee = make()
    assert train.restore(run_dir, trainee.checkpointer, engine) == TrainState()
    assert not run_dir.metrics.exists()


def test_a_checkpoint_is_continued(run_dir, make):
    _, engine, trainee = make()
    folder = trainee.checkpointer.write(TrainState(step=4))
    run_dir.inputs.mkdir()
    folder.rename(run_dir.input_checkpoint)
    assert train.restore(run_dir, trainee.checkpointer, engine).step == 4
    assert engine.barriers > 0


def test_training_from_start_to_end(run_dir, make, monkeypatch):
    run_dirs.write_json(run_dir.attempt, {"number": 3})
    settings, engine, trainee = make(EVAL__EVERY_STEPS="2", TRAIN__LOG_EVERY_STEPS="5", CHECKPOINT__EVERY_STEPS="1000")
    train.train(run_dir, settings, engine, trainee)
    state = trainee.state
    assert (state.step, state.done, state.evaluated_step) == (5, True, 5)
    assert run_dirs.read_json(run_dir.plan) == {"num_steps": 5, "start_step": 0}
    assert [step for step, _ in run_dir.finished_checkpoints()] == [5]
    assert run_dir.heartbeat("train", 0).exists()
    records = [json.loads(line) for line in run_dir.metrics.read_text().splitlines()]
    assert [(record["step"], "eval/accuracy" in record, "train/loss" in record) for record in records] == [
        (2, True, False),
        (4, True, False),
        (5, False, True),
        (5, True, False),
        (5, False, False),
    ]
    assert records[-1]["time/checkpoint_save_s"] > 0
    assert all(record["attempt"] == 3 for record in records)
    assert records[0]["epoch"] == pytest.approx(2 / 3)
    assert trainee.checkpointer.best.exists()


def test_a_stop_right_after_continuing_writes_no_second_checkpoint(run_dir, make, monkeypatch):
    run_dirs.write_json(run_dir.attempt, {"number": 2})
    settings, engine, trainee = make(TrainState(step=2), EVAL__EVERY_STEPS="100")
    run_dir.stop.touch()
    with pytest.raises(StopRequested):
        train.train(run_dir, settings, engine, trainee)
    assert run_dir.finished_checkpoints() == []


@pytest.mark.parametrize(("best", "best_step"), [("accuracy", 3), ("accuracy", -1), (None, -1)])
def test_the_published_model_is_the_best_or_the_last(run_dir, make, best, best_step):
    settings, engine, trainee = make(TrainState(step=5, best_step=best_step, best_value=0.5 if best_step > 0 else None), best)
    better = Published(seed=5)
    write_weights(better, trainee.checkpointer.best)
    expected = (better if best_step > 0 else trainee.model).first.weight.clone()
    (run_dir.model / "left over").mkdir(parents=True)
    train.publishable(run_dir, engine, settings, trainee)
    assert sorted(path.name for path in run_dir.model.iterdir()) == ["model.safetensors", "tokenizer.json"]
    assert torch.equal(load_file(run_dir.model / "model.safetensors")["first.weight"], expected)

    choice = fit.choose(fit.ModelSize(10, 10, 1, 1), fit.Place(1, 10**9, "fp32"), settings)
    record = train.describe(engine, settings, trainee, choice)
    assert (record.step, record.best_step, record.best_metric) == (5, 3 if best_step > 0 else 5, best or "none")
    assert record.epoch == pytest.approx(5 / 3)
    assert record.num_parameters == sum(parameter.numel() for parameter in trainee.model.parameters())
    assert (record.num_trained_parameters, record.published) == (record.num_parameters, "model")
    assert record.engine["wrapped_class"] == "Published"
    assert record.engine["choice"]["mode"] == "single"


def test_fillers_of_a_plan_reach_the_model_with_no_weight(make):
    """The whole way from plan to loss: a step of one example on two ranks."""
    batch = next(iter(train.make_feed(rows(1), make()[0], RowsTask(), OneRank(1, 2))[0].batches))
    assert batch.weights.tolist() == [0.0]
    assert MicroBatch((0,), filler=True).filler


def test_the_engine_is_chosen_from_the_model_s_size(run_dir, tmp_path, caplog):
    tiny.write_model(run_dir.input_model)
    with caplog.at_level("INFO"):
        choice = train.choose_engine(run_dir, tiny.settings(tmp_path))
    assert (choice.mode, choice.micro_batch_tokens) == ("single", 16384)
    assert "Engine single on 1 process(es)" in caplog.text


def test_more_processes_than_examples_of_a_step(run_dir, tmp_path, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "17")
    with pytest.raises(SettingsError, match=r"JOB_TRAIN__GLOBAL_BATCH_SIZE.*17") as caught:
        train.choose_engine(run_dir, tiny.settings(tmp_path))
    assert "17 or more" in caught.value.hint
