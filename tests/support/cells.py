"""One small run for each task, method and engine of the job's table of combinations, and what has to be true of it afterwards."""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file

from job import run_dir as run_dirs
from job.run_dir import RunDir
from job.settings import resolved, root
from job.settings.combinations import METHODS, TRIED_TASKS, refusal
from tests.support import language, model_folders, seq2seq, tasks, tiny
from tests.support.inputs import as_json_lines

STEPS, SAVED = 3, 2
TOLERANCE = 1e-5
"""Largest difference of any weight to one process's after all steps; each step moves weights by up to 1e-2."""
COMMON = {
    "TRAIN__MAX_STEPS": str(STEPS),
    "TRAIN__LEARNING_RATE": "1e-2",
    "TRAIN__ADAM_EPSILON": "1e-3",  # a gradient that is rounding alone makes no whole step
    "TRAIN__SCHEDULE": "constant",
    "TRAIN__GLOBAL_BATCH_SIZE": "8",
    "TRAIN__MICRO_BATCH_SIZE": "2",
    "TRAIN__LOG_EVERY_STEPS": "1",
    "CHECKPOINT__EVERY_STEPS": str(SAVED),
    "EVAL__EVERY_STEPS": "1000",
    "EVAL__BEST_METRIC": "none",
    "EVAL__SAMPLE_TOKENS": "1",
    "EVAL__MAX_NEW_TOKENS": "2",
    "PARALLEL__REPLICA_CHECK_STEPS": "1",
}
HOW = {
    "full": {},
    "freeze": {"TUNING__METHOD": "freeze", "TUNING__TRAIN_LAST_LAYERS": "1"},
    "lora": {"TUNING__METHOD": "lora", "TUNING__LORA_RANK": "4", "TUNING__PUBLISH": "both"},
}
BY = {
    "single": {"PARALLEL__ENGINE": "single"},
    "ddp": {"PARALLEL__ENGINE": "ddp"},
    **{f"zero{stage}": {"PARALLEL__ENGINE": "deepspeed", "PARALLEL__ZERO_STAGE": str(stage)} for stage in (1, 2, 3)},
}
COUNTS = {"train": 40, "eval": 5}


@dataclass(frozen=True)
class Cell:
    """A task, a method, an engine."""

    task: str
    method: str
    engine: str

    @property
    def world_size(self) -> int:
        return 1 if self.engine == "single" else 2

    def __str__(self) -> str:
        return f"{self.task}-{self.method}-{self.engine}"


def trained_cells(*engines: str) -> list[Cell]:
    """The cells that are let through and need no GPU."""
    return [
        Cell(task, method, engine)
        for engine in engines
        for task in TRIED_TASKS
        for method in METHODS
        if method != "qlora" and not refusal(task, method, engine)
    ]


def _rows(task: str, count: int, seed: int) -> list[dict[str, Any]]:
    draw = random.Random(seed)
    texts = [text for text, _ in tiny.sentences(3 * count, seed, longest=10)]
    triples = [texts[3 * at : 3 * at + 3] for at in range(count)]
    raw = [{"text": text} for text in texts[:count]]
    compared = [{"prompt": one, "chosen": f" {other}", "rejected": f" {third}"} for one, other, third in triples]
    made: dict[str, list[dict[str, Any]]] = {
        "text-classification": [{"text": text, "label": label} for text, label in tiny.sentences(count, seed)],
        "token-classification": [
            {"tokens": text.split(), "tags": [draw.choice("AB") for _ in text.split()]} for text in texts[:count]
        ],
        "masked-lm": raw,
        "causal-lm": raw,
        "sft": [{"prompt": one, "completion": f" {other}"} for one, other, _ in triples],
        "dpo": compared,
        "kto": [{"prompt": one, "completion": f" {other}", "label": at % 3 > 0} for at, (one, other, _) in enumerate(triples)],
        "reward": compared,
        "embedding": [{"anchor": one, "positive": other} for one, other, _ in triples],
        "seq2seq": list(seq2seq.pairs(count, seed)),
    }
    return made[task]


COLUMNS = {
    "token-classification": {"DATA__TAG_SCHEME": "plain"},
    "masked-lm": {"DATA__TEXT_COLUMN": "text"},
    "causal-lm": {"DATA__TEXT_COLUMN": "text"},
    "sft": {"DATA__PROMPT_COLUMN": "prompt", "DATA__COMPLETION_COLUMN": "completion"},
    "dpo": {"DATA__PROMPT_COLUMN": "prompt"},
    "kto": {"DATA__PROMPT_COLUMN": "prompt"},
    "reward": {"DATA__PROMPT_COLUMN": "prompt"},
}
MODELS = {"masked-lm": "distilbert", "seq2seq": "t5", **dict.fromkeys(("causal-lm", "sft", "dpo", "kto", "reward"), "llama")}
"""Start models; where nothing stands, a BERT whose pooler no embedding calls."""


def write_models(folder: Path) -> None:
    """The start models, without dropout, because each rank draws its own."""
    still = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    model_folders.write(folder / "bert", "bert", **still)
    tiny.write_model(folder / "distilbert", dropout=0.0, attention_dropout=0.0)
    seq2seq.write_model(folder / "t5", "t5")
    language.write_llama(folder / "llama", template=None, tie_word_embeddings=True)


