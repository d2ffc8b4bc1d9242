"""Answers judged one by one, on a small decoder: against trl's own trainer, by two ranks and any cut as by one, and that it learns."""

import json

import datasets
import numpy as np
import pytest
import torch
import trl
from datasets import load_from_disk
from safetensors.torch import load_file

from job import run_dir as run_dirs
from job.settings import resolved
from job.workers import train
from job.workers.engine import Engine
from job.workers.loop import Loop
from tests.integration.test_preference import pairs
from tests.support import language, tasks, tiny
from tests.support.inputs import as_json_lines

STEPS, BATCH = 20, 8
BETA, GOOD, BAD = 0.3, 1.3, 0.7
EXACT = {
    "TRAIN__MAX_STEPS": str(STEPS),
    "TRAIN__GLOBAL_BATCH_SIZE": str(BATCH),
    "TRAIN__MAX_GRAD_NORM": "0",
    "TRAIN__SCHEDULE": "constant",
    "TRAIN__LEARNING_RATE": "1e-3",
    "TRAIN__PADDING": "longest",
    "EVAL__BEST_METRIC": "none",
    "PREFERENCE__BETA": str(BETA),
    "PREFERENCE__DESIRABLE_WEIGHT": str(GOOD),
    "PREFERENCE__UNDESIRABLE_WEIGHT": str(BAD),
}


