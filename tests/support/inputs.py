"""Fetched inputs as the prepare program finds them: a tokenizer of a few words, data files, manifests, settings."""

from __future__ import annotations

import csv
import gzip
import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import zstandard

from job import run_dir as run_dirs
from job.run_dir import RunDir
from job.settings import root
from job.settings.data import DataSettings
from job.settings.root import Settings
from tests.support.environments import MINIMAL

SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]")
WORDS = tuple("the film was good bad fine awful and some more words quote comma null nan".split())
MAX_POSITIONS = 32


def data_settings(**changes: Any) -> DataSettings:
    return DataSettings(train_uri="unused", **changes)


def write_tokenizer(folder: Path, *, type_ids: bool = True) -> Path:
    """A BERT-like tokenizer that knows `WORDS`, letters and nothing else, beside a configuration without weights."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

    letters = [letter for one in "abcdefghijklmnopqrstuvwxyz0123456789.,\"'!" for letter in (one, f"##{one}")]
    vocabulary = {name: at for at, name in enumerate(dict.fromkeys((*SPECIAL, *WORDS, *letters)))}
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(folder / "tokenizer.json"))
    names = ["input_ids", *(["token_type_ids"] if type_ids else []), "attention_mask"]
    about = {"tokenizer_class": "PreTrainedTokenizerFast", "model_input_names": names, "model_max_length": MAX_POSITIONS}
    tokens = {"pad_token": "[PAD]", "unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]"}
    (folder / "tokenizer_config.json").write_text(json.dumps(about | tokens))
    config = {"model_type": "bert", "max_position_embeddings": MAX_POSITIONS, "vocab_size": len(vocabulary), "pad_token_id": 0}
    (folder / "config.json").write_text(json.dumps(config))
    return folder


def write_inputs(folder: Path, splits: Mapping[str, Mapping[str, bytes]], kind: str = "files") -> RunDir:
    """A run directory with a tokenizer and each split's files, by name, with their manifest."""
    run_dir = RunDir(folder)
    write_tokenizer(run_dir.input_model)
    for split, files in splits.items():
        for name, content in files.items():
            path = run_dir.input_data(split) / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        manifest = {"kind": kind, "files": list(files), "uri": [f"somewhere/{split}"]}
        run_dirs.write_json(run_dir.input_data(split).with_name(f"{split}.json"), manifest)
    return run_dir


def settings(**changes: str) -> Settings:
    """Settings with changes written without their prefix: ``settings(DATA__FORMAT="tsv")``."""
    return root.load(MINIMAL | {f"JOB_{name}": value for name, value in changes.items()})


def as_csv(rows: Sequence[Mapping[str, Any]], delimiter: str = ",") -> bytes:
    stream = io.StringIO(newline="")
    writer = csv.DictWriter(stream, list(rows[0]), delimiter=delimiter)
    writer.writeheader()
    writer.writerows(rows)
    return stream.getvalue().encode()


def as_json_lines(rows: Sequence[Mapping[str, Any]]) -> bytes:
    return b"".join(json.dumps(row, ensure_ascii=False).encode() + b"\n" for row in rows)


def as_parquet(rows: Sequence[Mapping[str, Any]] | pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    pq.write_table(rows if isinstance(rows, pa.Table) else pa.Table.from_pylist(list(rows)), sink)
    return sink.getvalue().to_pybytes()


FORMATS = {"csv": as_csv, "tsv": lambda rows: as_csv(rows, "\t"), "jsonl": as_json_lines, "parquet": as_parquet}
COMPRESSIONS = {"": bytes, ".gz": gzip.compress, ".zst": zstandard.compress}


def reviews(count: int, **more: Any) -> list[dict[str, Any]]:
    """Rows with distinct texts and two labels, one third of them bad."""
    return [
        {"text": f"the film was {'bad' if at % 3 == 0 else 'good'} {at}", "label": "bad" if at % 3 == 0 else "good"} | more
        for at in range(count)
    ]
