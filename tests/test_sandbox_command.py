"""The sandbox and the demo as processes: they start, tell where, keep, and stop."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import psycopg
import pytest
from django.conf import settings
from pyairtable import Api

from connections.sandbox.seeds import business
from connections.sandbox.seeds.registry import SEEDS
from tests.vendor import all_records, vendor_client

ROOT = Path(settings.BASE_DIR)


def environ(folder: Path) -> dict[str, str]:
    return {
        **os.environ,
        "CROSSLINK_VAR_DIR": str(folder),
        "CROSSLINK_SEARCH_SETTLE_SECONDS": "0",
        "DATABASE_URL": "",
        "DJANGO_SETTINGS_MODULE": "config.settings",
    }


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for path in (tmp_path, *tmp_path.parents):
        if path.owner() == "root" and str(path).startswith("/tmp/"):
            path.chmod(0o755)  # PostgreSQL's own user must get in
    return tmp_path


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def sandbox(folder: Path, *arguments: str) -> Iterator[dict[str, Any]]:
    """A running `manage.py sandbox`: its addresses; it is told to end afterwards."""
    process = subprocess.Popen(
        [sys.executable, "manage.py", "sandbox", *arguments],
        cwd=ROOT,
        env=environ(folder),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    told = folder / "sandbox" / "addresses.json"
    until = time.monotonic() + 60
    while not told.exists():
        assert process.poll() is None, process.communicate()[1]
        assert time.monotonic() < until
        time.sleep(0.05)
    children = psutil.Process(process.pid).children(recursive=True)
    try:
        yield json.loads(told.read_text())
    finally:
        process.send_signal(signal.SIGTERM)
        _, errors = process.communicate(timeout=60)
    assert (process.returncode, errors) == (0, "")
    assert psutil.wait_procs(children, timeout=10)[1] == []
    assert not told.exists()


OFF = ("--rate-limits", "off")  # 20 pages of Airtable would take four seconds


def airtable_people(where: dict[str, Any], rename: str = "") -> list[Any]:
    """The people of the sandbox's base, by Airtable's best-kept client."""
    api = Api(where["airtable_token"], endpoint_url=where["airtable"])
    table = api.table(where["airtable_base"], "People")
    if rename:
        first = table.first(fields=["Email"])
        assert first is not None
        return [table.update(first["id"], {"First name": rename})]
    return table.all(fields=["First name"], page_size=100)


@pytest.mark.slow
def test_the_sandbox_serves_keeps_its_state_and_ends_with_all_it_started(folder):
    port = str(free_port())
    with sandbox(folder, "--port-base", port, "--seed", "demo", *OFF) as where:
        client = vendor_client(where["hubspot"])
        found = all_records(client, "companies", ["domain"])
        assert len(found) == business.COMPANIES - len(business.APP_ONLY_COMPANIES) + 1
        with psycopg.connect(where["postgres"]) as conn:
            (people,) = conn.execute("SELECT count(*) FROM people").fetchone() or (0,)
            assert people == business.PEOPLE - len(business.HUBSPOT_ONLY_PEOPLE) + 1
            conn.execute("DELETE FROM people WHERE id = 1")
        absent = {*business.HUBSPOT_ONLY_PEOPLE, *business.APP_ONLY_PEOPLE}
        assert len(airtable_people(where)) == business.PEOPLE - len(absent)
        airtable_people(where, "first")
        gone = min(found)
        client.crm.objects.basic_api.archive("companies", gone)
        busy = subprocess.run(
            [sys.executable, "manage.py", "sandbox", "--port-base", port],
            cwd=ROOT,
            env=environ(folder),
            capture_output=True,
            text=True,
            check=False,
        )
        assert busy.returncode == 2
        assert busy.stderr.startswith(f"Port {port} is taken")
        assert (folder / "sandbox" / "addresses.json").exists()  # the one that runs
    with sandbox(folder, "--port-base", port, *OFF) as where:
        client = vendor_client(where["hubspot"])
        assert gone not in all_records(client, "companies", ["domain"])
        with psycopg.connect(where["postgres"]) as conn:
            row = conn.execute("SELECT count(*) FROM people").fetchone()
            assert row == (people - 1,)
        assert "first" in {
            r["fields"].get("First name") for r in airtable_people(where)
        }


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (("--seed", "nonsense"), ", ".join(SEEDS)),
        (("--fault", "explode"), "no fault"),
        (("--switch", "first_link_primary=perhaps"), "every_path"),
        (("--switch", "nonsense"), "NAME=VALUE"),
    ],
)
def test_a_bad_option_ends_with_2_and_a_line(folder, arguments, text):
    ended = subprocess.run(
        [sys.executable, "manage.py", "sandbox", *arguments],
        cwd=ROOT,
        env=environ(folder),
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 2
    assert text in ended.stderr
    assert ended.stderr.count("\n") == 1


@pytest.mark.slow
def test_the_demo_shows_what_it_plants_and_a_second_one_writes_nothing(folder):
    outputs = []
    for _ in range(2):
        ended = subprocess.run(
            [sys.executable, "manage.py", "demo", "--once"],
            cwd=ROOT,
            env=environ(folder),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=240,
            check=False,
        )
        assert (ended.returncode, ended.stderr) == (0, ""), ended
        outputs.append(ended.stdout)
    first, second = outputs
    for oddity in business.oddities():
        assert oddity.what in first
    assert "Sync 'Operations" not in second
    assert {key: row[2:] for key, row in table(first).items()} == FIRST
    nothing = ("0/0", "0/0", "0/0")
    assert {key: row[2:] for key, row in table(second).items()} == {
        key: (*nothing, *row[3:]) for key, row in FIRST.items()
    }


# By app and sync: created, updated and linked in HubSpot / the app; pending and failing.
FIRST = {
    ("Operations", "Companies"): ("6/6", "5/1", "0/0", "0", "3"),
    ("Operations", "Contacts"): ("20/20", "0/5", "20/18", "1", "3"),
    ("Operations", "Deals"): ("6/6", "0/0", "12/12", "0", "0"),
    ("Operations", "Vessels"): ("3/3", "0/0", "5/5", "0", "0"),
    ("Sales base", "Companies"): ("0/12", "0/5", "0/0", "0", "3"),
    ("Sales base", "Contacts"): ("0/40", "0/0", "0/38", "1", "0"),
    ("Sales base", "Deals"): ("0/12", "0/0", "0/24", "0", "0"),
    ("Sales base", "Vessels"): ("0/6", "0/0", "0/12", "0", "0"),
    ("Service desk", "Companies"): ("0/12", "0/5", "0/0", "0", "3"),
    ("Service desk", "Contacts"): ("0/40", "0/0", "0/38", "1", "0"),
    ("Service desk", "Deals"): ("0/12", "0/0", "0/24", "0", "0"),
    ("Service desk", "Vessels"): ("0/6", "0/0", "0/10", "0", "0"),
}


def table(output: str) -> dict[tuple[str, str], tuple[str, ...]]:
    """The demo's table: matched, in sync, then what was done, by app and sync."""
    found = {}
    for line in output.splitlines():
        cells = re.split(r"\s{2,}", line.strip())
        if cells[0] in business.APPS and len(cells) == 11:
            found[cells[0], cells[1]] = tuple(cells[4:])
    return found
