"""What the Hub stand-in holds: repositories, their commits, and large files by hash."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterable
from dataclasses import dataclass, field

LARGE_SUFFIXES = (".safetensors", ".parquet", ".bin", ".zst", ".gz")

Files = dict[str, bytes]


def git_blob_sha1(content: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def is_large(path: str) -> bool:
    """Whether the Hub would keep the file outside of git."""
    return path.endswith(LARGE_SUFFIXES)


def etag(path: str, content: bytes) -> str:
    return sha256(content) if is_large(path) else git_blob_sha1(content)


def tree_entry(path: str, content: bytes) -> dict[str, object]:
    """One file of the tree listing."""
    entry: dict[str, object] = {"type": "file", "path": path, "size": len(content), "oid": git_blob_sha1(content)}
    if is_large(path):
        entry["lfs"] = {"oid": sha256(content), "size": len(content), "pointerSize": 134}
    return entry


@dataclass
class Repo:
    """One repository: every commit's files by sha, and branches."""

    kind: str
    repo_id: str
    private: bool = False
    gated: bool = False
    commits: dict[str, Files] = field(default_factory=dict)
    branches: dict[str, str] = field(default_factory=dict)
    titles: list[str] = field(default_factory=list)

    def commit(self, files: Files, deleted: Iterable[str] = (), branch: str = "main", title: str = "commit") -> str:
        """Add a commit to a branch; its sha."""
        content = {**self.commits.get(self.branches.get(branch, ""), {}), **files}
        for path in deleted:
            del content[path]
        sha = hashlib.sha1(repr((self.kind, self.repo_id, branch, len(self.commits), sorted(content))).encode()).hexdigest()
        self.commits[sha] = content
        self.branches[branch] = sha
        self.titles.append(title)
        return sha

    def resolve(self, revision: str) -> str | None:
        """The sha of a branch or sha; None when there is none."""
        return self.branches.get(revision, revision if revision in self.commits else None)


class Shelf:
    """All repositories and large files of one stand-in."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.large_files: dict[str, bytes] = {}
        self._repos: dict[tuple[str, str], Repo] = {}

    def add(self, repo: Repo) -> Repo:
        self._repos[repo.kind, repo.repo_id] = repo
        return repo

    def find(self, kind: str, repo_id: str) -> Repo | None:
        return self._repos.get((kind, repo_id))

    def large_file(self, oid: str) -> bytes:
        """A large file's content: uploaded, or part of some commit."""
        if oid in self.large_files:
            return self.large_files[oid]
        contents = (content for repo in self._repos.values() for files in repo.commits.values() for content in files.values())
        return next(content for content in contents if sha256(content) == oid)
