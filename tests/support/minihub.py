"""A small stand-in for the Hugging Face Hub, for tests that need one and cannot reach it.

It speaks the part of the Hub's protocol that huggingface_hub, transformers and datasets use: revisions, paged trees, files
with redirects to a second server for large ones, tokens, private and gated repositories, uploads and commits.  What it
answers was learned from what those clients ask and accept (they are the real ones in the tests), not compared with the
live Hub; unlike it, it can be told to fail.

    with MiniHub() as hub:
        hub.add("model", "org/name", {"config.json": b"{}"})
        hub.fail(Fault("GET /api/models", status=503, times=2))
        ... HF_ENDPOINT=hub.url
"""

from __future__ import annotations

import re
import sys
import threading
import urllib.parse
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Self

from tests.support import minihub_replies as replies
from tests.support.minihub_faults import Fault, Faults
from tests.support.minihub_replies import Ask, Reply
from tests.support.minihub_repos import Files, Repo, Shelf

_REPO_API = re.compile(r"/api/(model|dataset)s/([^/]+/[^/]+)(?:/(revision|tree|preupload|commit|branch|auth-check)/([^/]+))?")
_RESOLVE = re.compile(r"/(?:(dataset)s/)?([^/]+/[^/]+)/resolve/([^/]+)/(.+)")
_FILE = re.compile(r"/files/([0-9a-f]{64})")
_RANGE = re.compile(r"bytes=(\d+)-(\d*)")


@dataclass(frozen=True)
class Seen:
    """One request as it arrived: method and path, whether a token came with it, at which of the two servers."""

    request: str
    authorized: bool
    server: str