def prepare(folder: Path, task: str) -> RunDir:
    """The task's data, prepared once for all its cells."""
    splits = {split: {f"{split}.jsonl": as_json_lines(_rows(task, count, len(split)))} for split, count in COUNTS.items()}
    model = folder / MODELS.get(task, "bert")
    return tasks.prepared(folder / f"prepared-{task}", model, splits, TASK=task, **COLUMNS.get(task, {}), **COMMON)


def place(folder: Path, prepared: RunDir, cell: Cell, name: str, **more: str) -> RunDir:
    """A run of a cell before training; ``folder/name`` is its run directory."""
    run_dir = RunDir(folder / name)
    shutil.copytree(prepared.root, run_dir.root, symlinks=True)
    own = {**COLUMNS.get(cell.task, {}), **COMMON, **HOW[cell.method], **BY[cell.engine], **more}
    settings = root.load(tiny.environ(folder, TASK=cell.task, DATA__EVAL_URI="unused", **own))
    run_dirs.write_json(run_dir.settings, resolved.dump(settings))
    return run_dir


def train(pairs: list[tuple[RunDir, RunDir]], world_size: int) -> None:
    """Train runs to their end, each followed by one that continues from its checkpoint in the middle, in one process group."""
    for whole, half in pairs:
        half.input_checkpoint.symlink_to(whole.checkpoint(SAVED))  # which will be there when its turn comes
    tiny.train_all([run_dir for pair in pairs for run_dir in pair], world_size, timeout_s=500)


def losses(run_dir: RunDir) -> list[float]:
    return [record["train/loss"] for record in map(json.loads, run_dir.metrics.read_text().splitlines()) if "train/loss" in record]


def checkpoint(run_dir: RunDir, step: int = STEPS) -> dict[str, torch.Tensor]:
    """All tensors of a checkpoint, the optimizer's of all ranks."""
    found = {}
    for path in sorted(run_dir.checkpoint(step).glob("*.safetensors")):
        found |= {f"{path.name}/{name}": tensor for name, tensor in load_file(path).items()}
    return found


def trained_weights(run_dir: RunDir, step: int = STEPS) -> dict[str, torch.Tensor]:
    return load_file(run_dir.checkpoint(step) / "model.safetensors")


def published(run_dir: RunDir) -> dict[str, torch.Tensor]:
    """All tensors of the published folder; an adapter's under its folder's name."""
    found = {}
    for path in sorted(run_dir.model.rglob("*.safetensors")):
        found |= {f"{path.relative_to(run_dir.model)}/{name}": tensor for name, tensor in load_file(path).items()}
    return found


def problems(cell: Cell, whole: RunDir, half: RunDir, reference: RunDir) -> Iterator[str]:
    """What is wrong with a cell's run: to its end, continued from the middle, beside the same run in one process."""
    record = run_dirs.read_json(whole.root / "train.json")
    if (record["engine"]["kind"], record["engine"]["world_size"]) != (cell.engine, cell.world_size):
        yield f"ran as {record['engine']}"
    yield from _apart(
        "losses", dict(enumerate(map(torch.tensor, losses(whole)))), dict(enumerate(map(torch.tensor, losses(reference)))), 1e-4
    )
    ours, before = trained_weights(whole), trained_weights(whole, SAVED)
    still = [name for name in ours if torch.equal(ours[name], before[name])]
    furthest = max(float((ours[name].double() - before[name].double()).abs().max()) for name in ours)
    if still or furthest < 100 * TOLERANCE:
        yield f"was not trained: {still or furthest}"
    yield from _apart("weights", ours, trained_weights(reference), TOLERANCE)
    yield from _apart("published", published(whole), published(reference), 2 * TOLERANCE)
    yield from _apart("continued", checkpoint(half), checkpoint(whole), 0.0)
    yield from _frozen(cell, whole)


def _apart(what: str, ours: dict[Any, torch.Tensor], theirs: dict[Any, torch.Tensor], bound: float) -> Iterator[str]:
    if not ours or ours.keys() != theirs.keys():
        yield f"{what}: {sorted(map(str, ours.keys() ^ theirs.keys()))[:4] or 'nothing'}"
        return
    far = {name: float((ours[name].double() - theirs[name].double()).abs().max()) for name in ours}
    if not max(far.values()) <= bound:
        worst = max(far, key=lambda name: far[name])
        yield f"{what}: {worst} is {far[worst]:.2g} apart"


def _frozen(cell: Cell, whole: RunDir) -> Iterator[str]:
    """Of a model that is frozen in part, what no checkpoint holds is published as it came."""
    if cell.method != "freeze":
        return
    start, end, moved = (
        load_file(folder / "model.safetensors") for folder in (whole.input_model, whole.model, whole.checkpoint(STEPS))
    )
    frozen = {name: given for name in end.keys() - moved.keys() if (given := _of_same_name(start, name)) is not None}
    if not frozen:
        yield "nothing was frozen"
    changed = [name for name, given in frozen.items() if not torch.equal(given, end[name])]
    if changed:
        yield f"frozen weights changed: {changed[:4]}"


def _of_same_name(start: dict[str, torch.Tensor], name: str) -> torch.Tensor | None:
    """A tensor of the start model, which may have been saved without a head and so without the body's prefix."""
    return start.get(name, start.get(name.partition(".")[2]))
