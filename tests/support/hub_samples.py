"""Repositories for the Hub tests: what is on the Hub, and what of it should arrive."""

from __future__ import annotations

from pathlib import Path

from job.storage.hub import HubOptions, HubRepo
from job.storage.snapshot import MODEL_FILES

TOKEN = "hf_canaryCanaryCanary"
MODEL = HubRepo("model", "org/name")
DATA = HubRepo("dataset", "org/reviews")
WEIGHTS = b"weights " * 5000
MODEL_CONTENT = {
    "config.json": b'{"model_type": "distilbert"}',
    "tokenizer.json": b"{}",
    "vocab.txt": b"[PAD]\n[UNK]\n",
    "model.safetensors": WEIGHTS,
    "pytorch_model.bin": b"pickle",
    "training_args.bin": b"pickle",
    "modeling_custom.py": b"raise SystemExit",
    "onnx/config.json": b"{}",
    "onnx/model.onnx": b"onnx",
    ".gitattributes": b"*.safetensors filter=lfs",
}
MODEL_DOWNLOADED = ["config.json", "model.safetensors", "tokenizer.json", "vocab.txt"]
OPTIONS = HubOptions(timeout_s=20.0, allow=MODEL_FILES)


def downloaded(folder: Path) -> list[str]:
    """Every file below a folder, by its relative path."""
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())
