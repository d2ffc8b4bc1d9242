"""Preferences on a small decoder: against trl's own trainer, by two ranks as by one, and that the preference moves."""

import random

import datasets
import pytest
import torch
import trl
from datasets import load_from_disk

from job import run_dir as run_dirs
from job.errors import StopRequested
from job.run_dir import RunDir
from job.settings import resolved
from job.workers import train
from job.workers.engine import Engine
from job.workers.loop import Loop
from tests.support import language, tasks, tiny
from tests.support.inputs import as_json_lines

NOUNS, LIKED, DISLIKED = "film book song play".split(), "good great fine warm".split(), "bad poor dull cold".split()


def pairs(count, seed):
    """Of two answers to a question the friendly one is preferred; the questions do not say so."""
    draw = random.Random(seed)
    found = []
    for number in range(count):
        noun = draw.choice(NOUNS)
        answers = {
            "chosen": f" {noun} {number} was {draw.choice(LIKED)}",
            "rejected": f" a {draw.choice(DISLIKED)} {noun}" + " indeed" * draw.randint(0, 3),
        }
        found.append({"prompt": f"How was the {noun}? The", **answers})
    return found


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return language.write_llama(tmp_path_factory.mktemp("llama") / "model")


def place(folder, model, count=40, **more):
    splits = {"train": {"a.jsonl": as_json_lines(pairs(count, 0))}, "eval": {"a.jsonl": as_json_lines(pairs(11, 1))}}
    return tasks.prepared(folder, model, splits, **{"TASK": "dpo", "DATA__PROMPT_COLUMN": "prompt", **more})


STEPS = 20
EXACT = {
    "TRAIN__MAX_STEPS": str(STEPS),
    "TRAIN__MAX_GRAD_NORM": "0",
    "TRAIN__SCHEDULE": "constant",
    "TRAIN__LEARNING_RATE": "1e-3",
    "TRAIN__PADDING": "longest",
    "EVAL__BEST_METRIC": "none",
}


@pytest.mark.parametrize(
    ("loss", "beta"),
    [("sigmoid", 0.3), ("ipo", 0.2), ("sigmoid_norm", 2.0)],
)
@pytest.mark.filterwarnings("ignore")  # trl's own, of its dependencies
def test_losses_are_trls(tmp_path, model, loss, beta):
    """20 steps with the same pairs in the same order: losses agree to 1e-4 of their size."""
    changes = {"PREFERENCE__LOSS": loss, "PREFERENCE__BETA": str(beta)}
    run_dir = place(tmp_path, model, count=STEPS * 8, **EXACT, **changes)
    settings = resolved.read(run_dir.settings)
    engine = Engine.open(settings)
    ours = train.build(run_dir, settings, engine)
    ours.model.eval()  # no dropout: both see the same function
    steps = [ours.parts.feed[number] for number in range(STEPS)]
    given = load_from_disk(str(run_dir.prepared / "train"))
    drawn = [pairs(STEPS * 8, 0)[int(given[int(at)]["id"].split("-")[1]) - 1] for step in steps for at in step.examples]
    expected = trls_losses(tmp_path / "trl", run_dir, drawn, loss, beta)
    found = []
    for step in steps:
        result = Loop(engine, settings, ours.parts, ours.state).take_step(step)
        found.append(result.loss_sum / result.weight)
    assert len(expected) == STEPS
    assert found == pytest.approx(expected, rel=1e-4)
    assert abs(found[-1] - found[0]) > 0.05 * found[0]


def trls_losses(folder, run_dir, drawn, loss, beta):
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(run_dir.prepared / "tokenizer")
    start, frozen = (AutoModelForCausalLM.from_pretrained(run_dir.input_model) for _ in range(2))
    config = trl.DPOConfig(
        output_dir=str(folder),
        per_device_train_batch_size=8,
        max_steps=STEPS,
        learning_rate=1e-3,
        lr_scheduler_type="constant",
        max_grad_norm=0.0,
        weight_decay=0.0,
        loss_type=[loss],
        beta=beta,
        logging_steps=1,
        use_cpu=True,
        report_to=[],
        save_strategy="no",
        train_sampling_strategy="sequential",
        gradient_checkpointing=False,
        disable_dropout=True,
        bf16=False,
        max_length=None,
        disable_tqdm=True,
    )
    trainer = trl.DPOTrainer(start, frozen, config, train_dataset=datasets.Dataset.from_list(drawn), processing_class=tokenizer)
    trainer.train()
    return [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]


