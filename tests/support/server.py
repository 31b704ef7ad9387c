"""A real HTTP server on the loopback interface, whose faults are queued by the test.

    with Server() as server:
        url = server.serve("/fma_small.zip", content)
        server.queue("/fma_small.zip", Fault(drop_after=1000), Fault(status=503))
        ...
        assert [asked.range for asked in server.asked] == [None, "bytes=1000-", "bytes=1000-"]

It answers Range and If-Range as RFC 9110 says, closes each connection after one answer, and logs what it was
asked for. Each queued fault spoils one answer, in their order; `server.always` spoils every one.
"""

import hashlib
import io
import re
import socketserver
import threading
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

WAIT = 60  # seconds: a test that hangs fails in the end


@dataclass(frozen=True, kw_only=True, slots=True)
class Fault:
    """What is wrong with one answer."""

    status: int | None = None
    """Answer this status, and nothing of the file."""
    headers: Mapping[str, str | None] = field(default_factory=dict)
    """Sent instead of, or besides, the right ones; None leaves one out."""
    body: bytes | None = None
    """Sent instead of the file."""
    num_announced: int | None = None
    """Content-Length, instead of the truth."""
    drop_after: int | None = None
    """Bytes of the body after which the connection ends."""
    hold_after: int | None = None
    """Bytes of the body after which the server waits for `Server.release`."""
    pace: float | None = None
    """Seconds between two bytes of the body."""
    head_pace: float | None = None
    """Seconds between two bytes of the status line and the headers."""
    ignore_range: bool = False
    """Send the whole file, whatever was asked for."""
    shift: int = 0
    """Bytes by which the range that is sent lies beside the one that was asked for."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Asked:
    """One request and the status of its answer."""

    path: str
    range: str | None
    if_range: str | None
    status: int
    encoding: str | None
    authorization: str | None = None


@dataclass(kw_only=True, slots=True)
class _File:
    content: bytes
    validators: dict[str, str]


class Server:
    """Serves bytes at paths; a context manager."""

    def __init__(self) -> None:
        self.asked: list[Asked] = []
        self.always: dict[str, Fault] = {}
        self._files: dict[str, _File] = {}
        self._faults: dict[str, list[Fault]] = defaultdict(list)
        self._held, self._released = threading.Event(), threading.Event()
        self._lock = threading.Lock()
        self._http = _Http(("127.0.0.1", 0), _Handler)
        self._http.owner = self
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.01,), daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.release()
        self._http.shutdown()
        self._http.server_close()

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self._http.server_address[1]}{path}"

    def serve(self, path: str, content: bytes, *, validators: dict[str, str] | None = None) -> str:
        """Serve ``content`` with an ETag of its own, or with ``validators``; return its URL."""
        etag = {
            "ETag": f'"{hashlib.sha256(content).hexdigest()[:16]}"',
            "Last-Modified": formatdate(0, usegmt=True),
        }
        self._files[path] = _File(content=content, validators=etag if validators is None else validators)
        return self.url(path)

    def queue(self, path: str, *faults: Fault) -> None:
        """Spoil the next answers, one after another."""
        self._faults[path] += faults

    def wait_until_held(self) -> None:
        """Until an answer has come to its ``hold_after``."""
        assert self._held.wait(WAIT), "no answer was held"

    def release(self) -> None:
        """Let held answers go on."""
        self._released.set()

    def ranges(self, path: str) -> list[str | None]:
        """The Range headers of the requests for a path, in their order."""
        return [asked.range for asked in self.asked if asked.path == path]

    def answer(self, handler: "_Handler") -> None:
        path, headers = handler.path.partition("?")[0], handler.headers
        with self._lock:
            fault = self._faults[path].pop(0) if self._faults[path] else self.always.get(path, Fault())
            status, sent, body = _answer(self._files.get(path), headers, fault)
            self.asked.append(
                Asked(
                    path=path,
                    range=headers.get("Range"),
                    if_range=headers.get("If-Range"),
                    status=status,
                    encoding=headers.get("Accept-Encoding"),
                    authorization=headers.get("Authorization"),
                )
            )
        whole = handler.wfile
        if fault.head_pace is not None:
            handler.wfile = _Trickle(whole, fault.head_pace, self._released)
        handler.send_response(status)
        for name, value in sent.items():
            if value is not None:
                handler.send_header(name, value)
        handler.end_headers()
        handler.wfile = whole
        if handler.command == "HEAD":
            return
        hold = fault.hold_after or 0
        handler.wfile.write(body[:hold])
        if fault.hold_after is not None:
            self._held.set()
            self._released.wait(WAIT)
        rest = body[hold : fault.drop_after]
        if fault.pace is not None:
            handler.wfile = _Trickle(whole, fault.pace, self._released)
        handler.wfile.write(rest)


def _answer(
    file: _File | None, headers: Mapping[str, Any], fault: Fault
) -> tuple[int, dict[str, str | None], bytes]:
    if fault.status is not None or file is None:
        status, sent, body = fault.status or 404, {}, fault.body or b"an error"
    elif fault.body is not None:
        status, sent, body = 200, {}, fault.body
    else:
        status, sent, body = _ranged(file, headers, fault)
    announced = len(body) if fault.num_announced is None else fault.num_announced
    return status, {"Content-Length": str(announced), "Connection": "close", **sent, **fault.headers}, body


def _ranged(file: _File, headers: Mapping[str, Any], fault: Fault) -> tuple[int, dict[str, str], bytes]:
    wanted = re.fullmatch(r"bytes=(\d+)-", headers.get("Range") or "")
    same = headers.get("If-Range") in (None, *file.validators.values())
    total = len(file.content)
    if wanted is None or not same or fault.ignore_range:
        return 200, dict(file.validators), file.content
    start = int(wanted[1]) + fault.shift
    if start >= total:
        return 416, {"Content-Range": f"bytes */{total}"}, b""
    span = {"Content-Range": f"bytes {start}-{total - 1}/{total}"}
    return 206, {**file.validators, **span}, file.content[start:]


class _Trickle(io.RawIOBase):
    """Writes one byte after another, until the test has ended."""

    def __init__(self, file: Any, pace: float, ended: threading.Event) -> None:
        self.file, self.pace, self.ended = file, pace, ended

    def write(self, data: Any) -> int:
        for byte in bytes(data):
            self.file.write(bytes([byte]))
            if self.ended.wait(self.pace):
                break
        return len(data)


class _Http(ThreadingHTTPServer):
    owner: Server
    daemon_threads = True

    def server_bind(self) -> None:  # http.server's looks the host's name up, which can take seconds
        socketserver.TCPServer.server_bind(self)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that was killed, or had enough, is what tests are for."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Http

    def do_GET(self) -> None:
        self.close_connection = True
        self.server.owner.answer(self)

    do_HEAD = do_GET  # noqa: N815 - http.server's name; the answer has no body

    def log_message(self, format: str, *args: Any) -> None:
        """Tests read `Server.asked`."""
