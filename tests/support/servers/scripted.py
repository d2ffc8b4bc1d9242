"""A small S3 in this process that fails on command: what no real server can be asked to do.

It knows just enough of S3 for the client's paths (objects, listing, multipart uploads) and checks nothing.  ``Fault``s are used up
one by one, each by the next request of its method.
"""

from __future__ import annotations

import contextlib
import hashlib
import secrets
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape

from tests.support.servers.processes import Endpoint


@dataclass
class Fault:
    """What happens to one request instead of, or after, what it asks for.

    ``status`` with ``code``: an error reply; 0: the connection is closed without one.  ``done``: the request is carried out first.
    ``truncate``: the reply is right but its body is cut half-way.
    """

    method: str
    status: int = 0
    code: str = ""
    headers: dict[str, str] = field(default_factory=dict)
    done: bool = False
    truncate: bool = False
    flip: bool = False
    """One bit of the reply's body is another."""
    stall_s: float = 0.0
    """Nothing comes for so long; then the fault's answer, or, without a status, what was asked for."""


@dataclass
class Requested:
    """A request as it came in."""

    method: str
    key: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes = b""


@dataclass
class ScriptedS3:
    """The objects, the faults to come, and all requests so far."""

    port: int = 0
    objects: dict[str, bytes] = field(default_factory=dict)
    uploads: dict[str, dict[int, bytes]] = field(default_factory=dict)
    etags: dict[str, str] = field(default_factory=dict)
    extra_headers: dict[str, str] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)
    requests: list[Requested] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def endpoint(self) -> Endpoint:
        return Endpoint("scripted", f"http://127.0.0.1:{self.port}", "key", "secret")

    def reset(self) -> None:
        for part in (self.objects, self.uploads, self.etags, self.extra_headers, self.faults, self.requests):
            part.clear()

    def methods(self) -> list[str]:
        return [request.method for request in self.requests]

    def take_fault(self, request: Requested) -> Fault | None:
        with self.lock:
            found = next((fault for fault in self.faults if fault.method == request.method), None)
            if found:
                self.faults.remove(found)
            return found

    def reply(self, request: Requested, fault: Fault | None) -> tuple[int, dict[str, str], bytes] | None:
        """What is sent back under a fault: (status, headers, body), or None for nothing."""
        if fault is None:
            return self.answer(request)
        time.sleep(fault.stall_s)
        passes = fault.truncate or fault.flip or bool(fault.stall_s and not fault.status and not fault.done)
        found = self.answer(request) if passes or fault.done else None
        if passes and found:
            status, headers, body = found
            middle = len(body) // 2
            flipped = body[:middle] + bytes([body[middle] ^ 1]) + body[middle + 1 :] if fault.flip and body else body
            return status, headers, flipped
        if not fault.status:
            return None
        status, headers, body = error(fault.status, fault.code)
        return status, headers | fault.headers, body

    def answer(self, request: Requested) -> tuple[int, dict[str, str], bytes]:
        """Carry a request out: (status, headers, body)."""
        with self.lock:
            return getattr(self, f"_{request.method.lower()}")(request)

    def _put(self, request: Requested) -> tuple[int, dict[str, str], bytes]:
        etag = f'"{hashlib.md5(request.body).hexdigest()}"'
        if "partNumber" in request.query:
            if request.query["uploadId"] not in self.uploads:
                return error(404, "NoSuchUpload")
            self.uploads[request.query["uploadId"]][int(request.query["partNumber"])] = request.body
        elif "if-none-match" in request.headers and request.key in self.objects:
            return error(412, "PreconditionFailed")
        else:
            self.objects[request.key] = request.body
            self.etags.setdefault(request.key, etag)
            etag = self.etags[request.key]
        return 200, {"ETag": etag, **self.extra_headers}, b""

    def _get(self, request: Requested) -> tuple[int, dict[str, str], bytes]:
        if "list-type" in request.query:
            return self._list(request)
        if "uploads" in request.query:
            found = "".join(f"<Upload><Key>x</Key><UploadId>{name}</UploadId></Upload>" for name in self.uploads)
            return 200, {}, f"<ListMultipartUploadsResult>{found}</ListMultipartUploadsResult>".encode()
        if request.key not in self.objects:
            return error(404, "NoSuchKey")
        data, headers, status = self.objects[request.key], {"ETag": self.etags[request.key], **self.extra_headers}, 200
        if wanted := request.headers.get("range"):
            start, _, stop = wanted.removeprefix("bytes=").partition("-")
            headers["Content-Range"] = f"bytes {start}-{stop}/{len(data)}"
            data, status = data[int(start) : int(stop) + 1], 206
        return status, headers, data

    _head = _get

    def _delete(self, request: Requested) -> tuple[int, dict[str, str], bytes]:
        self.objects.pop(request.key, None)
        self.uploads.pop(request.query.get("uploadId", ""), None)
        return 204, {}, b""

    def _post(self, request: Requested) -> tuple[int, dict[str, str], bytes]:
        if "uploads" in request.query:
            name = f"upload-{secrets.token_hex(4)}"
            self.uploads[name] = {}
            return 200, {}, f"<R><Key>{escape(request.key)}</Key><UploadId>{name}</UploadId></R>".encode()
        parts = self.uploads.pop(request.query["uploadId"], None)
        if parts is None:
            return error(404, "NoSuchUpload")
        digests = b"".join(hashlib.md5(parts[number]).digest() for number in sorted(parts))
        self.objects[request.key] = b"".join(parts[number] for number in sorted(parts))
        self.etags.setdefault(request.key, f'"{hashlib.md5(digests).hexdigest()}-{len(parts)}"')
        return 200, {}, f"<R><ETag>{self.etags[request.key]}</ETag></R>".encode()

    def _list(self, request: Requested) -> tuple[int, dict[str, str], bytes]:
        """Two objects a page, so that paging is always tried."""
        keys = sorted(key for key in self.objects if key.startswith(request.query.get("prefix", "")))
        left = [key for key in keys if key > request.query.get("continuation-token", "")]
        found = "".join(f"<Contents><Key>{escape(key)}</Key><Size>{len(self.objects[key])}</Size></Contents>" for key in left[:2])
        more = f"<NextContinuationToken>{left[1]}</NextContinuationToken>" if left[2:] else ""
        truncated = str(bool(left[2:])).lower()
        return 200, {}, f"<ListBucketResult><IsTruncated>{truncated}</IsTruncated>{more}{found}</ListBucketResult>".encode()


