"""Hostile input: files, names and addresses made to run code, to leave their folder, to fill the memory, or to reach what nobody should.

Each is one start of a run that goes on afterwards with good input; what it may change is nothing.
"""

from __future__ import annotations

import contextlib
import gzip
import json
import os
import pickle
import random
import shutil
import struct
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pyarrow as pa
import pyarrow.parquet as pq
import zstandard

from tests.faults.bench import TIMEOUT_S, Subject
from tests.faults.outcome import Outcome

MOST_BYTES = 4 << 30
"""Resident memory of all processes of a start together; a start with good input takes half of it."""
MOST_SECONDS = 60.0
_BOMB_BYTES = 1 << 30
_CODE = "import pathlib; pathlib.Path({path!r}).touch()"

Hostile = Callable[[Path, Subject], dict[str, str]]
"""(a fresh folder, the subject) → variables that lead to what was made in it; ``ran`` beside the folder appears when code of it is run."""


class Runs:
    """Pickled, it makes a file when it is opened."""

    def __init__(self, path: str) -> None:
        self._path = path

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return exec, (_CODE.format(path=self._path),)


def _model(change: Callable[[Path], None]) -> Hostile:
    def make(folder: Path, subject: Subject) -> dict[str, str]:
        shutil.copytree(subject.inputs.folder / "model", folder / "model")
        change(folder / "model")
        return {"JOB_MODEL__URI": str(folder / "model")}

    return make


def _file(name: str, make_content: Callable[[], bytes]) -> Hostile:
    def make(folder: Path, _: Subject) -> dict[str, str]:
        (folder / name).write_bytes(make_content())
        return {"JOB_DATA__TRAIN_URI": str(folder / name)}

    return make


def _environment(**changes: str) -> Hostile:
    return lambda _folder, _subject: changes


def _edit(name: str, **values: object) -> Callable[[Path], None]:
    def change(model: Path) -> None:
        path = model / name
        path.write_text(json.dumps({**json.loads(path.read_text()), **values}))

    return change


def _ran(model: Path) -> str:
    return str(model.parent.parent / "ran")


def _pickled_weights(model: Path) -> None:
    (model / "model.safetensors").unlink()
    (model / "pytorch_model.bin").write_bytes(pickle.dumps(Runs(_ran(model))))


def _pickle_named_safetensors(model: Path) -> None:
    (model / "model.safetensors").write_bytes(pickle.dumps(Runs(_ran(model))))


def _remote_code(file: str, value: dict[str, object]) -> Callable[[Path], None]:
    def change(model: Path) -> None:
        (model / "evil.py").write_text(_CODE.format(path=_ran(model)) + "\nclass Evil: pass\n")
        _edit(file, **value)(model)

    return change


def _shards_outside(model: Path) -> None:
    outside = model.parent / "outside.safetensors"
    (model / "model.safetensors").rename(outside)
    index = {"metadata": {}, "weight_map": {"distilbert.embeddings.word_embeddings.weight": "../outside.safetensors"}}
    (model / "model.safetensors.index.json").write_text(json.dumps(index))


def _huge_header(model: Path) -> None:
    (model / "model.safetensors").write_bytes(struct.pack("<Q", 1 << 62) + b"{}")


def _tensor_past_the_end(model: Path) -> None:
    header = json.dumps({"x": {"dtype": "F32", "shape": [1 << 40], "data_offsets": [0, 1 << 42]}}).encode()
    (model / "model.safetensors").write_bytes(struct.pack("<Q", len(header)) + header + b"\0" * 64)


def _deep_json(name: str) -> Callable[[Path], None]:
    def change(model: Path) -> None:
        (model / name).write_text("[" * 200_000 + "]" * 200_000)

    return change


def _way_out(model: Path) -> None:
    (model / "out").symlink_to("/etc")


def _pipe(model: Path) -> None:
    (model / "config.json").unlink()
    os.mkfifo(model / "config.json")


def _endless(model: Path) -> None:
    (model / "tokenizer.json").unlink()
    (model / "tokenizer.json").symlink_to("/dev/zero")


