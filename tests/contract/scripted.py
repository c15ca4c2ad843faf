"""A small HTTP server that says what a test tells it to, and keeps what it was asked."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit

Raw = Callable[[socket.socket], None]


@dataclass(frozen=True)
class Said:
    """One answer: JSON, or text or bytes as they are; or whatever `raw` does."""

    status: int = 200
    body: object = None
    headers: dict[str, str] = field(default_factory=dict)
    raw: Raw | None = None

    @property
    def content(self) -> bytes:
        if isinstance(self.body, bytes):
            return self.body
        if isinstance(self.body, str):
            return self.body.encode()
        return b"" if self.body is None else json.dumps(self.body).encode()


@dataclass(frozen=True)
class Asked:
    """One request that came in."""

    method: str
    path: str
    query: dict[str, list[str]]
    headers: dict[str, str]
    body: Any

    @property
    def ids(self) -> list[str]:
        """The ids of a batch's inputs."""
        return [str(item["id"]) for item in self.body["inputs"]]


Reply = Said | Callable[[Asked], Said]


def hang_up(connection: socket.socket) -> None:
    """End a connection without an answer."""
    connection.shutdown(socket.SHUT_RDWR)


def silent(seconds: float) -> Raw:
    """Say nothing for a time, then hang up."""

    def act(connection: socket.socket) -> None:
        time.sleep(seconds)
        with suppress(OSError):
            hang_up(connection)

    return act


def dripping(head: bytes, drops: bytes, every_s: float) -> Raw:
    """Send a head at once and the rest a byte at a time."""

    def act(connection: socket.socket) -> None:
        with suppress(OSError):
            connection.sendall(head)
            for drop in drops:
                connection.sendall(bytes([drop]))
                time.sleep(every_s)
            hang_up(connection)

    return act


class Scripted:
    """Answers each (method, end of path) with its replies in turn, the last for ever."""

    def __init__(self) -> None:
        self.asked: list[Asked] = []
        self._replies: dict[tuple[str, str], deque[Reply]] = {}
        self._server = _Server(self)
        self._thread = threading.Thread(
            target=self._server.serve_forever,
            kwargs={"poll_interval": 0.02},
            daemon=True,
        )

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def on(self, method: str, path: str, *replies: Reply) -> Self:
        """Set what calls to a path are answered. Args: path, how it ends."""
        self._replies[method, path] = deque(replies)
        return self

    def calls(self, path: str = "") -> list[Asked]:
        """The requests whose path contains a text."""
        return [asked for asked in self.asked if path in asked.path]

    def reply(self, asked: Asked) -> Said:
        self.asked.append(asked)
        fitting = [
            (path, replies)
            for (method, path), replies in self._replies.items()
            if method in (asked.method, "*") and asked.path.endswith(path)
        ]
        if not fitting:
            return Said(404, {"message": f"not scripted: {asked.method} {asked.path}"})
        _, replies = max(fitting, key=lambda entry: len(entry[0]))
        found = replies.popleft() if len(replies) > 1 else replies[0]
        return found if isinstance(found, Said) else found(asked)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def __init__(self, script: Scripted) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.script = script

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is what some tests are about."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1
    server: _Server

    def _answer(self) -> None:
        parts = urlsplit(self.path)
        length = int(self.headers.get("Content-Length") or 0)
        content = self.rfile.read(length) if length else b""
        said = self.server.script.reply(
            Asked(
                self.command,
                parts.path,
                parse_qs(parts.query, keep_blank_values=True),
                {name.title(): value for name, value in self.headers.items()},
                json.loads(content) if content else None,
            )
        )
        if said.raw is not None:
            self.close_connection = True
            said.raw(self.connection)
            return
        self.send_response(said.status)
        headers = {"Content-Type": "application/json"} | said.headers
        if said.status != 204:
            headers = {"Content-Length": str(len(said.content))} | headers
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(said.content)
        self.wfile.flush()

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _answer

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing: what was asked is kept."""