def test_the_preference_moves_and_the_report_says_so(tmp_path, model):
    run_dir = place(tmp_path, model, count=64, TRAIN__EPOCHS="6", TRAIN__LEARNING_RATE="3e-3", PREFERENCE__BETA="0.1")
    ledger = run_dirs.read_json(run_dir.prepared / "ledger.json")
    assert "⟦" in ledger["samples"][0]["text"]
    report = tasks.finished(run_dir)
    assert report.main_metric == "reward_accuracy"
    assert report.metrics["reward_accuracy"] == 1.0
    assert report.metrics["reward_margin"] > 1.0
    assert report.baselines["untrained"]["reward_margin"] == pytest.approx(0, abs=1e-5)
    assert report.baselines["untrained"]["kl"] == pytest.approx(0, abs=1e-5)
    # The references are computed once for each split: the evaluation finds what training left for the validation split.
    kept = sorted(path.name.split("-reference-")[0] for path in run_dir.prepared.glob("*-reference-*.json"))
    assert kept == ["eval", "train"]


def test_the_reference_is_read_again_only_for_the_same_content(tmp_path, model, monkeypatch):
    from job.workers import reference

    run_dir = place(tmp_path, model)
    settings = resolved.read(run_dir.settings)
    engine = Engine.open(settings)
    first = train.build(run_dir, settings, engine)
    computed = []
    compute = reference._compute
    monkeypatch.setattr(reference, "_compute", lambda *given: computed.append(given) or compute(*given))
    again = train.build(run_dir, settings, engine)
    assert not computed
    assert again.held_out["reference_chosen"][:] == first.held_out["reference_chosen"][:]
    language.write_llama(run_dir.input_model, seed=5)
    other = train.build(run_dir, settings, engine)
    assert len(computed) == 2
    assert other.held_out["reference_chosen"][:] != first.held_out["reference_chosen"][:]


def test_a_stop_ends_the_pass_of_references(tmp_path, model):
    run_dir = place(tmp_path, model)
    run_dir.stop.touch()
    settings = resolved.read(run_dir.settings)
    with pytest.raises(StopRequested, match="before the first step"):
        train.build(run_dir, settings, Engine.open(settings))
    assert not list(run_dir.prepared.glob("*-reference-*"))


def test_two_ranks_train_as_one(tmp_path, model):
    """The same global batches on one process and on two, cut finely: the same weights but for rounding."""
    folders = {}
    for world_size in (1, 2):
        run_dir = place(tmp_path / str(world_size), model, **EXACT, TRAIN__MICRO_BATCH_SIZE="2", PREFERENCE__BETA="0.3")
        tiny.train_all([run_dir], world_size)
        folders[world_size] = run_dir
    one, two = (weights(run_dir) for run_dir in folders.values())
    assert all(torch.allclose(one[name], two[name], atol=2e-5) for name in one)
    losses = [[record["train/loss"] for record in metrics(run_dir) if "train/loss" in record] for run_dir in folders.values()]
    assert losses[0] == pytest.approx(losses[1], rel=1e-4)
    evaluated = [
        [record["eval/reward_margin"] for record in metrics(run_dir) if "eval/reward_margin" in record]
        for run_dir in folders.values()
    ]
    assert evaluated[0]
    assert evaluated[0] == pytest.approx(evaluated[1], rel=1e-3)


def weights(run_dir: RunDir):
    from safetensors.torch import load_file

    return load_file(run_dir.model / "model.safetensors")


def metrics(run_dir: RunDir):
    import json

    return [json.loads(line) for line in run_dir.metrics.read_text().splitlines()]
