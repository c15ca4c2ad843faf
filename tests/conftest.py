"""What every test has: a network that ends at this machine."""

from __future__ import annotations

import ipaddress
import os
import socket
from collections.abc import Iterator
from typing import Any

import pytest

# Playwright's loop makes Django take a test for asynchronous code.
os.environ.setdefault("DJANGO_ALLOW_ASYNC_UNSAFE", "true")


class NetworkRefused(RuntimeError):
    """A test reached for another machine."""


def _is_here(address: Any) -> bool:
    if isinstance(address, str | bytes):
        return True  # a Unix socket
    host = address[0]
    if host in ("", "localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _refuse(host: object) -> None:
    # Plain RuntimeError, not OSError: code under test must not take it for an outage.
    raise NetworkRefused(f"Tests talk to loopback only, not to {host!r}.")


@pytest.fixture(autouse=True)
def _loopback_only(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    connect, connect_ex = socket.socket.connect, socket.socket.connect_ex
    look_up = socket.getaddrinfo

    def guarded(self: socket.socket, address: Any) -> None:
        if not _is_here(address):
            _refuse(address)
        return connect(self, address)

    def guarded_ex(self: socket.socket, address: Any) -> int:
        if not _is_here(address):
            _refuse(address)
        return connect_ex(self, address)

    def guarded_look_up(host: Any, *args: Any, **kwargs: Any) -> Any:
        name = host.decode() if isinstance(host, bytes) else host
        # RFC 6761 keeps .invalid for names that never resolve: a host that is down.
        if name is not None and name.endswith(".invalid"):
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        try:
            ipaddress.ip_address(name or "127.0.0.1")
        except ValueError:
            if name != "localhost":
                _refuse(name)
        return look_up(host, *args, **kwargs)

    monkeypatch.setattr(socket.socket, "connect", guarded)
    monkeypatch.setattr(socket.socket, "connect_ex", guarded_ex)
    monkeypatch.setattr(socket, "getaddrinfo", guarded_look_up)
    yield
