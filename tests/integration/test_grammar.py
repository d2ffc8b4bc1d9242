"""A small decoder with random weights learns by supervised fine-tuning what it could not know: the answers of a made-up grammar."""

import random

import torch
from datasets import load_from_disk

from job.workers import train
from job.workers.loop import Loop, Parts
from job.workers.optimizer import make_optimizer
from job.workers.state import TrainState
from tests.support import language
from tests.support.training import OneRank

NOUNS = "bil dar fon gam hes jul kep lom".split()
STEPS = 150


def question(draw):
    return [draw.choice(NOUNS) for _ in range(3)]


def answer(words):
    """The grammar: the words backwards, the first of them doubled, and an end that the last word's first letter decides."""
    turned = words[::-1]
    return " ".join([turned[0], *turned, "ka" if turned[-1][0] < "h" else "mo"])


def chats(count, seed):
    draw = random.Random(seed)
    asked = [question(draw) for _ in range(count)]
    rows = [[("user", " ".join(words)), ("assistant", answer(words))] for words in asked]
    return language.json_lines([{"messages": [{"role": role, "content": content} for role, content in row]} for row in rows])


def test_the_grammar_is_learned(tmp_path):
    language.write_llama(tmp_path / "model", hidden_size=64, intermediate_size=128, num_key_value_heads=4)
    data = {"train": ("a.jsonl", chats(400, 1)), "eval": ("e.jsonl", chats(30, 2))}
    settings = {"TASK": "sft", "TRAIN__GLOBAL_BATCH_SIZE": "32", "TRAIN__LEARNING_RATE": "3e-3", "LIMITS__MAX_LEAKED_SHARE": "1"}
    run_dir, chosen = language.prepared(tmp_path, data, **settings, EVAL__NUM_SAMPLES="30", EVAL__SAMPLE_TOKENS="40")
    task, model = language.task_of(run_dir, chosen)
    assert right(task, model) == 0
    dataset, engine = load_from_disk(str(run_dir.prepared / "train")), OneRank()
    feed = train.make_feed(dataset, chosen, task, engine)
    loop = Loop(
        engine,
        chosen,
        Parts(model.train(), make_optimizer(model, chosen.train), lambda step: 3e-3 * (1 - step / STEPS), task, feed),
        TrainState(),
    )
    for number in range(STEPS):
        loop.take_step(feed[number])
    assert right(task, model.eval()) > 0.8


def right(task, model):
    """Share of the prompts that are answered as the grammar has it, and then ended."""
    with torch.no_grad():
        samples = task.samples(model)
    said = [sample["text"].split("\n→ ") for sample in samples]
    return sum(answer(words(prompt)) + "<|im_end|>" == made for prompt, made in said) / len(said)


def words(prompt):
    return prompt.removeprefix("<|im_start|>user\n").split("<|im_end|>")[0].split()
