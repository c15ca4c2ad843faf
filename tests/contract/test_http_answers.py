"""What no answer may do: lead elsewhere, flood, drip, or pass for one."""

from __future__ import annotations

import gzip
import json
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from connections.connectors import http
from connections.connectors.base import SetupError, TransientError, UncertainError
from connections.connectors.http import Safety
from tests.contract.harness import new_context
from tests.contract.scripted import Asked, Said, Scripted, dripping, hang_up
from tests.contract.way import OK, TOKEN, Way

pytestmark = pytest.mark.contract


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_not_followed(way: Way, status: int):
    with Scripted() as elsewhere:
        elsewhere.on("*", "/x", OK)
        way.says(Said(status, None, {"Location": f"{elsewhere.url}/x"}))
        for safety in Safety:
            error = way.fails(safety)
            assert isinstance(error, SetupError)
            assert elsewhere.url.removeprefix("http://") in error.message
        assert elsewhere.asked == []
    assert way.calls == 3


def test_a_redirect_names_no_secret_of_its_target(way: Way):
    target = "https://user:hunter2hunter2@other.example/?token=hunter2hunter2"
    way.says(Said(302, None, {"Location": target}))
    assert "hunter2" not in str(way.fails())


def test_an_endless_answer_is_cut_off(way: Way, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(http, "MAX_ANSWER_BYTES", 200_000)
    sent = []

    def flood(connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n[")
        try:
            while True:
                connection.sendall(b"1," * 32_768)
                sent.append(65_536)
        except OSError:
            done.set()

    done = threading.Event()
    way.says(Said(raw=flood))
    error = way.fails(Safety.ONCE)
    assert isinstance(error, UncertainError)
    assert "too large" in error.message
    assert done.wait(5)
    assert sum(sent) < 20_000_000


def test_a_small_answer_that_unpacks_to_a_large_one_is_cut_off(
    way: Way, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(http, "MAX_ANSWER_BYTES", 1_000_000)
    bomb = gzip.compress(b"[" + b" " * 20_000_000 + b"]")
    assert len(bomb) < 100_000
    way.says(Said(200, bomb, {"Content-Encoding": "gzip"}))
    assert "too large" in way.fails(Safety.ONCE).message


def test_a_packed_answer_is_unpacked(way: Way):
    packed = gzip.compress(json.dumps({"text": "ä" * 100_000}).encode())
    way.says(Said(200, packed, {"Content-Encoding": "gzip"}))
    assert way.send().body == {"text": "ä" * 100_000}


@pytest.mark.parametrize(
    "head",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
    ],
    ids=["with a length", "without", "in chunks"],
)
def test_an_answer_that_drips_is_given_up(way: Way, head: bytes):
    way.timeout_s = 0.1
    drops = b"1\r\n \r\n" * 10_000 if b"chunked" in head else b" " * 60_000
    way.says(Said(raw=dripping(head, drops, 0.02)))
    before = time.monotonic()
    error = way.fails(Safety.ONCE)
    assert isinstance(error, UncertainError)
    assert time.monotonic() - before < 20


@pytest.mark.parametrize(
    "raw",
    [
        b'HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\n{"fine":',
        b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n40\r\n{"fine":',
        b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\nnot gzip at all",
        b"HTTP/1.1 200",
        b"SSH-2.0-OpenSSH\r\n\r\n",
        b"",
    ],
)
def test_half_an_answer_is_none(way: Way, raw: bytes):
    def act(connection: socket.socket) -> None:
        connection.sendall(raw)
        hang_up(connection)

    way.says(Said(raw=act), OK)
    assert way.send().body == {"fine": True}
    way.says(Said(raw=act), OK)
    assert isinstance(way.fails(Safety.ONCE), UncertainError)


@pytest.mark.parametrize(
    "text", ["", "<html>hello</html>", "{'a': 1}", b"\xff\xfe\x00"]
)
def test_a_success_that_is_no_json_is_none(way: Way, text: object):
    way.says(Said(200, text))
    error = way.fails()
    assert isinstance(error, TransientError)
    assert "JSON" in error.message
    assert isinstance(way.fails(Safety.ONCE), UncertainError)


@pytest.mark.parametrize("status", [200, 204])
def test_no_content_is_an_empty_answer(way: Way, status: int):
    way.says(Said(204))
    answer = way.send(Safety.REPEATABLE)
    assert (answer.status, answer.body) == (204, {})


@pytest.mark.parametrize(
    ("text", "body"),
    [("[1]", [1]), ("null", {"value": None}), ('"x"', {"value": "x"}), ("{}", {})],
)
def test_any_json_is_an_answer(way: Way, text: str, body: object):
    way.says(Said(200, text))
    assert way.send().body == body


def test_a_refusal_that_is_no_json_keeps_its_beginning(way: Way):
    way.says(Said(400, "nginx: request too large" + "x" * 1_000))
    message = way.send().body["message"]
    assert message.startswith("nginx: request too large")
    assert len(message) <= 200


# Connections ---------------------------------------------------------------------------


def test_threads_do_not_wait_for_each_other(way: Way):
    together = threading.Barrier(4)

    def meet(asked: Asked) -> Said:
        together.wait(10)  # breaks unless all four are on their way at once
        return OK

    way.says(meet)
    door = way.door()
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda _: door.send("GET", "/x").ok, range(4)))
    door.close()
    assert answers == [True] * 4
    assert way.calls == 4


def test_neither_proxies_nor_netrc_change_what_is_sent(
    way: Way, monkeypatch: pytest.MonkeyPatch, tmp_path: Any
):
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login other password other\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    way.says(OK)
    assert way.send().ok
    (asked,) = way.script.asked
    assert asked.headers["Authorization"] == f"Bearer {TOKEN}"
    assert asked.headers["User-Agent"].startswith("Crosslink/")


def test_a_connection_that_the_server_closed_meanwhile_is_no_failure(way: Way):
    """A create by a connection that is dead already would never have been received."""

    def answer_and_leave(connection: socket.socket) -> None:
        body = b'{"fine": true}'
        head = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body)
        connection.sendall(head + body)
        hang_up(connection)
        left.set()

    left = threading.Event()
    way.says(Said(raw=answer_and_leave), OK)
    door = way.door()
    assert door.send("GET", "/x").ok
    assert left.wait(5)
    assert door.send("POST", "/x", body={}, safety=Safety.ONCE).ok
    door.close()
    assert way.calls == 2


def test_every_try_is_counted(way: Way):
    way.says(Said(503), Said(503), OK)
    context = new_context()
    door = way.door(context)
    door.send("GET", "/x")
    door.close()
    assert context.meter.calls == way.calls == 3
