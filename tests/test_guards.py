"""The suite's own guards hold: no other machine is reached, nothing is skipped."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import requests
from django.conf import settings

ROOT = Path(settings.BASE_DIR)
pytestmark = pytest.mark.unit


def test_another_machine_is_out_of_reach():
    with pytest.raises(RuntimeError, match="loopback only"):
        socket.create_connection(("192.0.2.1", 80), timeout=1)
    with pytest.raises(RuntimeError, match="loopback only"):
        requests.get("https://api.hubapi.com/", timeout=1)


def test_a_name_that_never_resolves_is_an_outage_like_any_other():
    with pytest.raises(requests.ConnectionError):
        requests.get("http://hubspot.invalid/", timeout=1)


def test_loopback_is_in_reach():
    with socket.create_server(("127.0.0.1", 0)) as server:
        socket.create_connection(server.getsockname(), timeout=1).close()


def test_the_users_own_files_are_out_of_reach():
    assert ROOT / "var" not in (settings.VAR_DIR, *settings.VAR_DIR.parents)
    name = str(settings.DATABASES["default"]["NAME"])
    assert not name.startswith(str(ROOT / "var"))


@pytest.mark.parametrize(("body", "status"), [("pass", 0), ("pytest.skip('no')", 1)])
def test_a_skipped_test_fails_the_run(tmp_path, body, status):
    (tmp_path / "test_it.py").write_text(
        f"import pytest\ndef test_it():\n    {body}\n", encoding="utf-8"
    )
    run = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "tests.conftest", str(tmp_path)],
        cwd=ROOT,
        env=os.environ,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert run.returncode == status, run.stdout
