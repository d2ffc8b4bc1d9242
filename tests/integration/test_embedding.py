"""Embeddings: sentence-transformers' loss over 20 steps, the same weights whatever the cut and the ranks, its own reader of the folder."""

import json
import random

import numpy as np
import pytest
import torch
from datasets import load_from_disk
from safetensors.torch import load_file
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.losses import MultipleNegativesRankingLoss

from job.settings import resolved
from job.workers import train
from job.workers.engine import Engine
from job.workers.loop import Loop
from job.workers.pooling import pool
from tests.support import model_folders, tasks, tiny
from tests.support.inputs import as_json_lines

EXACT = {
    "TASK": "embedding",
    "TRAIN__MAX_STEPS": "20",
    "TRAIN__MAX_GRAD_NORM": "0",
    "TRAIN__SCHEDULE": "constant",
    "TRAIN__LEARNING_RATE": "1e-3",
    "EVAL__BEST_METRIC": "none",
}


def triplets(count, seed):
    """Anchors and positives share a word that stands in no other pair of a step, often."""
    draw = random.Random(seed)
    words = [word for group in tiny.WORDS.values() for word in group]
    found = []
    for _ in range(count):
        shared = draw.sample(words, 2)
        filler = lambda: draw.choices(words, k=draw.randint(1, 4))  # noqa: E731
        found.append(
            {"anchor": " ".join([*shared, *filler()]), "positive": " ".join([*filler(), *shared]), "negative": " ".join(filler())}
        )
    return found


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return model_folders.write(tmp_path_factory.mktemp("bert") / "model", "bert", hidden_dropout_prob=0.1)


def place(folder, model, count=160, **more):
    splits = {"train": {"a.jsonl": as_json_lines(triplets(count, 0))}, "eval": {"a.jsonl": as_json_lines(triplets(30, 1))}}
    return tasks.prepared(folder, model, splits, **{**EXACT, **more})


@pytest.mark.parametrize("negatives", [False, True])
@pytest.mark.parametrize("micro_batch", [None, "3"])
def test_losses_are_sentence_transformers(tmp_path, model, negatives, micro_batch):
    """20 steps: its loss on the embeddings of the whole step, its gradient by plain backward; ours whole and in pieces, to 1e-4."""
    more = {"DATA__NEGATIVE_COLUMN": "negative"} if negatives else {}
    if micro_batch:
        more["TRAIN__MICRO_BATCH_SIZE"] = micro_batch
    run_dir = place(tmp_path, model, **more)
    settings = resolved.read(run_dir.settings)
    engine = Engine.open(settings)
    ours, theirs = (train.build(run_dir, settings, engine) for _ in range(2))
    reference = MultipleNegativesRankingLoss(torch.nn.Identity(), scale=20.0)
    for trainee in (ours, theirs):
        trainee.model.eval()  # no dropout: both see the same function
    dataset = load_from_disk(str(run_dir.prepared / "train"))
    losses = []
    for number in range(20):
        step = ours.parts.feed[number]
        assert (len(step.batches) > 1) == (micro_batch is not None)
        batch = theirs.parts.task.collate([dataset[int(at)] for at in step.examples])
        hidden = theirs.model(**batch.inputs).last_hidden_state
        columns = pool("mean", hidden, batch.inputs["attention_mask"]).chunk(2 + negatives)
        loss = reference.compute_loss_from_embeddings(list(columns), torch.zeros(0))
        loss.backward()
        for group in theirs.parts.optimizer.param_groups:
            group["lr"] = 1e-3
        theirs.parts.optimizer.step()
        theirs.parts.optimizer.zero_grad()
        result = Loop(engine, settings, ours.parts, ours.state).take_step(step)
        assert result.loss_sum / result.weight == pytest.approx(float(loss.detach()), rel=1e-4), number
        losses.append(float(loss.detach()))
    assert len(set(losses)) == 20


