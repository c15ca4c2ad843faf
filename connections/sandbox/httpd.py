"""HTTP/1.1 for the fake systems: connections kept alive, latency, faults.

Source: https://docs.python.org/3/library/http.server.html
"""

from __future__ import annotations

import json
import logging
import socket
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal

from connections.sandbox.faults import Fault, Faults
from connections.sandbox.traffic import Seen, Traffic
from connections.sandbox.wire import Answer, App, Request

logger = logging.getLogger(__name__)
CONTROL = "/_sandbox/"
MAX_BODY = 64 * 1024 * 1024  # bytes
Phase = Literal["before", "after"]
Hook = Callable[[Phase, int, Request], None]
Control = Callable[[Request], Answer]
Refusal = Callable[[int, str], object]  # a status and a text as the system words them
ROWS = ("results", "records")  # what systems call the list in an answer


class Dropped(Exception):
    """The connection closes without an answer, or in the middle of this one."""

    def __init__(self, answer: Answer | None = None) -> None:
        super().__init__()
        self.answer = answer


class Gate:
    """What stands between the socket and the fake: counting, latency, faults.

    `hook`, if set, is called in the server's thread before and after the effect of
    every call, with the call's number: a test may kill its client there.
    """

    def __init__(
        self,
        app: App,
        faults: Faults,
        *,
        latency_ms: float,
        refusal: Refusal,
    ) -> None:
        self.app = app
        self._refusal = refusal
        self.faults = faults
        self.traffic = Traffic()
        self.latency_ms = latency_ms
        self.hook: Hook | None = None
        self.stopping = threading.Event()
        self._unexpected = Answer.json(500, refusal(500, "internal error"))
        self._lists: dict[tuple[str, str], Answer] = {}  # the last one of each path

    def handle(self, request: Request) -> Answer:
        """Answer a request, or hurt the client as a fault says.

        Raises: Dropped.
        """
        number = self.traffic.next()
        fault = self.faults.strike(request.method, request.path)
        status = 0
        try:
            self._notify("before", number, request)
            if self.latency_ms:
                self.stopping.wait(self.latency_ms / 1000)
            if fault is not None and fault.when == "before":
                answer = self._hurt(fault, Answer(200, b""))
            else:
                answer = self._effect(request)
                self._notify("after", number, request)
                path = (request.method, request.path)
                former = self._lists.get(path, answer)
                if any(b'"%b":[' % name.encode() in answer.body for name in ROWS):
                    self._lists[path] = answer
                if fault is not None:
                    answer = self._hurt(fault, answer, former)
            status = answer.status
            return answer
        finally:
            family = request.family or f"{request.method} unanswered"
            spec = fault.spec if fault else ""
            seen = Seen(number, request.method, request.path, family, status, spec)
            self.traffic.add(seen)

    def forget(self) -> None:
        """Forget the answers that a fault could give again."""
        self._lists.clear()

    def _effect(self, request: Request) -> Answer:
        try:
            return self.app.answer(request)
        except Exception:
            logger.exception("%s %s failed", request.method, request.path)
            return self._unexpected

    def _notify(self, phase: Phase, number: int, request: Request) -> None:
        if self.hook is not None:
            self.hook(phase, number, request)

    def _hurt(
        self, fault: Fault, answer: Answer, former: Answer | None = None
    ) -> Answer:
        if fault.kind == "drop":
            raise Dropped
        if fault.kind == "timeout":
            self.stopping.wait(fault.amount)
            raise Dropped
        if fault.kind == "garbage":
            return Answer(200, b"<html>upstream said hello</html>", answer.headers)
        if fault.kind == "hollow":
            return Answer.json(200, {}, answer.headers)
        if fault.kind == "cut":
            raise Dropped(answer)
        if fault.kind == "repeat":
            return former or answer
        if fault.kind in LISTS:
            return _relisted(answer, LISTS[fault.kind], int(fault.amount))
        body = self._refusal(int(fault.amount), f"Fault on demand: {fault.spec}")
        headers = dict(answer.headers)
        if fault.retry_after:
            headers["Retry-After"] = str(fault.retry_after)
        return Answer.json(int(fault.amount), body, headers)