def _linked_folder(folder: Path, _: Subject) -> dict[str, str]:
    (folder / "data").mkdir()
    (folder / "data" / "positive").symlink_to("/etc")
    return {"JOB_DATA__TRAIN_URI": str(folder / "data")}


def _endless_data(folder: Path, _: Subject) -> dict[str, str]:
    (folder / "train.csv").symlink_to("/dev/zero")
    return {"JOB_DATA__TRAIN_URI": str(folder / "train.csv")}


def _parquet_bomb() -> bytes:
    """A row is stored once, and told to be there three million times: 24 GB of text."""
    word = pa.DictionaryArray.from_arrays(pa.array([0] * 3_000_000, pa.int32()), pa.array(["good " * 1600]))
    label = pa.DictionaryArray.from_arrays(pa.array([0] * 3_000_000, pa.int32()), pa.array(["positive"]))
    sink = pa.BufferOutputStream()
    pq.write_table(pa.table({"text": word, "label": label}), sink, compression="zstd")
    return sink.getvalue().to_pybytes()


def _yaml(content: str) -> Hostile:
    def make(folder: Path, _: Subject) -> dict[str, str]:
        (folder / "job.yaml").write_text(content.replace("{ran}", str(folder.parent / "ran")))
        return {"JOB_CONFIG": str(folder / "job.yaml")}

    return make


_LAUGHS = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 10)
)
_ROWS = b"text,label\ngood film,positive\nbad film,negative\n"

KINDS: dict[str, tuple[tuple[int, ...], Hostile]] = {
    # addresses
    "the metadata service as store": (
        (64,),
        _environment(JOB_OUTPUT__URI="s3://bucket", AWS_ENDPOINT_URL="http://169.254.169.254"),
    ),
    "the same as a number": ((64,), _environment(JOB_OUTPUT__URI="s3://bucket", AWS_ENDPOINT_URL="https://2852039166")),
    "the same in IPv6": ((64,), _environment(JOB_OUTPUT__URI="s3://bucket", AWS_ENDPOINT_URL="https://[::ffff:169.254.169.254]")),
    "plain http to another host": ((64,), _environment(JOB_OUTPUT__URI="s3://bucket", AWS_ENDPOINT_URL="http://203.0.113.7:9000")),
    "plain http to a name like this machine's": (
        (64,),
        _environment(JOB_OUTPUT__URI="s3://bucket", AWS_ENDPOINT_URL="http://127.0.0.1.example.com"),
    ),
    "a Hub in the open": ((64,), _environment(JOB_MODEL__URI="hf://org/name", HF_ENDPOINT="http://203.0.113.7")),
    # names
    "a prefix with ..": ((64,), _environment(JOB_OUTPUT__URI="s3://bucket/a/../b")),
    "a run named ..": ((64,), _environment(JOB_RUN__NAME="..")),
    "a run named a/../../b": ((64,), _environment(JOB_RUN__NAME="a/../../b")),
    "a revision with ..": ((64,), _environment(JOB_MODEL__URI="hf://org/name@../../x")),
    # code
    "weights that are a pickle": ((64,), _model(_pickled_weights)),
    "a pickle under a safe name": ((64,), _model(_pickle_named_safetensors)),
    "a configuration with code": (
        (64,),
        _model(
            _remote_code("config.json", {"model_type": "evil", "auto_map": {"AutoConfig": "evil.Evil", "AutoModel": "evil.Evil"}})
        ),
    ),
    "a tokenizer with code": (
        (0, 64),
        _model(
            _remote_code(
                "tokenizer_config.json", {"tokenizer_class": "Evil", "auto_map": {"AutoTokenizer": ["evil.Evil", "evil.Evil"]}}
            )
        ),
    ),
    "a YAML file with code": ((64,), _yaml("run: !!python/object/apply:os.system ['touch {ran}']\n")),
    # folders
    "weights outside of the folder": ((64,), _model(_shards_outside)),
    "a link out of the model": ((64, 65), _model(_way_out)),
    "a link out of the data": ((65,), _linked_folder),
    "a pipe for a file": ((64, 65), _model(_pipe)),
    "a file without an end": ((64, 65), _model(_endless)),
    "data without an end": ((64, 65), _endless_data),
    # sizes
    "a header of 4 EiB": ((64,), _model(_huge_header)),
    "a tensor of 4 TiB": ((64,), _model(_tensor_past_the_end)),
    "a vocabulary of a trillion": ((64,), _model(_edit("config.json", vocab_size=10**12))),
    "a configuration 200,000 deep": ((64,), _model(_deep_json("config.json"))),
    "a tokenizer 200,000 deep": ((64,), _model(_deep_json("tokenizer.json"))),
    "a YAML file of a billion laughs": ((64,), _yaml(_LAUGHS)),
    "a gzip bomb": ((65,), _file("train.csv.gz", lambda: gzip.compress(_ROWS + b"0" * _BOMB_BYTES, 1))),
    "a zstd bomb": ((65,), _file("train.csv.zst", lambda: zstandard.compress(_ROWS + b"0" * _BOMB_BYTES))),
    "a Parquet bomb": ((65,), _file("train.parquet", _parquet_bomb)),
    "a line of JSON 200,000 deep": ((65,), _file("train.jsonl", lambda: b'{"text": ' + b"[" * 200_000 + b"]" * 200_000 + b"}\n")),
    "a number of JSON with a million digits": (
        (65,),
        _file("train.jsonl", lambda: b'{"text": "good", "label": ' + b"9" * 1_000_000 + b"}\n"),
    ),
    "NUL bytes for rows": ((65,), _file("train.csv", lambda: _ROWS + b"\0" * (1 << 20))),
}


