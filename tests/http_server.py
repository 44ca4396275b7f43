"""A real HTTP server on loopback that fails as it is told to.

Files are served with ETag, Last-Modified, Range and If-Range. A script, one list of
:class:`Fault` per path, says what goes wrong with the first, the second… request; requests
after the last fault are answered properly.
"""

from __future__ import annotations

import hashlib
import re
import socket
import struct
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Self


@dataclass(frozen=True, kw_only=True)
class Fault:
    """What goes wrong with one request.

    Attributes:
        status: answer with this code, ``body`` and ``headers`` instead of the file.
        body: send this instead of the file's bytes.
        headers: additional headers, which replace the usual ones of the same name; None
            leaves one out.
        reset_at: send this many bytes of the body, then reset the connection (RST).
        close_at: send this many bytes of the body, then close the connection properly.
        ignore_range: answer 200 with the whole file whatever was asked for.
        ignore_if_range: continue with 206 although the file is another one by now.
        hold_at: send this many bytes, set ``held``, and wait for ``go_on``.
    """

    status: int | None = None
    body: bytes | None = None
    headers: dict[str, str | None] = field(default_factory=dict)
    reset_at: int | None = None
    close_at: int | None = None
    ignore_range: bool = False
    ignore_if_range: bool = False
    hold_at: int | None = None
    held: threading.Event = field(default_factory=threading.Event)
    go_on: threading.Event = field(default_factory=threading.Event)


@dataclass(frozen=True, kw_only=True)
class Request:
    """One request as it came, and the status it was answered with."""

    path: str
    headers: dict[str, str]
    status: int

    @property
    def range(self) -> str | None:
        return self.headers.get("range")


class FaultyServer:
    """Serves ``files`` on 127.0.0.1; ``with`` starts and stops it."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.scripts: dict[str, list[Fault]] = {}
        self.requests: list[Request] = []
        self._lock = threading.Lock()
        self._holds: list[Fault] = []
        owner = self

        class Handler(_Handler):
            faulty = owner

        self._server = _Server(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_exception: object) -> None:
        for fault in self._holds:
            fault.go_on.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    def serve(self, path: str, content: bytes, *faults: Fault) -> str:
        """Serve ``content`` at ``path`` after ``faults``; the URL."""
        self.files[path] = content
        self.scripts[path] = list(faults)
        self._holds += [fault for fault in faults if fault.hold_at is not None]
        return f"{self.base_url}/{path}"

    def asked(self, path: str) -> list[Request]:
        """The requests for a path, in order."""
        with self._lock:
            return [request for request in self.requests if request.path == path]

    def next_fault(self, path: str) -> Fault:
        with self._lock:
            script = self.scripts.get(path)
            return script.pop(0) if script else Fault()

    def record(self, request: Request) -> None:
        with self._lock:
            self.requests.append(request)


class _Server(ThreadingHTTPServer):
    daemon_threads = False
    block_on_close = True

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that went away is part of the tests."""


def etag_of(content: bytes) -> str:
    return f'"{hashlib.md5(content, usedforsecurity=False).hexdigest()}"'


class _Handler(BaseHTTPRequestHandler):
    faulty: FaultyServer
    protocol_version = "HTTP/1.1"

    def log_message(self, *_arguments: object) -> None:
        """The log is ``FaultyServer.requests``."""

    def do_GET(self) -> None:
        self.close_connection = True
        path = self.path.lstrip("/").partition("?")[0]
        fault = self.faulty.next_fault(path)
        content = self.faulty.files.get(path)
        if fault.status is not None or content is None:
            body = fault.body if fault.body is not None else b"sorry"
            self._answer(path, fault.status or 404, body, {"Content-Type": "text/plain"}, fault)
            return
        if fault.body is not None:
            content = fault.body
        headers = {
            "ETag": etag_of(content),
            "Content-Type": "application/x-hdf5",
            "Accept-Ranges": "bytes",
        }
        start = self._start(content, fault)
        if start is None:
            self._answer(path, 200, content, headers, fault)
        elif start >= len(content):
            headers["Content-Range"] = f"bytes */{len(content)}"
            self._answer(path, 416, b"", headers, fault)
        else:
            headers["Content-Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
            self._answer(path, 206, content[start:], headers, fault)

    def _start(self, content: bytes, fault: Fault) -> int | None:
        """First byte wanted, or None for the whole file."""
        match = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        if match is None or fault.ignore_range:
            return None
        condition = self.headers.get("If-Range")
        if condition not in (None, etag_of(content)) and not fault.ignore_if_range:
            return None
        return int(match[1])

    def _answer(
        self, path: str, status: int, body: bytes, headers: dict[str, str], fault: Fault
    ) -> None:
        asked = {name.lower(): value for name, value in self.headers.items()}
        self.faulty.record(Request(path=path, headers=asked, status=status))
        self.send_response(status)
        usual: dict[str, str | None] = {"Content-Length": str(len(body)), "Connection": "close"}
        for name, value in {**usual, **headers, **fault.headers}.items():
            if value is not None:
                self.send_header(name, value)
        self.end_headers()
        self._send(body, fault)

    def _send(self, body: bytes, fault: Fault) -> None:
        if fault.hold_at is not None:
            self.wfile.write(body[: fault.hold_at])
            self.wfile.flush()
            body = body[fault.hold_at :]
            fault.held.set()
            fault.go_on.wait(60)
        cut = fault.reset_at if fault.reset_at is not None else fault.close_at
        self.wfile.write(body[:cut])
        self.wfile.flush()
        if fault.reset_at is not None:
            # A linger time of zero makes close() send RST.
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.connection.close()
