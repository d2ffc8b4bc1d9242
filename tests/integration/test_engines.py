"""Engine × {train, checkpoint, resume on as many processes, resume on another number, publish, evaluate}: real engines, real groups.

Every engine trains the same 50 steps on padding-heavy data without dropout, and is held against one process.  A run is trained
to its end, and once more from its checkpoint in the middle: by the same engine on as many processes, and along a chain in which
each link has another engine or number of processes.  Process groups are few, because importing the libraries is what takes time.
"""

import itertools
import json
import shutil

import numpy as np
import pytest
import torch
from datasets import load_from_disk
from safetensors.torch import load_file

from job import run_dir as run_dirs
from job.workers.engine import loss_scale
from job.workers.weights import load_published
from tests.support import engine_cells, jobs, tiny
from tests.support.engine_cells import ALL, BIT_EXACT, LINKS, SETTINGS, ZERO

STEPS, MIDDLE = 50, 25
NO_DROPOUT = {"dropout": 0.0, "attention_dropout": 0.0, "seq_classif_dropout": 0.0}
WEIGHT_TOLERANCE = 2e-6
"""Largest difference of any weight after 50 steps of rate 1e-3, which move weights by up to 5e-2."""
COMMON = {
    "TRAIN__MAX_STEPS": str(STEPS),
    "TRAIN__MICRO_BATCH_TOKENS": "80",
    "TRAIN__LOG_EVERY_STEPS": "1",
    "TRAIN__MAX_GRAD_NORM": "0.05",
    "TRAIN__CLASS_WEIGHTS": "balanced",
    "TRAIN__SCHEDULE": "cosine",
    "TRAIN__WARMUP_RATIO": "0.1",
    "TRAIN__WEIGHT_DECAY": "0.01",
    "CHECKPOINT__EVERY_STEPS": str(MIDDLE),
    "EVAL__EVERY_STEPS": "20",
    "PARALLEL__REPLICA_CHECK_STEPS": "10",
}


def make(folder, name, engine_settings, **more):
    return tiny.prepared_run(
        folder,
        name,
        train=16 * 13 - 5,  # every thirteenth step is an epoch's last and incomplete
        **{**COMMON, **engine_settings, **more},
    )


def continued(folder, name, engine_settings, checkpoint, **more):
    run_dir = make(folder, name, engine_settings, **more)
    shutil.copytree(checkpoint, run_dir.input_checkpoint)
    return run_dir


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("engines")
    tiny.write_model(folder / "model", **NO_DROPOUT)
    return folder


@pytest.fixture(scope="module")
def whole(folder):
    """The undisturbed run of every cell."""
    runs = {(world, engine): make(folder, f"whole-{world}-{engine}", SETTINGS[world][engine]) for world, engine in ALL}
    for world in SETTINGS:
        tiny.train_all([run for (of, _), run in runs.items() if of == world], world)
    return runs


@pytest.fixture(scope="module")
def halves(folder, whole):
    """Continued from the middle by the same engine on as many processes."""
    runs = {
        (world, engine): continued(
            folder, f"half-{world}-{engine}", SETTINGS[world][engine], whole[world, engine].checkpoint(MIDDLE)
        )
        for world, engine in BIT_EXACT
    }
    for world in {world for world, _ in BIT_EXACT}:
        tiny.train_all([run for (of, _), run in runs.items() if of == world], world)
    return runs


def weights(run_dir, step=STEPS):
    return load_file(run_dir.checkpoint(step) / "model.safetensors")


def moments(run_dir, step=STEPS):
    """All of the optimizer's state by name and key, put together again."""
    found = {}
    for path in sorted(run_dir.checkpoint(step).glob("optimizer*.safetensors")):
        for name, tensor in load_file(path).items():
            if not name.endswith("/step"):
                found.setdefault(name, []).append(tensor.flatten())
    return {name: torch.cat(parts) for name, parts in found.items()}


def furthest(ours, theirs):
    assert ours.keys() == theirs.keys()
    return max(float((ours[name].flatten() - theirs[name].flatten()).abs().max()) for name in ours)


def records(run_dir, key="train/loss"):
    return [record for record in map(json.loads, run_dir.metrics.read_text().splitlines()) if key in record]


@pytest.mark.parametrize(("world", "engine"), ALL)
def test_train(whole, world, engine):
    """The same losses, gradient norms and weights as one process."""
    ours, reference = whole[world, engine], whole[1, "single"]
    assert furthest(weights(ours), weights(reference)) < WEIGHT_TOLERANCE
    assert furthest(weights(reference), weights(reference, MIDDLE)) > 1000 * WEIGHT_TOLERANCE
    for key in ("train/loss", "train/grad_norm"):
        pairs = zip(records(ours), records(reference), strict=True)
        assert all(mine[key] == pytest.approx(theirs[key], rel=1e-4) for mine, theirs in pairs)
    assert max(record["train/grad_norm"] for record in records(reference)) > 0.05  # clipping had something to do
    described = run_dirs.read_json(ours.root / "train.json")["engine"]
    assert (described["kind"], described["world_size"]) == (engine.partition("-")[0], world)


