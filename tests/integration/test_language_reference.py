"""Twenty steps beside the reference implementations, on the same batches: transformers' own head losses, and trl's SFT trainer.

And the same documents packed and unpacked: the same losses, token by token.
"""

import numpy as np
import pytest
import torch
from datasets import Dataset, load_from_disk

from job.workers import train
from job.workers.batching import Schedule
from job.workers.loop import Loop, Parts
from job.workers.optimizer import make_optimizer
from job.workers.scoring import Examples, score
from job.workers.state import TrainState
from job.workers.tasks.base import NOT_TRAINING
from tests.support import language, tiny
from tests.support.training import OneRank

STEPS, BATCH = 20, 4
STEP = {
    "TRAIN__GLOBAL_BATCH_SIZE": str(BATCH),
    "TRAIN__LEARNING_RATE": "1e-3",
    "TRAIN__SCHEDULE": "constant",
    "TRAIN__PRECISION": "fp32",
}


class InOrder(Schedule):
    """The examples as they stand in the data."""

    def epoch_order(self, epoch):
        return np.arange(len(self.lengths))


def ours(run_dir, settings, model, task):
    """Losses of the job's own loop, and the feed it took its steps from."""
    dataset = load_from_disk(str(run_dir.prepared / "train"))
    engine = OneRank()
    engine.settings = settings
    feed = train.make_feed(dataset, settings, task, engine)
    feed.schedule = InOrder(feed.schedule.lengths, BATCH, settings.run.seed)
    loop = Loop(engine, settings, Parts(model, make_optimizer(model, settings.train), lambda _: 1e-3, task, feed), TrainState())
    results = [loop.take_step(feed[number]) for number in range(STEPS)]
    return [result.loss_sum / result.weight for result in results], feed


def start(run_dir, settings):
    task, model = language.task_of(run_dir, settings)
    return task, model.eval()  # without dropout: what is compared is the arithmetic


def by_hand(model, batches):
    """Losses of transformers' own loss under plain AdamW with the same clipping."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=0.0)
    losses = []
    for batch in batches:
        loss = model(**batch).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss.item())
    return losses


def padded(rows, value):
    return torch.nn.utils.rnn.pad_sequence([torch.tensor(row) for row in rows], batch_first=True, padding_value=value)


def whole_batch(kind, task, rows, epoch):
    """A step's examples as one padded batch, as one feeds them to transformers."""
    if kind == "text-classification":
        batch = task.collate(rows)
        return {**batch.inputs, "labels": batch.labels}
    mask = padded([[1] * len(row["input_ids"]) for row in rows], 0)
    if kind == "masked-lm":
        read, sought = zip(*(task.targets_of(row, epoch) for row in rows), strict=True)
        return {"input_ids": padded(read, 0), "attention_mask": mask, "labels": padded(sought, -100)}
    ids = padded([row["input_ids"] for row in rows], 0)
    return {"input_ids": ids, "attention_mask": mask, "labels": torch.where(mask == 1, ids, -100)}