class MiniHub:
    """The stand-in: the Hub and its file server, each on a free loopback port, while the ``with`` block lasts."""

    def __init__(self) -> None:
        self.shelf = Shelf()
        self.faults = Faults()
        self.tokens: set[str] = set()
        self.readers: set[str] = set()
        """Tokens that may read only."""
        self.namespaces: set[str] = {"org"}
        """Where the tokens that may write, may."""
        self.seen: list[Seen] = []
        self._servers = {name: _Server(self, name) for name in ("hub", "files")}

    @property
    def url(self) -> str:
        return self._servers["hub"].origin

    @property
    def files_url(self) -> str:
        return self._servers["files"].origin

    def add(self, kind: str, repo_id: str, files: Files, *, private: bool = False, gated: bool = False) -> str:
        """Add a repository with one commit; its sha."""
        return self.shelf.add(Repo(kind, repo_id, private=private, gated=gated)).commit(files)

    def fail(self, *faults: Fault) -> None:
        for fault in faults:
            self.faults.add(fault)

    def requests(self, pattern: str) -> list[Seen]:
        """The requests so far whose ``METHOD /path`` matches."""
        return [seen for seen in self.seen if re.search(pattern, seen.request)]

    def reply(self, method: str, target: str, ask: Ask) -> Reply:
        """The answer to a request, faults aside."""
        path, _, query = target.partition("?")
        if match := _FILE.fullmatch(path):
            return self._file(method, match[1], ask)
        if ask.token is not None and ask.token not in self.tokens:
            return replies.refuse(401, message="Invalid credentials in Authorization header")
        if path == "/api/whoami-v2":
            return replies.whoami(self.namespaces, "read" if ask.token in self.readers else "write", ask)
        if match := _REPO_API.fullmatch(path):
            return self._repo_api(match, query, ask)
        if match := _RESOLVE.fullmatch(path):
            revision, name = urllib.parse.unquote(match[3]), urllib.parse.unquote(match[4])
            repo = self._visible(match[1] or "model", match[2], ask)
            return replies.resolve(repo, revision, name, ask) if repo else replies.missing_repo(ask)
        return self._upload(path, ask)

    def _upload(self, path: str, ask: Ask) -> Reply:
        """What a push asks for that concerns no repository yet."""
        if path == "/api/repos/create":
            return replies.create(self.shelf, ask) if self._may_write(ask.json().get("organization"), ask) else self._not_yours(ask)
        if path == "/api/validate-yaml":
            return replies.answer({"errors": [], "warnings": []})
        if path.endswith(".git/info/lfs/objects/batch"):
            return replies.large_file_batch(self.shelf, ask)
        return replies.refuse(404, message="the stand-in does not know this address")

    def _visible(self, kind: str, repo_id: str, ask: Ask) -> Repo | None:
        repo = self.shelf.find(kind, repo_id)
        return None if repo is not None and repo.private and ask.token is None else repo

    def _repo_api(self, match: re.Match[str], query: str, ask: Ask) -> Reply:
        repo = self._visible(match[1], match[2], ask)
        if repo is None:
            return replies.missing_repo(ask)
        action, revision = match[3] or "revision", urllib.parse.unquote(match[4] or "")
        if action in ("commit", "branch", "auth-check", "preupload") and not self._may_write(match[2].partition("/")[0], ask):
            return self._not_yours(ask)
        if action == "commit":
            return replies.commit(self.shelf, repo, revision, ask)
        if action == "tree" and query.startswith("from="):
            revision = f"{revision}?{query}"
        answers = {"revision": replies.info, "tree": replies.tree, "preupload": replies.preupload}
        answers |= {"branch": replies.branch, "auth-check": lambda *_: replies.answer({})}
        return answers[action](repo, revision, ask)

    def _may_write(self, namespace: str | None, ask: Ask) -> bool:
        return ask.token in self.tokens - self.readers and namespace in self.namespaces

    @staticmethod
    def _not_yours(ask: Ask) -> Reply:
        return replies.refuse(403 if ask.token else 401, message="You don't have the rights to write here")

    def _file(self, method: str, oid: str, ask: Ask) -> Reply:
        """The file server knows no tokens: an address is all it takes."""
        if method == "PUT":
            return replies.keep_large_file(self.shelf, oid, ask)
        return Reply(200, self.shelf.large_file(oid), dict(replies.OCTETS))

    def __enter__(self) -> Self:
        for server in self._servers.values():
            threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        for server in self._servers.values():
            server.shutdown()
            server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def __init__(self, hub: MiniHub, name: str) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.hub, self.name = hub, name
        self.origin = f"http://127.0.0.1:{self.server_port}"

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that hangs up in the middle of an answer is no error of the server."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name is the base class's
        """Requests are kept in `MiniHub.seen` instead of on standard error."""

    def _handle(self) -> None:
        hub, request = self.server.hub, f"{self.command} {urllib.parse.unquote(self.path)}"
        token = (self.headers.get("Authorization") or "").removeprefix("Bearer ") or None
        hub.seen.append(Seen(request, token is not None, self.server.name))
        ask = Ask(hub.url, hub.files_url, token, self._body())
        fault = hub.faults.take(request)
        if fault is not None and fault.status is not None:
            self._send(Reply(fault.status, b'{"error": "told to fail"}', dict(fault.headers)), None)
            return
        with hub.shelf.lock:
            reply = hub.reply(self.command, self.path, ask)
        self._send(self._ranged(reply), fault)

    do_GET = do_HEAD = do_POST = do_PUT = _handle  # noqa: N815 - the names are the base class's

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        body = b""
        while size := int(self.rfile.readline(), 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return body

    def _ranged(self, reply: Reply) -> Reply:
        """The part of the file that was asked for."""
        match = _RANGE.fullmatch(self.headers.get("Range") or "")
        if match is None or reply.status != 200:
            return reply
        first, size = int(match[1]), len(reply.body)
        last = min(int(match[2] or size), size - 1)
        part = {"Content-Range": f"bytes {first}-{last}/{size}"}
        return Reply(206, reply.body[first : last + 1], {**reply.headers, **part})

    def _send(self, reply: Reply, fault: Fault | None) -> None:
        body = reply.body
        self.send_response(reply.status)
        for name, value in {**reply.headers, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "HEAD":
            return
        if fault is not None and fault.flipped:
            body = bytes([body[0] ^ 0xFF]) + body[1:]
        if fault is not None and fault.cut_after is not None:
            body, self.close_connection = body[: fault.cut_after], True
        self.wfile.write(body)