def _relisted(
    answer: Answer, change: Callable[[Any, str, int], Any], by: int
) -> Answer:
    """Return a list answer whose body was changed; any other as it is."""
    try:
        body: Any = json.loads(answer.body)
    except ValueError:
        return answer
    if not isinstance(body, dict):
        return answer
    name = next((n for n in ROWS if isinstance(body.get(n), list)), None)
    if name is None:
        return answer
    status = 200 if change is _truncated else answer.status
    return Answer.json(status, change(body, name, by), answer.headers)


def _truncated(body: Any, name: str, most: int) -> Any:
    """A list that lost its end, as a broken proxy would have it."""
    body[name] = body[name][:most]
    lost = ("paging", "offset", "errors", "numErrors")
    return {k: v for k, v in body.items() if k not in lost}


def _omitted(body: Any, name: str, each: int) -> Any:
    return body | {name: [r for n, r in enumerate(body[name], 1) if n % each]}


def _shuffled(body: Any, name: str, _: int) -> Any:
    return body | {name: body[name][::-1]}


LISTS: dict[str, Callable[[Any, str, int], Any]] = {
    "truncate": _truncated,
    "omit": _omitted,
    "shuffle": _shuffled,
}


class Handler(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # without it small answers wait 40 ms
    wbufsize = -1  # head and body leave together
    timeout = 300  # seconds that a connection may idle
    server: Server

    def _answer(self) -> None:
        path, _, query = self.path.partition("?")
        length = int(self.headers.get("Content-Length") or 0)
        if length > MAX_BODY:
            self.close_connection = True
            self._send(Answer(413, b""))
            return
        body = self.rfile.read(length) if length else b""
        headers = {name.title(): value for name, value in self.headers.items()}
        request = Request(self.command, path, query, headers, body)
        try:
            if path.startswith(CONTROL):
                answer = self.server.control(request)
            else:
                answer = self.server.gate.handle(request)
        except Dropped as dropped:
            self.close_connection = True
            if dropped.answer is not None:
                self._send(dropped.answer, half=True)
            self.connection.shutdown(socket.SHUT_RDWR)
            return
        self._send(answer)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _answer

    def _send(self, answer: Answer, *, half: bool = False) -> None:
        self.send_response(answer.status)
        for name, value in answer.headers.items():
            self.send_header(name, value)
        if answer.body:
            self.send_header("Content-Type", "application/json;charset=utf-8")
        if answer.status != 204:
            self.send_header("Content-Length", str(len(answer.body)))
        self.end_headers()
        whole = len(answer.body)
        self.wfile.write(answer.body[: whole // 2 if half else whole])
        self.wfile.flush()

    def handle(self) -> None:
        """Serve until the client or the server closes; a broken pipe is no news."""
        self.server.connections.add(self.connection)
        try:
            super().handle()
        except OSError:
            logger.debug("a client went away", exc_info=True)
        finally:
            self.server.connections.discard(self.connection)

    def finish(self) -> None:
        """Flush what is left, if anyone still listens."""
        try:
            super().finish()
        except OSError:
            logger.debug("a client went away before its answer", exc_info=True)

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing: the calls are in the traffic."""


class Server(ThreadingHTTPServer):
    """A loopback server whose threads end with it."""

    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def __init__(self, port: int, gate: Gate, control: Control) -> None:
        super().__init__(("127.0.0.1", port), Handler)
        self.gate = gate
        self.control = control
        self.connections: set[socket.socket] = set()

    def hang_up(self) -> None:
        """Close every open connection."""
        for connection in list(self.connections):
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                logger.debug("closed already", exc_info=True)