@pytest.mark.parametrize(("world", "engine"), ALL)
def test_checkpoint(whole, world, engine):
    """Complete, each rank's part a file of its own, in nothing but safetensors and JSON; the state equals one process's."""
    ours, reference = whole[world, engine], whole[1, "single"]
    names = {path.name for path in ours.checkpoint(STEPS).iterdir()}
    parts = {f"optimizer-{rank:05d}-of-{world:05d}.safetensors" for rank in range(1, world + 1)}
    assert {name for name in names if name.startswith("optimizer")} == (parts if "zero" in engine else {"optimizer.safetensors"})
    assert {name.rpartition(".")[2] for name in names} <= {"safetensors", "json", "jsonl"}
    assert furthest(moments(ours), moments(reference)) < 1e-5
    sizes = [(ours.checkpoint(STEPS) / name).stat().st_size for name in parts & names]
    assert not sizes or max(sizes) < 1.5 * sum(sizes) / len(sizes)


@pytest.mark.parametrize(("world", "engine"), BIT_EXACT)
def test_resume_on_as_many_processes_is_bit_exact(whole, halves, world, engine):
    ours, reference = halves[world, engine], whole[world, engine]
    assert furthest(weights(ours), weights(reference)) == 0
    assert furthest(moments(ours), moments(reference)) == 0
    for name in ("train/loss", "train/grad_norm"):
        assert [r[name] for r in records(ours)] == [r[name] for r in records(reference)]


@pytest.fixture(scope="module")
def chain(folder, whole):
    """One run that goes on with another engine and number of processes every few steps."""
    checkpoint, step, runs = whole[engine_cells.CHAIN[0]].checkpoint(MIDDLE), MIDDLE, []
    for number, (world, engine) in enumerate(LINKS, 1):
        step += (STEPS - MIDDLE) // len(LINKS)
        # One checkpoint on the way and the last: with a third, training would wait for an upload that nobody makes here.
        run = continued(folder, f"chain-{number}", SETTINGS[world][engine], checkpoint, CHECKPOINT__EVERY_STEPS=str(step))
        tiny.train_all([run], world)
        runs.append(run)
        checkpoint = run.checkpoint(step)
    return runs


@pytest.mark.parametrize("link", range(len(LINKS)), ids=[f"{world}-{engine}" for world, engine in LINKS])
def test_resume_on_another_number_of_processes_or_with_another_engine(whole, chain, link):
    """No example twice, none left out: every step's loss is that of the undisturbed run, and so are the weights in the end."""
    reference = {record["step"]: record["train/loss"] for record in records(whole[1, "single"])}
    found = {record["step"]: record["train/loss"] for record in records(chain[link])}
    assert found.keys() == reference.keys()
    assert all(found[step] == pytest.approx(reference[step], rel=1e-4) for step in reference)
    assert furthest(weights(chain[link]), weights(whole[1, "single"])) < WEIGHT_TOLERANCE


@pytest.mark.parametrize(("world", "engine"), ALL)
def test_publish(whole, world, engine):
    """What is published loads as a user loads it, and holds the best weights."""
    ours, reference = whole[world, engine], whole[1, "single"]
    loaded = load_published(ours.model).state_dict()
    best = run_dirs.read_json(ours.root / "train.json")["best_step"]
    kept = ours.checkpoint(STEPS) / ("best.safetensors" if best < STEPS else "model.safetensors")
    assert furthest(dict(loaded), load_file(kept)) == 0
    assert best == run_dirs.read_json(reference.root / "train.json")["best_step"]
    assert (ours.model / "tokenizer.json").exists()
    assert not list(ours.root.glob(".tmp-*"))


@pytest.mark.parametrize(("world", "engine"), ALL)
def test_evaluate(whole, world, engine):
    """Every example of the validation split once, with the scores of one process."""
    ours, reference = whole[world, engine], whole[1, "single"]
    key = "eval/accuracy"
    found, expected = records(ours, key), records(reference, key)
    assert [record["step"] for record in found] == [20, 40, 50]
    share = 1.5 / len(load_from_disk(str(ours.prepared / "eval")))  # one example on the edge may fall to the other side
    assert np.allclose([record[key] for record in found], [record[key] for record in expected], atol=share)


def test_the_table_of_engines_shows_the_tests_that_there_are(request):
    """docs/engines.md is written from the same cells: none without a test, no test that it does not show."""
    there = {item.name for item in request.node.getparent(pytest.Module).collect()}
    shown = tuple(f"{test}[" for test, _ in engine_cells.COLUMNS.values())
    assert {name for name in there if name.startswith(shown)} == engine_cells.tests()
    assert all(before[0] != after[0] for before, after in itertools.pairwise(engine_cells.CHAIN))