def hostile_input(subject: Subject, draw: random.Random, _: float) -> Outcome:
    """One hostile input: its code, nothing run, nothing committed, bounded memory and time; good input goes on as if nothing had been."""
    del draw
    kind = [*KINDS][(subject.seed * 6 + subject.starts) % len(KINDS)]
    codes, make = KINDS[kind]
    folder = subject.folder / "hostile" / str(subject.starts)
    folder.mkdir(parents=True)
    known = len(subject.entries())
    subject.variables = make(folder, subject)
    began = time.monotonic()
    code, peak_bytes = _watch(subject)
    seconds = time.monotonic() - began
    subject.variables = {}
    said = [] if code in codes else [f"{kind}: {code} instead of {codes}"]
    if (folder.parent / "ran").exists():
        said.append(f"{kind}: code of it was run")
    if any(entry["kind"] in ("committed", "published", "complete") for entry in subject.entries()[known:]) and code != 0:
        said.append(f"{kind}: something was committed")
    if peak_bytes > MOST_BYTES or seconds > MOST_SECONDS:
        said.append(f"{kind}: {peak_bytes:,} bytes of memory, {seconds:.0f} s")
    shutil.rmtree(folder)
    return Outcome(hit=True, what=f"{kind}: {code}, {peak_bytes >> 20} MiB", kind=kind, violations=said, done=code == 0)


def _watch(subject: Subject) -> tuple[int, int]:
    """Start, and wait: the exit code, and the most memory that its processes held together (resident, in bytes)."""
    process, most = subject.start(), 0
    end = time.monotonic() + TIMEOUT_S
    try:
        while process.poll() is None and time.monotonic() < end:
            held = 0
            with contextlib.suppress(psutil.NoSuchProcess):
                mine = psutil.Process(process.pid)
                for one in [mine, *mine.children(recursive=True)]:
                    with contextlib.suppress(psutil.NoSuchProcess):
                        held += one.memory_info().rss
            most = max(most, held)
            time.sleep(0.05)
    finally:
        for pid in subject.workers() if process.poll() is None else []:
            with contextlib.suppress(psutil.NoSuchProcess):
                psutil.Process(pid).kill()
        process.kill()
    return process.wait(), most
