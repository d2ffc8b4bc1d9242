"""Small things that are real: a tokenizer trained on a few words, a DistilBERT from a config, a prepared run directory."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

from job.settings import resolved, root
from job.settings.root import Settings

WORDS = {
    "positive": "good great lovely fine superb happy bright warm".split(),
    "negative": "bad awful dreadful poor sad dull cold grim".split(),
    "plain": "the film was a story about people and places with some music that went on for long".split(),
}


def sentences(count: int, seed: int = 0, longest: int = 24) -> list[tuple[str, str]]:
    """(text, label) pairs with long-tailed lengths; two labels, separable."""
    draw = random.Random(seed)
    found = []
    for _ in range(count):
        label = draw.choice(["negative", "positive"])
        length = min(longest, 2 + int(draw.expovariate(1 / 6)))
        words = [draw.choice(WORDS["plain"]) for _ in range(length)]
        words.insert(draw.randrange(len(words)), draw.choice(WORDS[label]))
        found.append((" ".join(words), label))
    return found


def write_csv(path: Path, rows: list[tuple[str, str]]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("text,label\n" + "".join(f"{text},{label}\n" for text, label in rows))
    return path


def write_model(folder: Path, seed: int = 0, **config: Any) -> Path:
    """A DistilBERT with random weights and a word-piece tokenizer of the words above."""
    import torch
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
    from transformers import DistilBertConfig, DistilBertForMaskedLM, PreTrainedTokenizerFast

    names = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *sorted({word for group in WORDS.values() for word in group})]
    inner = Tokenizer(models.WordPiece({name: at for at, name in enumerate(names)}, unk_token="[UNK]"))
    inner.normalizer = normalizers.BertNormalizer(lowercase=True)
    inner.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    inner.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=inner,
        unk_token="[UNK]",
        pad_token="[PAD]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        mask_token="[MASK]",
        model_max_length=64,
    )
    torch.manual_seed(seed)
    values = {
        "vocab_size": len(names),
        "dim": 32,
        "hidden_dim": 64,
        "n_layers": 2,
        "n_heads": 2,
        "max_position_embeddings": 64,
        "pad_token_id": 0,
    }
    model = DistilBertForMaskedLM(DistilBertConfig(**{**values, **config}))
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def environ(folder: Path, **more: str) -> dict[str, str]:
    """Variables of a small run; keys of ``more`` without the prefix, such as ``TRAIN__EPOCHS``."""
    values = {
        "RUN__NAME": "tiny",
        "RUN__DIR": str(folder / "runs"),
        "MODEL__URI": str(folder / "model"),
        "DATA__TRAIN_URI": str(folder / "train.csv"),
        "OUTPUT__URI": str(folder / "store"),
        "TRAIN__LEARNING_RATE": "1e-3",
        "TRAIN__GLOBAL_BATCH_SIZE": "16",
        "TRAIN__PRECISION": "fp32",
        "TRAIN__EPOCHS": "1",
        "PARALLEL__WORKERS_PER_NODE": "1",
        **more,
    }
    return {f"JOB_{name}": value for name, value in values.items()}


def settings(folder: Path, **more: str) -> Settings:
    return root.load(environ(folder, **more))


def write_settings(folder: Path, run_dir: Path, **more: str) -> Settings:
    from job import run_dir as run_dirs

    chosen = settings(folder, **more)
    run_dirs.write_json(run_dir / "settings.json", resolved.dump(chosen))
    return chosen


def prepared_run(folder: Path, name: str, *, train: int = 203, held_out: int = 40, **more: str) -> Any:
    """A run directory as it stands before training: inputs in place, prepared by the real program's body."""
    import shutil

    from job import run_dir as run_dirs
    from job.run_dir import RunDir
    from job.workers import prepare

    run_dir = RunDir(folder / "runs" / name)
    if not (folder / "model").exists():
        write_model(folder / "model")
    chosen = write_settings(folder, run_dir.root, RUN__NAME=name, DATA__EVAL_URI="x", **more)
    shutil.copytree(folder / "model", run_dir.input_model)
    for split, count, seed in (("train", train, 0), ("eval", held_out, 1)):
        write_csv(run_dir.input_data(split) / f"{split}.csv", sentences(count, seed))
        run_dirs.write_json(run_dir.input_data(split).with_suffix(".json"), {"kind": "files", "files": [f"{split}.csv"], "uri": []})
    prepare.main(run_dir, chosen)
    run_dirs.write_json(run_dir.identity, {"settings_fingerprint": "s", "data_fingerprint": "d"})
    run_dirs.write_json(run_dir.attempt, {"number": 1, "nonce": "n"})
    return run_dir


def train_all(run_dirs_: list[Any], world_size: int, timeout_s: float = 500) -> str:
    """Train prepared run directories one after the other in one real process group; the group's output."""
    import os
    import subprocess

    import psutil

    from job.cluster import launch, topology
    from tests.support import warm

    shape = topology.Topology(1, 0, world_size, 1, "cpu")
    plan = launch.plan("train", Path("unused"), shape, os.environ)
    argv = [*plan.argv[:-3], "-m", "tests.support.train_all", *(str(run_dir.root) for run_dir in run_dirs_)]
    environ = {**plan.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    process = warm.Popen(argv, env=environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        output, errors = process.communicate(timeout=timeout_s)
    except subprocess.TimeoutExpired:
        # The launcher's workers have sessions of their own, and would go on without it.
        for each in [*psutil.Process(process.pid).children(recursive=True), process]:
            each.kill()
        output, errors = process.communicate()
        raise AssertionError(f"not done after {timeout_s} s\n{output}{errors}") from None
    assert process.returncode == 0, output + errors
    return errors
