"""Which hosts the HTTP door opens to, by the address that is really connected to."""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Any

import pytest

from connections.catalogue import Code
from connections.connectors import peers
from connections.connectors.base import Context, SetupError
from connections.connectors.http import Door
from tests.contract.harness import Naps
from tests.contract.way import OK, TOKEN, Way

pytestmark = pytest.mark.contract
PUBLIC = "93.184.216.34"
Resolve = Callable[..., None]


def fails(base: str, *, private: bool = False) -> SetupError:
    context = Context(allow_private_hosts=private, timeout_s=2)
    door = Door(base, {"Authorization": f"Bearer {TOKEN}"}, context, sleep=Naps())
    with pytest.raises(SetupError) as caught:
        door.send("GET", "/x")
    door.close()
    assert caught.value.code == Code.UNAVAILABLE
    assert TOKEN not in str(caught.value)
    assert context.meter.calls <= 1
    return caught.value


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "127.1.2.3",
        "0.0.0.0",
        "10.0.0.7",
        "172.16.9.9",
        "192.168.1.1",
        "169.254.169.254",
        "100.64.0.1",
        "224.0.0.1",
        "255.255.255.255",
        "localhost",
        "[::1]",
        "[::]",
        "[fd12:3456::1]",
        "[fe80::1]",
        "[ff02::1]",
        "[::ffff:127.0.0.1]",
        "[::ffff:a00:7]",
        "[64:ff9b::7f00:1]",
        "[2002:7f00:1::]",
    ],
)
def test_a_private_address_is_refused(host: str):
    error = fails(f"https://{host}:8443")
    assert "only public addresses" in error.message


@pytest.fixture
def resolve(monkeypatch: pytest.MonkeyPatch) -> Resolve:
    """Say what a host's name stands for, a list for each time it is asked."""

    def give(*answers: list[str]) -> None:
        left = list(answers)

        def look_up(host: str, port: int, *args: Any, **kwargs: Any) -> list[Any]:
            now = left.pop(0) if len(left) > 1 else left[0]
            return [
                (
                    socket.AF_INET6 if ":" in address else socket.AF_INET,
                    socket.SOCK_STREAM,
                    6,
                    "",
                    (address, port),
                )
                for address in now
            ]

        monkeypatch.setattr(socket, "getaddrinfo", look_up)

    return give


@pytest.mark.parametrize(
    "addresses",
    [
        ["10.0.0.7"],
        ["::ffff:10.0.0.7"],
        [PUBLIC, "127.0.0.1"],
        ["127.0.0.1", PUBLIC],
        ["2606:2800:220:1::1", "fd00::1"],
    ],
)
def test_a_name_that_stands_for_a_private_address_is_refused(
    resolve: Resolve, addresses: list[str]
):
    resolve(addresses)
    error = fails("https://api.example.com")
    assert "api.example.com stands for the private address" in error.message


def test_the_address_that_was_checked_is_the_one_connected_to(
    resolve: Resolve, monkeypatch: pytest.MonkeyPatch
):
    """A name that answers otherwise the second time gains nothing."""
    tried: list[tuple[str, int]] = []

    def connect(address: tuple[str, int], *args: Any, **kwargs: Any) -> socket.socket:
        tried.append(address)
        raise ConnectionRefusedError

    monkeypatch.setattr(peers, "create_connection", connect)
    resolve([PUBLIC], ["127.0.0.1"])
    context = Context(timeout_s=2)
    door = Door("https://api.example.com", {}, context, sleep=Naps())
    with pytest.raises(SetupError):  # at the second try, which is looked up anew
        door.send("GET", "/x")
    assert tried == [(PUBLIC, 443)]


@pytest.mark.parametrize(
    "base",
    [
        "http://api.hubapi.com",
        "ftp://api.hubapi.com",
        "file:///etc/passwd",
        "api.hubapi.com",
        "",
    ],
)
def test_only_https_goes_out(base: str):
    assert "https://" in fails(base).message


@pytest.mark.parametrize("base", ["ftp://127.0.0.1", "file:///etc/passwd", "x"])
def test_other_schemes_are_refused_where_private_hosts_are_allowed(base: str):
    fails(base, private=True)


@pytest.mark.parametrize(
    "base",
    [
        "https://",
        "https://a b",
        "https://[::1",
        "https://host:port",
        "https://host:99999",
        "https://.example.com",
        "https://exa\udcffmple.com",
    ],
)
@pytest.mark.parametrize("private", [True, False])
def test_an_address_that_is_none_is_an_error_of_setup(base: str, private: bool):
    fails(base, private=private)


def test_a_name_that_no_host_can_have_is_an_error_of_setup():
    fails("https://" + "a" * 300 + ".example", private=True)


def test_a_private_host_is_called_where_that_is_allowed(way: Way):
    way.says(OK)
    assert way.send().ok