def judged(count, seed):
    """The answers of the pairs, one by one."""
    rows = [
        {"prompt": pair["prompt"], "completion": pair[side], "label": side == "chosen"}
        for pair in pairs(count // 2, seed)
        for side in ("chosen", "rejected")
    ]
    return [rows[at] for at in np.random.default_rng(seed).permutation(len(rows))]


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return language.write_llama(tmp_path_factory.mktemp("llama") / "model")


def place(folder, model, count=40, **more):
    splits = {"train": {"a.jsonl": as_json_lines(judged(count, 0))}, "eval": {"a.jsonl": as_json_lines(judged(12, 1))}}
    return tasks.prepared(folder, model, splits, **{"TASK": "kto", "DATA__PROMPT_COLUMN": "prompt", **more})


@pytest.mark.filterwarnings("ignore")  # trl's own, of its dependencies
def test_losses_are_trls(tmp_path, model):
    """20 steps with the same answers in the same order: losses agree to 1e-4 of their size.

    trl gives each prompt the answer before it in its batch, so ours get those here, in place of the row before.
    """
    count = STEPS * BATCH
    run_dir = place(tmp_path, model, count=count, **EXACT)
    settings = resolved.read(run_dir.settings)
    engine = Engine.open(settings)
    order = [train.build(run_dir, settings, engine).parts.feed[number].examples for number in range(STEPS)]
    given = load_from_disk(str(run_dir.prepared / "train"))
    rows = {int(at): given[int(at)] for step in order for at in step}
    for step in order:
        for at, before in zip(step, np.roll(step, 1), strict=True):
            ids, targets = (rows[int(at)][f"answer_{part}"] for part in ("ids", "targets"))
            other, marks = (rows[int(before)][f"answer_{part}"] for part in ("ids", "targets"))
            answer = [token for token, mark in zip(other, marks, strict=True) if mark]
            asked = ids[: targets.index(1)]
            rows[int(at)] |= {"mismatched_ids": asked + answer, "mismatched_targets": [0] * len(asked) + [1] * len(answer)}
    changed = datasets.Dataset.from_list([rows[at] for at in range(count)], features=given.features)
    changed.save_to_disk(str(tmp_path / "changed"))
    (run_dir.prepared / "train").rename(tmp_path / "as-prepared")
    (tmp_path / "changed").rename(run_dir.prepared / "train")

    ours = train.build(run_dir, settings, engine)
    ours.model.eval()  # no dropout: both see the same function
    raw = judged(count, 0)
    drawn = [raw[int(rows[int(at)]["id"].split("-")[1]) - 1] for step in order for at in step]
    expected, divergences = trls(tmp_path / "trl", run_dir, drawn)
    found, seen = [], []
    for number in range(STEPS):
        step = ours.parts.feed[number]
        assert step.examples.tolist() == order[number].tolist()
        seen.append(float(ours.parts.task.foresee(ours.parts.wrapped, step.batches, engine)[0].extras["divergence"][0]))
        result = Loop(engine, settings, ours.parts, ours.state).take_step(step)
        found.append(result.loss_sum / result.weight)
    assert len(expected) == STEPS
    assert found == pytest.approx(expected, rel=1e-4)
    assert seen == pytest.approx(divergences, rel=1e-3, abs=1e-4)
    assert max(seen) > 0.1
    assert found[-1] < 0.9 * found[0]


def trls(folder, run_dir, drawn):
    """trl's losses and divergences, step by step."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(run_dir.prepared / "tokenizer")
    start, frozen = (AutoModelForCausalLM.from_pretrained(run_dir.input_model) for _ in range(2))
    config = trl.KTOConfig(
        output_dir=str(folder),
        per_device_train_batch_size=BATCH,
        max_steps=STEPS,
        learning_rate=1e-3,
        lr_scheduler_type="constant",
        max_grad_norm=0.0,
        weight_decay=0.0,
        loss_type="kto",
        beta=BETA,
        desirable_weight=GOOD,
        undesirable_weight=BAD,
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
    trainer = trl.KTOTrainer(start, frozen, config, train_dataset=datasets.Dataset.from_list(drawn), processing_class=tokenizer)
    trainer.train()
    logged = [entry for entry in trainer.state.log_history if "loss" in entry]
    return [entry["loss"] for entry in logged], [entry["kl"] for entry in logged]


def test_good_answers_become_likelier_and_the_report_says_so(tmp_path, model):
    run_dir = place(tmp_path, model, count=96, TRAIN__EPOCHS="6", TRAIN__LEARNING_RATE="3e-3", PREFERENCE__BETA="0.1")
    ledger = run_dirs.read_json(run_dir.prepared / "ledger.json")
    assert "⟦" in ledger["samples"][0]["text"]
    assert "48 of 96 answers are judged good." in json.dumps(ledger)
    report = tasks.finished(run_dir)
    assert report.main_metric == "reward_accuracy"
    assert report.metrics["reward_accuracy"] >= 0.9
    assert report.metrics["reward_desirable"] > report.metrics["reward_undesirable"] + 1
    assert report.baselines["untrained"]["reward_accuracy"] == pytest.approx(0, abs=0.5)
    assert report.baselines["untrained"]["reward_margin"] == pytest.approx(0, abs=1e-5)
    kept = sorted(path.name.split("-reference-")[0] for path in run_dir.prepared.glob("*-reference-*.json"))
    assert kept == ["eval", "train"]


def test_two_ranks_and_a_finer_cut_train_as_one(tmp_path, model):
    """The divergence is that of the whole step: the same weights but for rounding, however the step is cut and shared."""
    runs = []
    for world_size, cut in ((1, "8"), (1, "2"), (2, "2")):
        run_dir = place(tmp_path / f"{world_size}-{cut}", model, **EXACT, TRAIN__MICRO_BATCH_SIZE=cut)
        tiny.train_all([run_dir], world_size)
        runs.append(run_dir)
    first, *others = (load_file(run_dir.model / "model.safetensors") for run_dir in runs)
    for other in others:
        assert all(torch.allclose(first[name], other[name], atol=2e-5) for name in first)
    records = [[json.loads(line) for line in run_dir.metrics.read_text().splitlines()] for run_dir in runs]
    losses, scores = ([[record[name] for record in run if name in record] for run in records] for name in ("train/loss", "eval/kl"))
    for found in (losses, scores):
        assert found[0]
        assert all(one == pytest.approx(found[0], rel=1e-3, abs=1e-5) for one in found)