@pytest.mark.parametrize("kind", ["text-classification", "masked-lm", "causal-lm"])
def test_the_losses_are_those_of_transformers(tmp_path, kind):
    data = {split: ("a.jsonl", language.documents(96, seed)) for seed, split in enumerate(("train", "eval"))}
    if kind == "text-classification":
        lines = [{"text": text, "label": label} for text, label in tiny.sentences(96)]
        data = {split: ("a.jsonl", language.json_lines(lines)) for split in ("train", "eval")}
    if kind != "causal-lm":
        tiny.write_model(tmp_path / "model")
    more = {"DATA__PACKING": "off", "LIMITS__MAX_LEAKED_SHARE": "1"}
    run_dir, settings = language.prepared(tmp_path, data, TASK=kind, **STEP, **more)
    task, model = start(run_dir, settings)
    found, feed = ours(run_dir, settings, model, task)
    rows = [[feed._dataset[int(at)] for at in feed[number].examples] for number in range(STEPS)]
    epochs = [number // feed.schedule.steps_per_epoch for number in range(STEPS)]
    batches = [whole_batch(kind, task, each, epoch) for each, epoch in zip(rows, epochs, strict=True)]
    _, reference = start(run_dir, settings)
    assert found == pytest.approx(by_hand(reference, batches), rel=2e-5, abs=2e-6)
    assert min(found[-5:]) < found[0]


@pytest.mark.filterwarnings("default")
def test_the_losses_are_those_of_trl(tmp_path):
    from transformers import AutoModelForCausalLM, AutoTokenizer
    from trl import SFTConfig, SFTTrainer

    language.write_llama(tmp_path / "model", template="marked")
    chats = {"train": ("a.jsonl", language.chats(STEPS * BATCH)), "eval": ("e.jsonl", language.chats(5, 1))}
    run_dir, settings = language.prepared(tmp_path, chats, TASK="sft", **STEP)
    task, model = start(run_dir, settings)
    found, _ = ours(run_dir, settings, model, task)
    import json

    given = [json.loads(line) for line in chats["train"][1].splitlines()]
    arguments = SFTConfig(
        output_dir=str(tmp_path / "trl"),
        assistant_only_loss=True,
        max_length=256,
        per_device_train_batch_size=BATCH,
        num_train_epochs=1,
        learning_rate=1e-3,
        lr_scheduler_type="constant",
        max_grad_norm=1.0,
        weight_decay=0.0,
        logging_steps=1,
        save_strategy="no",
        report_to=[],
        use_cpu=True,
        bf16=False,
        disable_tqdm=True,
        train_sampling_strategy="sequential",
    )
    tokenizer = AutoTokenizer.from_pretrained(run_dir.prepared / "tokenizer")
    reference = AutoModelForCausalLM.from_pretrained(run_dir.input_model, dtype=torch.float32)
    trainer = SFTTrainer(model=reference, args=arguments, train_dataset=Dataset.from_list(given), processing_class=tokenizer)
    trainer.train()
    theirs = [record["loss"] for record in trainer.state.log_history if "loss" in record]
    assert len(theirs) == STEPS
    assert found == pytest.approx(theirs, rel=1e-4, abs=1e-4)


@pytest.mark.parametrize("kind", ["causal-lm", "masked-lm"])
def test_packed_documents_have_the_losses_of_unpacked_ones(tmp_path, kind):
    data = {split: ("a.jsonl", language.documents(60, seed)) for seed, split in enumerate(("train", "eval"))}
    sums = {}
    for packing in ("on", "off"):
        folder = tmp_path / packing
        if kind == "masked-lm":
            tiny.write_model(folder / "model")
        whole = {"TRAIN__MASKED_SHARE": "0.9", "TRAIN__MASK_TOKEN_SHARE": "0", "TRAIN__RANDOM_TOKEN_SHARE": "0"}
        run_dir, settings = language.prepared(folder, data, TASK=kind, DATA__PACKING=packing, TRAIN__MAX_SEQ_LENGTH="64", **whole)
        task, model = start(run_dir, settings)
        dataset = load_from_disk(str(run_dir.prepared / "train"))
        found = {}
        for row in dataset:
            batch = task.collate([row], NOT_TRAINING)
            with torch.no_grad():
                losses, _, (_, places) = task._losses(model, batch)
            number = np.repeat(np.arange(len(row["pieces"])), row["pieces"])
            starts = np.cumsum([0, *row["pieces"]])
            for loss, place in zip(losses.tolist(), places.tolist(), strict=True):
                piece = number[place]
                words = tuple(row["input_ids"][starts[piece] : starts[piece + 1]])
                found[words, place - starts[piece]] = loss
        sums[packing] = found
        assert (max(map(len, dataset["pieces"])) > 1) == (packing == "on")
    both = sums["on"].keys() & sums["off"].keys()
    assert len(both) > 200
    assert [sums["on"][key] for key in both] == pytest.approx([sums["off"][key] for key in both], rel=1e-4, abs=1e-5)
    if kind == "causal-lm":
        assert sums["on"].keys() == sums["off"].keys()
    held_out = Examples(task, load_from_disk(str(run_dir.prepared / "eval")), 512)
    assert task.metrics(score(OneRank(), model, held_out))["num_tokens"] > 0