SABOTAGED = {
    "disengaged": (ZERO["zero2"], "the model is a DistilBertForSequenceClassification"),
    "lonely-zero": (ZERO["zero2"], "The process group has 1 processes"),
    "lonely-ddp": ({}, "The process group has 1 processes"),
    "unreplicated": ({}, "the model is a DistilBertForSequenceClassification"),
    "stageless": (ZERO["zero3"], "runs ZeRO-1"),
    "unsharded-zero": (ZERO["zero1"], "were trained on more than once, on ranks [0, 1]"),
    "unsharded-ddp": ({}, "were trained on more than once, on ranks [0, 1]"),
    "unsynchronised": ({}, "The weights on rank 1 differ"),
    "bitflip": ({}, "The weights on rank 1 differ"),
    "bitflip-saved": (
        {"PARALLEL__REPLICA_CHECK_STEPS": "1000", "CHECKPOINT__EVERY_STEPS": "6"},
        "The weights on rank 1 differ",
    ),
}


@pytest.fixture(scope="module")
def sabotaged(folder):
    cells = {name: engine_settings for name, (engine_settings, _) in SABOTAGED.items()} | {"scarce": {}, "undisturbed": {}}
    runs = {
        name: make(folder, name, engine_settings, TRAIN__MAX_STEPS="12", EVAL__EVERY_STEPS="1000")
        for name, engine_settings in cells.items()
    }
    tiny.train_all(list(runs.values()), 2)
    return runs


@pytest.mark.parametrize("name", SABOTAGED)
def test_an_engine_that_is_switched_off_underneath_is_noticed(sabotaged, name):
    for rank in (0, 1):
        outcome = run_dirs.read_json(sabotaged[name].root / f"sabotaged-{rank}.json")
        assert outcome is not None, "trained to its end"
        assert outcome["code"] == 70
        assert SABOTAGED[name][1] in outcome["message"]


def test_deepspeed_s_loss_scale_goes_on_where_it_stopped():
    """Its own scaler of float16, which no CPU trains with: the scale, how long it has been good, and the patience that is left."""
    from deepspeed.runtime.fp16.loss_scaler import DynamicLossScaler

    def scaler(init_scale):
        return DynamicLossScaler(init_scale, scale_window=3, min_scale=1, delayed_shift=2, consecutive_hysteresis=False)

    first, second, unlike = scaler(8.0), scaler(65536.0), torch.amp.GradScaler("cpu", growth_interval=3)
    # As an overflow in its eighth step leaves it two steps later; to go through one it wants a process group.
    first.cur_iter, first.last_overflow_iter, first.cur_hysteresis = 10, 7, 1
    kept = loss_scale.read(first)
    assert kept == {"scale": 8.0, "good_steps": 2, "hysteresis": 1}
    for other in (second, unlike):
        loss_scale.restore(other, kept)
    assert loss_scale.read(second) == kept
    assert (unlike.get_scale(), loss_scale.read(unlike)["good_steps"]) == (8.0, 2)
    scales = []
    for _ in range(5):
        for each in (first, second):
            each.update_scale(overflow=False)
        scales.append((first.cur_scale, second.cur_scale))
    assert scales == [(8.0, 8.0), (16.0, 16.0), (16.0, 16.0), (16.0, 16.0), (32.0, 32.0)]


def test_replicas_that_differ_are_never_saved(sabotaged):
    assert list(sabotaged["bitflip-saved"].root.glob("checkpoints/step-*")) == []


def test_a_rank_that_is_short_of_memory_changes_nothing_but_the_cut(sabotaged):
    """Both ranks take the step again, from the state before it and in smaller micro-batches: same examples, same update."""
    for rank in (0, 1):
        assert run_dirs.read_json(sabotaged["scarce"].root / f"sabotaged-{rank}.json") is None
    assert furthest(weights(sabotaged["scarce"], 12), weights(sabotaged["undisturbed"], 12)) < WEIGHT_TOLERANCE
    assert [r["train/loss"] for r in records(sabotaged["scarce"])] == pytest.approx(
        [r["train/loss"] for r in records(sabotaged["undisturbed"])], rel=1e-5
    )
    shares = [[r["perf/padding_share"] for r in records(sabotaged[name])] for name in ("scarce", "undisturbed")]
    assert shares[0][:10] == shares[1][:10]
    assert shares[0][10:] != shares[1][10:]


def test_a_whole_job_with_zero_3_on_two_workers(tmp_path):
    """`job run` through publish: one log, one model, scored from its own bytes."""
    tiny.write_model(tmp_path / "model")
    tiny.write_csv(tmp_path / "train.csv", tiny.sentences(200))
    environ = tiny.environ(tmp_path, **ZERO["zero3"], PARALLEL__WORKERS_PER_NODE="2", CHECKPOINT__EVERY_STEPS="5")
    ended = jobs.run(environ, tmp_path / "log")
    assert ended.code == 0, ended.output
    entries = jobs.log_entries(tmp_path / "store", "tiny")
    assert [entry["kind"] for entry in entries if entry["kind"] in {"published", "complete"}] == ["published", "complete"]
    model = load_published(jobs.published(tmp_path / "store", "tiny"))
    assert sum(parameter.numel() for parameter in model.parameters()) > 0
