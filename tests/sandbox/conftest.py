"""One sandbox per module, emptied before each test through its control plane."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from connections.sandbox.hubspot.budgets import Limits
from connections.sandbox.hubspot.switches import TABLE
from connections.sandbox.server import SandboxServer
from tests.sandbox.calls import Http
from tests.sandbox.official import Official


@pytest.fixture(scope="module")
def module_server() -> Iterator[SandboxServer]:
    with SandboxServer() as server:
        yield server


@pytest.fixture
def server(module_server: SandboxServer) -> SandboxServer:
    """A sandbox as it starts: no records, every switch at its default, no limits."""
    control = module_server.control
    control.set_switches(**{switch.name: switch.default for switch in TABLE})
    control.set_faults()
    control.set_latency(0)
    control.set_clock(0)
    limits = Limits()
    most = {name: getattr(limits, name) for name in Limits.__slots__}
    control.set_limits(enforced=False, **most)
    control.reset()
    return module_server


@pytest.fixture
def control(server: SandboxServer) -> SandboxServer:
    return server.control


@pytest.fixture
def http(server: SandboxServer) -> Http:
    """Raw calls on the dated paths."""
    return Http(server.hubspot_url, server.token)


@pytest.fixture(params=["official", "dated"])
def api(request: pytest.FixtureRequest, server: SandboxServer) -> Http | Official:
    """The same calls twice: by the official client (v3, v4) and on dated paths."""
    if request.param == "official":
        return Official(server)
    return Http(server.hubspot_url, server.token)
