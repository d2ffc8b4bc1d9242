"""Text with the long-tailed lengths of real data, on every machine: the docstrings of Python's standard library.

Most are a line, some are a page: about 46 tokens in the mean, 23 in the median, cut at 256.  The tokenizer is trained on them and
the model is a small DistilBERT with random weights, so nothing has to be downloaded.
"""

from __future__ import annotations

import ast
import csv
import functools
import random
import sysconfig
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from job import run_dir as run_dirs
from job.run_dir import RunDir
from job.settings import resolved, root
from job.settings.root import Settings

MAX_TOKENS = 256
VOCABULARY = 8000
HELD_OUT = 32
SHAPE = {"n_layers": 4, "dim": 256, "hidden_dim": 1024, "n_heads": 4, "max_position_embeddings": MAX_TOKENS}
NO_DROPOUT = {"dropout": 0.0, "attention_dropout": 0.0, "seq_classif_dropout": 0.0}
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
_KINDS = {ast.Module: "module", ast.ClassDef: "class", ast.FunctionDef: "function", ast.AsyncFunctionDef: "function"}


def collect() -> list[tuple[str, str]]:
    """(docstring, what it documents) of all modules, classes and functions of the standard library; each text once."""
    found: dict[str, str] = {}
    library = Path(sysconfig.get_path("stdlib"))
    for path in sorted(library.rglob("*.py")):
        if {"test", "tests", "site-packages", "dist-packages", "idlelib"}.isdisjoint(path.relative_to(library).parts):
            found |= {text: kind for text, kind in _docstrings(path) if text not in found}
    return list(found.items())


def _docstrings(path: Path) -> Iterator[tuple[str, str]]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            tree = ast.parse(path.read_bytes())
        except SyntaxError:
            return
    for node in ast.walk(tree):
        if isinstance(node, tuple(_KINDS)):
            text = ast.get_docstring(node)
            if text and text.strip():
                yield text.strip(), _KINDS[type(node)]


@functools.cache
def drawn(count: int, seed: int = 0) -> tuple[tuple[str, str], ...]:
    """``count`` of them, the same on every machine with the same Python."""
    rows = collect()
    return tuple(random.Random(seed).sample(rows, min(count, len(rows))))


def write_model(folder: Path, **config: Any) -> Path:
    """A DistilBERT with a classification head, and its tokenizer; only the configuration depends on ``config``."""
    import torch
    from transformers import DistilBertConfig, DistilBertForSequenceClassification, PreTrainedTokenizerFast

    names = dict(zip(("pad_token", "unk_token", "cls_token", "sep_token", "mask_token"), SPECIAL, strict=True))
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=_word_pieces(), model_max_length=MAX_TOKENS, **names)
    labels = sorted(set(_KINDS.values()))
    torch.manual_seed(0)
    values = {**SHAPE, "vocab_size": len(tokenizer), "pad_token_id": 0, "id2label": dict(enumerate(labels)), **config}
    model = DistilBertForSequenceClassification(DistilBertConfig(**values, label2id={name: at for at, name in enumerate(labels)}))
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def _word_pieces() -> Any:
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers

    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    trainer = trainers.WordPieceTrainer(vocab_size=VOCABULARY, special_tokens=SPECIAL, show_progress=False)
    tokenizer.train_from_iterator((text for text, _ in drawn(10**9)), trainer)
    tokenizer.post_processor = processors.TemplateProcessing(single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)])
    return tokenizer


def environ(folder: Path, **more: str) -> dict[str, str]:
    """Variables of a run below ``folder``; keys of ``more`` without the prefix, such as ``TRAIN__PADDING``."""
    values = {
        "RUN__NAME": "docstrings",
        "RUN__DIR": str(folder),
        "MODEL__URI": str(folder / "model"),
        "DATA__TRAIN_URI": str(folder / "train.csv"),
        "OUTPUT__URI": str(folder / "store"),
        "DATA__EVAL_URI": str(folder / "eval.csv"),
        "TRAIN__PRECISION": "fp32",
        "TRAIN__EPOCHS": "1",
        "LIMITS__MAX_LEAKED_SHARE": "1",
        "PARALLEL__DEVICE": "cpu",
        "PARALLEL__WORKERS_PER_NODE": "1",
        **more,
    }
    return {f"JOB_{name}": value for name, value in values.items()}


def prepare(folder: Path, examples: int, **config: Any) -> RunDir:
    """A run directory as it stands before training, made by the job's own prepare program."""
    from job.workers import prepare as program

    run_dir = RunDir(folder / "docstrings")
    settings: Settings = root.load(environ(folder))
    run_dirs.write_json(run_dir.settings, resolved.dump(settings))
    write_model(run_dir.input_model, **config)
    rows = drawn(examples + HELD_OUT)
    for split, chosen in (("train", rows[HELD_OUT:]), ("eval", rows[:HELD_OUT])):
        write_csv(run_dir.input_data(split) / f"{split}.csv", chosen)
        run_dirs.write_json(run_dir.input_data(split).with_suffix(".json"), {"kind": "files", "files": [f"{split}.csv"], "uri": []})
    program.main(run_dir, settings)
    run_dirs.write_json(run_dir.identity, {"settings_fingerprint": "", "data_fingerprint": ""})
    return run_dir


def write_csv(path: Path, rows: tuple[tuple[str, str], ...]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([("text", "label"), *rows])