def test_the_cut_and_the_ranks_change_nothing_but_rounding(tmp_path, model):
    """Dropout off, as ranks draw apart: one process at once, one in pieces, two ranks at once and in pieces."""
    quiet = model_folders.write(tmp_path / "quiet", "bert", hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0)
    found = {}
    for world_size in (1, 2):
        run_dirs = [
            place(tmp_path / f"{world_size}-{size}", quiet, TRAIN__GLOBAL_BATCH_SIZE="10", TRAIN__MICRO_BATCH_SIZE=str(size))
            for size in (3, 10)
        ]
        tiny.train_all(run_dirs, world_size)
        for run_dir, size in zip(run_dirs, (3, 10), strict=True):
            records = [json.loads(line) for line in run_dir.metrics.read_text().splitlines()]
            losses = [record["train/loss"] for record in records if "train/loss" in record]
            found[world_size, size] = load_file(run_dir.model / "model.safetensors"), losses
    weights, losses = found[1, 10]
    # Attention does not depend on the keys' bias: its gradient is rounding, of which Adam makes whole steps.
    compared = [name for name in weights if not name.endswith("key.bias")]
    for other, values in found.values():
        assert values == pytest.approx(losses, rel=1e-4)
        assert all(torch.allclose(weights[name], other[name], atol=1e-5) for name in compared)


def test_dropout_is_drawn_the_same_in_both_passes(tmp_path, model):
    """With dropout, the loss that the first pass saw is the one that the second pass's gradient belongs to."""
    run_dir = place(tmp_path, model, TRAIN__MICRO_BATCH_SIZE="3")
    settings = resolved.read(run_dir.settings)
    engine = Engine.open(settings)
    built = train.build(run_dir, settings, engine)
    task, step = built.parts.task, built.parts.feed[0]
    seen = []
    embed = task._embed
    task._embed = lambda model, batch: seen.append(embed(model, batch)) or seen[-1]
    Loop(engine, settings, built.parts, built.state).take_step(step)
    first, second = seen[: len(step.batches)], seen[len(step.batches) :]
    assert len(first) == len(second) > 1
    for one, other in zip(first, second, strict=True):
        assert torch.equal(one, other.detach())
        assert other.requires_grad
    torch.manual_seed(1)
    assert not torch.equal(first[0], embed(built.model, step.batches[0]).detach())


def translations(count, seed):
    """Three words, and the three that a fixed table gives for them, in any order."""
    words = [word for group in tiny.WORDS.values() for word in group]
    table = dict(zip(words, random.Random(0).sample(words, len(words)), strict=True))
    draw = random.Random(seed)
    drawn = [draw.sample(words, 3) for _ in range(count)]
    return [{"anchor": " ".join(given), "positive": " ".join(draw.sample([table[word] for word in given], 3))} for given in drawn]


def test_it_learns_and_sentence_transformers_reads_the_folder(tmp_path):
    still = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0, "initializer_range": 0.1}
    model = model_folders.write(tmp_path / "model", "bert", hidden_size=32, **still)
    splits = {"train": {"a.jsonl": as_json_lines(translations(600, 1))}, "eval": {"a.jsonl": as_json_lines(translations(40, 2))}}
    changes = {
        "TRAIN__MAX_STEPS": "200",
        "TRAIN__LEARNING_RATE": "1e-2",
        "TRAIN__GLOBAL_BATCH_SIZE": "32",
        "EVAL__EVERY_STEPS": "200",
    }
    run_dir = tasks.prepared(tmp_path / "run", model, splits, TASK="embedding", **changes)
    report = tasks.finished(run_dir)
    assert report.pipeline_tag == "sentence-similarity"
    assert report.metrics["mrr"] > 2 * report.baselines["untrained"]["mrr"]
    assert report.interval["value"] == pytest.approx(report.metrics["mrr"])
    reader = SentenceTransformer(str(run_dir.model), device="cpu")
    given = translations(40, 2)
    queries, texts = (reader.encode([row[name] for row in given]) for name in ("anchor", "positive"))
    similarities = reader.similarity(queries, texts).numpy()
    places = 1 + (similarities > similarities.diagonal()[:, None]).sum(axis=1)
    assert float(np.mean(1 / places)) == pytest.approx(report.metrics["mrr"], abs=1e-6)
