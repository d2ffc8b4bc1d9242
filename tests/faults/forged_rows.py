"""A commit forged by somebody who may write to the store: its log entry, its manifest and every hash agree, and its content is hostile."""

from __future__ import annotations

import hashlib
import json
import pickle
import random
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.faults.bench import NAME, Subject, leave_commits, wait
from tests.faults.hostile_rows import Runs
from tests.faults.outcome import Outcome

DEEP = b"[" * 200_000 + b"]" * 200_000


@dataclass
class Commit:
    """The newest commit of a run: its log entry, its manifest and its folder, as they will be signed."""

    entry_path: Path
    entry: dict[str, Any]
    manifest: dict[str, Any]
    folder: Path
    raw_manifest: bytes | None = None
    """Bytes that stand for the manifest."""

    @classmethod
    def newest(cls, subject: Subject) -> Commit:
        log = sorted((subject.store / NAME / "log").glob("*.json"))
        path = [path for path in log if json.loads(path.read_bytes())["kind"] == "committed"][-1]
        entry = json.loads(path.read_bytes())
        manifest = subject.store / entry["fields"]["manifest"]
        return cls(path, entry, json.loads(manifest.read_bytes()), manifest.parent)

    def sign(self) -> None:
        """Make every hash right."""
        for file in self.manifest["files"]:
            content = (self.folder / file["path"]).read_bytes()
            file.update(size_bytes=len(content), sha256=hashlib.sha256(content).hexdigest())
        data = self.raw_manifest or json.dumps(self.manifest).encode()
        (self.folder / "MANIFEST.json").write_bytes(data)
        self.entry["fields"]["manifest_sha256"] = hashlib.sha256(data).hexdigest()
        self.entry_path.write_text(json.dumps(self.entry))


def _replace(name: str, content: bytes | None = None) -> Callable[[Commit, str], None]:
    """Another content for a file; by default a pickle that makes the file ``ran``."""

    def change(commit: Commit, ran: str) -> None:
        (commit.folder / name).write_bytes(content or pickle.dumps(Runs(ran)))

    return change


def _rename(path: str) -> Callable[[Commit, str], None]:
    """The first file's path in the manifest; there it lies too."""

    def change(commit: Commit, _: str) -> None:
        first = commit.manifest["files"][0]
        source = commit.folder / first["path"]
        target = commit.folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, target)
        first["path"] = path

    return change


def _deep_manifest(commit: Commit, _: str) -> None:
    commit.raw_manifest = DEEP


def _manifest_elsewhere(commit: Commit, _: str) -> None:
    commit.entry["fields"]["manifest"] = "../" * 12 + "etc/passwd"


def _steps_that_are_none(commit: Commit, _: str) -> None:
    state = json.loads((commit.folder / "state.json").read_bytes())
    state["state"] = dict.fromkeys(state["state"], -1)
    (commit.folder / "state.json").write_text(json.dumps(state))


KINDS: dict[str, Callable[[Commit, str], None]] = {
    "a pickle for the weights": _replace("model.safetensors"),
    "a pickle for the optimizer's state": _replace("optimizer.safetensors"),
    "a state 200,000 deep": _replace("state.json", DEEP),
    "a state that is a list": _replace("state.json", b"[]"),
    "a state of wrong numbers": _steps_that_are_none,
    "a path with ..": _rename("../../../../out/x.json"),
    "an absolute path": _rename("/tmp/job-forged-path.json"),
    "a manifest 200,000 deep": _deep_manifest,
    "a manifest outside of the store": _manifest_elsewhere,
}


def forged_commit(subject: Subject, draw: random.Random, _: float) -> Outcome:
    """The newest commit is forged: the run goes on from the one before, or ends with 78; nothing is run or written outside."""
    del draw
    kind = [*KINDS][subject.seed % len(KINDS)]
    if not leave_commits(subject):
        return Outcome(hit=False)
    kept = subject.folder / "kept"
    shutil.copytree(subject.store, kept)
    commit, ran = Commit.newest(subject), subject.folder / "ran"
    KINDS[kind](commit, str(ran))
    commit.sign()
    code = wait(subject.start())
    said = [] if code in (0, 78) else [f"{kind}: {code}"]
    if ran.exists():
        said.append(f"{kind}: code of it was run")
    done = code == 0
    # What the check from outside would find was made here.
    if not done:
        shutil.rmtree(subject.store)
        kept.rename(subject.store)
    return Outcome(hit=True, what=f"{kind}: {code}", kind=kind, violations=said, done=True)
