"""What must hold after every fault, checked from outside: plain files, JSON and sha256, none of the job's own code."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import load_file

from tests.faults.bench import CANARY, NAME, SAVE_EVERY, Subject, files_below

NO_GRADIENT = ".k_lin.bias"
"""What is added to all keys changes no attention: the gradient is rounding alone, and Adam makes whole steps of it."""
KEPT = 2
"""Newest commits that retention has to leave, as the runs' settings say by default."""


def check(subject: Subject) -> list[str]:
    """Every violation, in words; empty when all is well."""
    log = sorted((subject.store / NAME / "log").glob("*.json"))
    entries = [json.loads(path.read_bytes()) for path in log]
    return [
        *_numbers(log, entries),
        *_payloads(subject.store, entries),
        *_manifests(subject.store / NAME / "attempts"),
        *_kept(entries),
        *_lineage(entries),
        *_secrets(subject.folder),
    ]


def check_distance(subject: Subject, trained: int) -> list[str]:
    """Behind what was trained, the newest commit is at most one checkpoint uploading, one staged, and one not yet due: three intervals.

    The steps here take milliseconds, so that uploads are always behind; training has to wait for them.
    """
    committed = max(subject.committed_steps(), default=0)
    late = trained - committed > 3 * SAVE_EVERY
    return [f"step {trained} was trained and the newest commit is of step {committed}"] if late else []


def check_ending(subject: Subject) -> list[str]:
    """Who ends with 0 says that the run is complete, and the log has to say so too."""
    wrong = subject.unsaid or subject.ended_without_a_word()
    return ["the job ended with 0, and the log has no entry 'complete'"] if wrong else []


def alike(subject: Subject, reference: Subject) -> bool:
    """Whether the published weights are those of another run within the subject's tolerance, relative to each tensor's largest.

    Biases of keys are left out: nothing depends on them.
    """
    mine, its = load_file(subject.model()), load_file(reference.model())
    if subject.tolerance == 0 or set(mine) != set(its):
        return False
    names = [name for name in mine if not name.endswith(NO_GRADIENT)]
    return all(np.abs(mine[name] - its[name]).max() <= subject.tolerance * max(np.abs(its[name]).max(), 1e-3) for name in names)


def _numbers(log: list[Path], entries: list[dict[str, Any]]) -> list[str]:
    wanted = [f"{number:010d}.json" for number in range(1, len(log) + 1)]
    if [path.name for path in log] != wanted or [entry["number"] for entry in entries] != list(range(1, len(log) + 1)):
        return [f"the log is not numbered without gaps: {[path.name for path in log]}"]
    return []


def _payloads(store: Path, entries: list[dict[str, Any]]) -> list[str]:
    """Whatever is committed or published, and not announced as deleted, is whole to the byte."""
    deleted = {manifest for entry in entries if entry["kind"] == "deleted" for manifest in entry["fields"]["manifests"]}
    problems = []
    for entry in entries:
        if entry["kind"] not in ("committed", "published") or entry["fields"]["manifest"] in deleted:
            continue
        path = store / entry["fields"]["manifest"]
        where = f"{entry['kind']} step {entry['fields']['step']} (entry {entry['number']})"
        if not path.is_file() or hashlib.sha256(path.read_bytes()).hexdigest() != entry["fields"]["manifest_sha256"]:
            problems.append(f"{where}: its manifest is gone or another")
            continue
        for file in json.loads(path.read_bytes())["files"]:
            content = path.parent / file["path"]
            if not content.is_file() or hashlib.sha256(content.read_bytes()).hexdigest() != file["sha256"]:
                problems.append(f"{where}: {file['path']} is gone or another")
    return problems


def _manifests(attempts: Path) -> list[str]:
    """Where a manifest lies, all that it names lies too: files come first, and at a deletion the manifest goes first."""
    problems = []
    for path in attempts.rglob("MANIFEST.json"):
        missing = [file["path"] for file in json.loads(path.read_bytes())["files"] if not (path.parent / file["path"]).is_file()]
        problems += [f"{path.relative_to(attempts)} names {name}, which is not there" for name in missing]
    return problems


def _kept(entries: list[dict[str, Any]]) -> list[str]:
    """Whenever a deletion is announced, the newest two commits and the best one are not in it, nor were they before."""
    problems: list[str] = []
    live: list[dict[str, Any]] = []
    for entry in entries:
        if entry["kind"] == "committed":
            live.append(entry["fields"])
        if entry["kind"] == "deleted":
            gone = set(entry["fields"]["manifests"])
            if gone & {commit["manifest"] for commit in live[-KEPT:]}:
                problems.append(f"entry {entry['number']} deletes one of the newest {KEPT} commits")
            left = [commit for commit in live if commit["manifest"] not in gone]
            if _best(live) != _best(left, live):
                problems.append(f"entry {entry['number']} deletes the best commit")
            live = left
    return problems


def _best(commits: list[dict[str, Any]], all_commits: list[dict[str, Any]] | None = None) -> float | None:
    """The best value of these commits, by the metric that the newest scored one of all names; None where none was scored."""
    named = [commit["metric"] for commit in all_commits or commits if (commit.get("metric") or {}).get("value") is not None]
    if not named:
        return None
    metrics = [commit.get("metric") or {} for commit in commits]
    values = [metric["value"] for metric in metrics if metric.get("name") == named[-1]["name"] and metric.get("value") is not None]
    return (max if named[-1]["greater_is_better"] else min)(values, default=None)


def _lineage(entries: list[dict[str, Any]]) -> list[str]:
    """One history: steps only grow, and only the newest attempt writes.

    The next attempt may commit a step once more: with the scores that were still due, or because the first commit of it was damaged.
    """
    problems, step, owner, committer = [], 0, "", ""
    for entry in entries:
        if entry["kind"] == "started":
            owner = entry["nonce"]
        elif entry["nonce"] != owner:
            problems.append(f"entry {entry['number']} ({entry['kind']}) is of an attempt that had lost the run")
        if entry["kind"] == "committed":
            again = entry["fields"]["step"] == step and entry["nonce"] != committer
            if entry["fields"]["step"] <= step and not again:
                problems.append(f"entry {entry['number']} commits step {entry['fields']['step']} after step {step}")
            step, committer = max(step, entry["fields"]["step"]), entry["nonce"]
    kinds = [entry["kind"] for entry in entries]
    return problems + [f"more than one entry {kind!r}" for kind in ("published", "complete") if kinds.count(kind) > 1]


def _secrets(folder: Path) -> list[str]:
    found = []
    for path in files_below(folder):
        try:
            if CANARY.encode() in path.read_bytes():
                found.append(f"a secret stands in {path.relative_to(folder)}")
        except FileNotFoundError:
            continue
    return found
