"""What every test has: a network that ends at this machine, and no silent skip."""

from __future__ import annotations

import ipaddress
import os
import shutil
import socket
from collections import Counter
from typing import Any
from zlib import crc32

import pytest

pytest_plugins = ["tests.plugins_database", "tests.plugins_postgres"]

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
def _loopback_only(monkeypatch: pytest.MonkeyPatch) -> None:
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


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--database-only",
        action="store_true",
        help="run only the tests that use our own database",
    )
    parser.addoption(
        "--one-case",
        action="store_true",
        help="run one case only of a test that has several",
    )


def _uses_database(item: pytest.Item) -> bool:
    fixtures = {"db", "transactional_db", "live_server"}
    names = set(getattr(item, "fixturenames", ()))
    return item.get_closest_marker("django_db") is not None or bool(names & fixtures)


def _one_case_each(items: list[pytest.Item]) -> list[pytest.Item]:
    """Of a test with several cases one: always the same, and not always the first."""
    cases: dict[str, list[pytest.Item]] = {}
    for item in items:
        cases.setdefault(item.nodeid.partition("[")[0], []).append(item)
    return [some[crc32(name.encode()) % len(some)] for name, some in cases.items()]


def pytest_collection_modifyitems(
    config: pytest.Config, items: list[pytest.Item]
) -> None:
    kept = list(items)
    if config.getoption("--database-only"):
        kept = [item for item in kept if _uses_database(item)]
    if config.getoption("--one-case"):
        kept = _one_case_each(kept)
    chosen = set(kept)
    config.hook.pytest_deselected(items=[i for i in items if i not in chosen])
    items[:] = kept


def _lacks(skip: Any) -> bool:
    return isinstance(skip, tuple) and str(skip[0]).endswith("contract/harness.py")


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Fail a run in which a test was skipped: what cannot run must say so loudly.

    But a system of the contract may lack what a test is about, for a reason that is
    written down with it.
    """
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    skipped = reporter.stats.get("skipped", ()) if reporter else ()
    silent = [r for r in skipped if not _lacks(r.longrepr)]
    if reporter and silent and session.exitstatus == 0:
        reporter.write_line("Tests were skipped; none may be.", red=True)
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Add up what tests counted, from whichever process they ran in."""
    figures: Counter[str] = Counter()
    for reports in terminalreporter.stats.values():
        for report in reports:
            found = dict(getattr(report, "user_properties", ())).get("figures", {})
            figures.update(found if getattr(report, "when", "") == "call" else {})
    if figures:
        terminalreporter.write_sep("=", "what the campaign did")
        for name, count in sorted(figures.items()):
            terminalreporter.write_line(f"{count:8,} {name}")


@pytest.fixture(scope="session")
def browser_type_launch_args(
    browser_type_launch_args: dict[str, Any],
) -> dict[str, Any]:
    """Drive the machine's own Chromium, in a way that works as root in a container."""
    names = (
        os.environ.get("CHROMIUM"),
        "chromium",
        "chromium-browser",
        "google-chrome",
    )
    found = next(filter(None, (shutil.which(name) for name in names if name)), None)
    if found is None:
        pytest.fail(
            "Chromium is missing: install it (Debian: apt-get install chromium) or "
            "name one in CHROMIUM."
        )
    flags = ["--no-sandbox", "--disable-gpu", "--disable-quic"]
    return {**browser_type_launch_args, "executable_path": found, "args": flags}