def error(status: int, code: str) -> tuple[int, dict[str, str], bytes]:
    return status, {"Content-Type": "application/xml"}, f"<Error><Code>{code}</Code><Message>{code}</Message></Error>".encode()


@contextlib.contextmanager
def scripted_s3(state: ScriptedS3 | None = None) -> Iterator[ScriptedS3]:
    """The server for as long as the block runs."""
    state = state or ScriptedS3()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def handle_any(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            parts = urlsplit(self.path)
            query = {name: values[0] for name, values in parse_qs(parts.query, keep_blank_values=True).items()}
            key = unquote(parts.path).lstrip("/").partition("/")[2]
            headers = {name.lower(): value for name, value in self.headers.items()}
            request = Requested(self.command, key, query, headers, self.rfile.read(length))
            state.requests.append(request)
            fault = state.take_fault(request)
            reply = state.reply(request, fault)
            if reply is None:
                self.close_connection = True
                return
            self.reply(*reply, cut=bool(fault and fault.truncate))

        def reply(self, status: int, headers: dict[str, str], body: bytes, *, cut: bool) -> None:
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command != "HEAD" and status != 204:
                with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # who asked may be dead by now
                    self.wfile.write(body[: len(body) // 2] if cut else body)
            self.close_connection = self.close_connection or cut

        def log_message(self, *_: object) -> None:
            """Quiet."""

    for verb in ("GET", "PUT", "POST", "DELETE", "HEAD"):
        setattr(Handler, f"do_{verb}", Handler.handle_any)
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    state.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield state
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
