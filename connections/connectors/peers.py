"""Which machines a connector may talk to, asked of the address that is connected to."""

from __future__ import annotations

import ipaddress
import socket
from typing import Any

from requests.adapters import HTTPAdapter
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import ConnectTimeoutError, NameResolutionError
from urllib3.exceptions import NewConnectionError as NotConnected
from urllib3.util.connection import create_connection

IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address
NAT64 = ipaddress.ip_network("64:ff9b::/96")  # its last 32 bits are an IPv4 address


class AddressRefused(Exception):
    """The host's name stands for an address that is not on the public internet."""


def is_public(address: str) -> bool:
    """Whether an IP address is one of the public internet's.

    Args: address, such as "10.0.0.7" or "fe80::1%eth0".
    """
    ip: IPAddress = ipaddress.ip_address(address)
    if isinstance(ip, ipaddress.IPv6Address):
        inner = ip.ipv4_mapped or ip.sixtofour
        if inner is None and ip in NAT64:
            inner = ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)
        ip = inner or ip
    return ip.is_global and not ip.is_multicast


def _connect(conn: HTTPConnection) -> socket.socket:
    """Resolve once, check what came, and connect to exactly that.

    A name that answers otherwise the next time (DNS rebinding) gains nothing.
    """
    try:
        found = socket.getaddrinfo(
            conn.host.strip("[]"), conn.port, type=socket.SOCK_STREAM
        )
    except socket.gaierror as exc:
        raise NameResolutionError(conn.host, conn, exc) from exc
    except UnicodeError as exc:
        raise AddressRefused(f"{conn.host!r} is not a host name") from exc
    addresses = list(dict.fromkeys(str(sockaddr[0]) for *_, sockaddr in found))
    if bad := next((a for a in addresses if not is_public(a)), None):
        raise AddressRefused(f"{conn.host} stands for the private address {bad}")
    failure: OSError | None = None
    for address in addresses:
        try:
            return create_connection(
                (address, conn.port or conn.default_port),
                conn.timeout,
                source_address=conn.source_address,
                socket_options=conn.socket_options,
            )
        except OSError as exc:
            failure = exc
    if isinstance(failure, TimeoutError):
        raise ConnectTimeoutError(conn, "connection timed out") from failure
    raise NotConnected(conn, f"{failure or 'no address'}") from failure


class _PublicHTTPS(HTTPSConnection):
    def _new_conn(self) -> socket.socket:
        return _connect(self)


class _PublicHTTP(HTTPConnection):
    def _new_conn(self) -> socket.socket:
        return _connect(self)


class _HTTPSPool(HTTPSConnectionPool):
    ConnectionCls = _PublicHTTPS


class _HTTPPool(HTTPConnectionPool):
    ConnectionCls = _PublicHTTP


class PublicOnly(HTTPAdapter):
    """Connects to public addresses only, whatever the name or a redirect says."""

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = {
            "http": _HTTPPool,
            "https": _HTTPSPool,
        }
