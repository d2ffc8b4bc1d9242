"""One start of the whole job with something wrong, and what every such start has to leave: a record, and nothing half done."""

from __future__ import annotations

import contextlib
import json
import logging
import re
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from job import pipeline
from job.errors import ERRORS
from job.storage.base import Store
from tests.support import jobs, tiny
from tests.support.jobs import Ended

CANARY = "canary7f3aValue"
"""Stands for the value of a setting, or a secret, that nobody may find again in what the job says or writes."""
MAX_BYTES = 4096
NAME = "tiny"


@dataclass(frozen=True)
class Answer:
    """What is expected: exit code, words of the message (a pattern), words of the hint."""

    code: int
    says: str
    remedy: str


@dataclass(frozen=True)
class Bench:
    """A folder for one start: ``runs/`` and ``store/`` in it do not exist yet.  Inputs are files of the right names, no more."""

    folder: Path

    @property
    def run_dir(self) -> Path:
        return self.folder / "runs" / NAME

    @property
    def store(self) -> Path:
        return self.folder / "store"

    def write_inputs(self) -> None:
        """A model folder that only looks like one, and real rows: enough for everything before the workers."""
        model = self.folder / "model"
        model.mkdir()
        for name in ("config.json", "tokenizer.json", "model.safetensors"):
            (model / name).write_text("{}")
        tiny.write_csv(self.folder / "train.csv", tiny.sentences(40))

    def environ(self, changes: Mapping[str, str | None]) -> dict[str, str]:
        """Variables of a right start with some changed; None takes one out, ``{folder}`` is this folder."""
        values = {**tiny.environ(self.folder), "AWS_SECRET_ACCESS_KEY": CANARY, "HF_TOKEN": CANARY, **changes}
        return {name: value.replace("{folder}", str(self.folder)) for name, value in values.items() if value is not None}


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    """A folder with inputs."""
    made = Bench(tmp_path)
    made.write_inputs()
    return made


@contextlib.contextmanager
def own_logging() -> Iterator[None]:
    """The job sets the root logger up for itself; afterwards it is pytest's again."""
    root = logging.getLogger()
    handlers, level = [*root.handlers], root.level
    try:
        yield
    finally:
        root.handlers[:] = handlers
        root.setLevel(level)
        logging.captureWarnings(capture=False)


def in_process(environ: Mapping[str, str], capfd: pytest.CaptureFixture[str]) -> Ended:
    """The whole job in this process: for starts that end before a worker is needed."""
    capfd.readouterr()
    began = time.monotonic()
    with own_logging():
        code = pipeline.main(environ)
    told = capfd.readouterr()
    return Ended(code, told.out + told.err, time.monotonic() - began)


def as_process(environ: Mapping[str, str], folder: Path) -> Ended:
    """The whole job as a scheduler starts it."""
    return jobs.run(environ, folder / "log", timeout_s=120)


def check_answer(ended: Ended, answer: Answer) -> None:
    """Code, words and remedy; in plain words and as one short record; no stack, no value."""
    assert ended.code == answer.code, ended.output
    record = ended.failure
    assert (record["code"], record["name"]) == (answer.code, ERRORS[answer.code].name)
    assert re.search(answer.says, record["message"], re.DOTALL), record["message"]
    assert answer.remedy in record["hint"], record["hint"]
    assert len(ended.output.strip().splitlines()[-1].encode()) <= MAX_BYTES
    assert f"job: {record['message']}"[:200] in ended.output
    assert "Traceback" not in ended.output
    assert CANARY not in ended.output


def check_run_dir(ended: Ended, run_dir: Path) -> None:
    """The record lies in the run directory as it was said; nothing there has a temporary name, or a secret in it."""
    content = (run_dir / "failure.json").read_bytes()
    assert json.loads(content) == ended.failure
    assert len(content) <= MAX_BYTES
    files = [path for path in run_dir.rglob("*") if path.is_file()]
    assert not [path for path in files if ".tmp-" in str(path)]
    assert not [path for path in files if CANARY.encode() in path.read_bytes()]


def check_store(store: Store) -> list[str]:
    """Nothing published, no payload without its manifest, no probe or temporary name, no value; the kinds of the log's entries."""
    contents = {info.key: store.read_bytes(info.key) for info in store.list("")}
    folders = {found[1] for key in contents if (found := re.match(r"(.*/attempts/\w+/(?:model|checkpoints/step-\d+))/", key))}
    assert all(f"{folder}/MANIFEST.json" in contents for folder in folders)
    assert not [key for key in contents if "probe-" in key or ".tmp-" in key]
    assert not [key for key, content in contents.items() if CANARY.encode() in content]
    kinds = [json.loads(contents[key])["kind"] for key in sorted(contents) if "/log/" in key]
    assert not {"published", "complete"} & set(kinds)
    failures = [content for key, content in contents.items() if key.endswith("failure.json")]
    assert all(len(content) <= MAX_BYTES for content in failures)
    return kinds


def temporary_names(folder: Path) -> list[Path]:
    """Files of a local store that a writer left half-way; a store's own listing leaves them out."""
    return [path for path in folder.rglob("*") if path.name.startswith(".tmp-")]
