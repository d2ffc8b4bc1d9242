"""What the Hub stand-in answers: one function per request, from a shelf of repositories to a status, headers and a body."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.support.minihub_repos import Repo, Shelf, etag, git_blob_sha1, is_large, sha256, tree_entry

OCTETS = {"Content-Type": "application/octet-stream", "Accept-Ranges": "bytes"}


@dataclass(frozen=True)
class Reply:
    """One answer."""

    status: int
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Ask:
    """One request, taken apart: addresses of this server and of its file server, the caller's token, the body."""

    origin: str
    files_origin: str
    token: str | None
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


def answer(value: Any) -> Reply:
    return Reply(200, json.dumps(value).encode(), {"Content-Type": "application/json"})


def refuse(status: int, code: str = "", message: str = "refused") -> Reply:
    body = json.dumps({"error": message}).encode()
    codes = {"X-Error-Code": code} if code else {}
    return Reply(status, body, {"Content-Type": "application/json", "X-Error-Message": message, **codes})


def missing_repo(ask: Ask) -> Reply:
    """The same for a repository that is not there and for one the caller may not see, as on the Hub."""
    return refuse(404 if ask.token else 401, "RepoNotFound", "Repository not found")


def info(repo: Repo, revision: str, _ask: Ask) -> Reply:
    sha = repo.resolve(revision or "main")
    if sha is None:
        return refuse(404, "RevisionNotFound", "Invalid rev id")
    siblings = [{"rfilename": path} for path in sorted(repo.commits[sha])]
    return answer({"id": repo.repo_id, "sha": sha, "private": repo.private, "gated": repo.gated, "siblings": siblings, "tags": []})


def tree(repo: Repo, revision: str, ask: Ask) -> Reply:
    """The file list in pages of three, so that clients have to follow the links."""
    revision, _, start = revision.partition("?from=")
    sha = repo.resolve(revision)
    if sha is None:
        return refuse(404, "RevisionNotFound", "Invalid rev id")
    paths = sorted(repo.commits[sha])
    folders = sorted({path.rpartition("/")[0] for path in paths} - {""})
    entries = [{"type": "directory", "path": folder, "size": 0, "oid": git_blob_sha1(folder.encode())} for folder in folders]
    entries += [tree_entry(path, repo.commits[sha][path]) for path in paths]
    first = int(start or 0)
    reply = answer(entries[first : first + 3])
    if first + 3 < len(entries):
        link = f"{ask.origin}/api/{repo.kind}s/{repo.repo_id}/tree/{sha}?from={first + 3}"
        reply.headers["Link"] = f'<{link}>; rel="next"'
    return reply


def resolve(repo: Repo, revision: str, path: str, ask: Ask) -> Reply:
    """A file, or for a large one the address where the file server has it."""
    sha = repo.resolve(revision)
    if sha is None:
        return refuse(404, "RevisionNotFound", "Invalid rev id")
    if repo.gated:
        return refuse(403 if ask.token else 401, "GatedRepo", "Access to this repository is restricted")
    content = repo.commits[sha].get(path)
    if content is None:
        return refuse(404, "EntryNotFound", "Entry not found")
    tag = etag(path, content)
    headers = {"X-Repo-Commit": sha, "ETag": f'"{tag}"', **OCTETS}
    if not is_large(path):
        return Reply(200, content, headers)
    location = f"{ask.files_origin}/files/{tag}?Signature=s3cr3t-signature"
    linked = {"X-Linked-Size": str(len(content)), "X-Linked-Etag": f'"{tag}"', "Location": location}
    return Reply(302, b"", {**headers, **linked})


def whoami(namespaces: Iterable[str], role: str, ask: Ask) -> Reply:
    """The token's user, its organizations, and what the token may."""
    if ask.token is None:
        return refuse(401)
    token = {"displayName": "test", "role": role}
    orgs = [{"name": name, "roleInOrg": "write"} for name in sorted(namespaces)]
    return answer({"type": "user", "name": "someone", "orgs": orgs, "auth": {"type": "access_token", "accessToken": token}})


def branch(repo: Repo, name: str, _ask: Ask) -> Reply:
    if name in repo.branches:
        return refuse(409, message="Reference already exists")
    repo.branches[name] = repo.branches["main"]
    return answer({})


def create(shelf: Shelf, ask: Ask) -> Reply:
    wanted = ask.json()
    repo_id = f"{wanted['organization']}/{wanted['name']}"
    kind = wanted.get("type", "model")
    url = f"{ask.origin}/{repo_id}"
    if shelf.find(kind, repo_id):
        return Reply(409, json.dumps({"error": "You already created this repo", "url": url}).encode())
    repo = shelf.add(Repo(kind, repo_id, private=wanted.get("visibility") == "private" or bool(wanted.get("private"))))
    repo.commit({}, title="initial commit")
    return answer({"url": url, "name": repo_id, "id": repo_id})


def preupload(repo: Repo, revision: str, ask: Ask) -> Reply:
    held = repo.commits[repo.branches[revision]]
    modes = [
        {
            "path": file["path"],
            "uploadMode": "lfs" if is_large(file["path"]) else "regular",
            "shouldIgnore": False,
            "oid": etag(file["path"], held[file["path"]]) if file["path"] in held else None,
        }
        for file in ask.json()["files"]
    ]
    return answer({"files": modes})


def large_file_batch(shelf: Shelf, ask: Ask) -> Reply:
    objects: list[dict[str, Any]] = []
    for wanted in ask.json()["objects"]:
        known = wanted["oid"] in shelf.large_files
        actions = {} if known else {"actions": {"upload": {"href": f"{ask.files_origin}/files/{wanted['oid']}", "header": {}}}}
        objects.append({"oid": wanted["oid"], "size": wanted["size"], "authenticated": True, **actions})
    return answer({"transfer": "basic", "objects": objects})


def keep_large_file(shelf: Shelf, oid: str, ask: Ask) -> Reply:
    if sha256(ask.body) != oid:
        return refuse(400, message="the content is not what the address says")
    shelf.large_files[oid] = ask.body
    return answer({})


def commit(shelf: Shelf, repo: Repo, branch: str, ask: Ask) -> Reply:
    """One commit from its ndjson lines."""
    added: dict[str, bytes] = {}
    deleted, title = [], ""
    head = repo.branches.get(branch)
    for line in map(json.loads, ask.body.splitlines()):
        value: Mapping[str, Any] = line["value"]
        if line["key"] == "header":
            title = value["summary"]
            if value.get("parentCommit") not in (None, head):
                return refuse(412, message="A commit has happened since. Please refresh and try again.")
        elif line["key"] == "file":
            added[value["path"]] = base64.b64decode(value["content"])
        elif line["key"] == "lfsFile":
            added[value["path"]] = shelf.large_files[value["oid"]]
        elif line["key"] == "deletedFile":
            deleted.append(value["path"])
    sha = repo.commit(added, deleted, branch, title)
    return answer({"success": True, "commitOid": sha, "commitUrl": f"{ask.origin}/{repo.repo_id}/commit/{sha}", "hookOutput": ""})
