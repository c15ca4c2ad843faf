"""Measure first, second and third syncs of a size, in a process of their own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from math import ceil
from pathlib import Path
from typing import Any

import psycopg
from django.conf import settings

from connections.sandbox.postgres import PostgresServer
from connections.sandbox.server import SandboxServer

FILE = """
version: 1
hubspot:
  - {name: Bench, token: "${HUBSPOT_TOKEN}", base_url: "${HUBSPOT_BASE_URL}",
     requests_per_10s: 1000000000, association_requests_per_10s: 1000000000,
     search_per_second: 1000000000}
apps:
  - name: Bench
    kind: postgres
    hubspot: Bench
    credentials: {dsn: "${BENCH_DSN}"}
    syncs:
      - name: Companies
        hubspot_object: companies
        app_object: companies
        match: [{hubspot: domain, app: domain, normalize: domain}]
        fields: [{hubspot: name, app: name}, {hubspot: domain, app: domain}]
        app_cursor: updated_at
      - name: Contacts
        hubspot_object: contacts
        app_object: people
        match: [{hubspot: email, app: email, normalize: email}]
        fields:
          - {hubspot: email, app: email}
          - {hubspot: firstname, app: first_name}
          - {hubspot: lastname, app: last_name}
        app_cursor: updated_at
        associations: [{app_field: company_id, to: Companies, type: primary}]
"""
TABLES = """
CREATE TABLE companies (id serial PRIMARY KEY, name text, domain text,
  updated_at timestamptz NOT NULL DEFAULT clock_timestamp());
CREATE TABLE people (id serial PRIMARY KEY, email text, first_name text, last_name text,
  company_id int REFERENCES companies,
  updated_at timestamptz NOT NULL DEFAULT clock_timestamp());
CREATE INDEX ON companies (updated_at, id);
CREATE INDEX ON people (updated_at, id);
"""


# A process's ru_maxrss begins with what its parent had when it was forked, and this one
# holds the whole fake account; VmHWM is the new program's own.
IN_A_PROCESS = """
import runpy, sys
sys.argv = ["manage.py", "sync", "--json"]
try:
    runpy.run_path("manage.py", run_name="__main__")
finally:
    with open("/proc/self/status") as status:
        peak = next(line for line in status if line.startswith("VmHWM:"))
    sys.stderr.write(peak)
"""


@dataclass(frozen=True, slots=True)
class Measured:
    """One run of one size. `cpu_s` and `peak_mb` are the syncing process's alone."""

    contacts: int
    run: str
    calls: int
    necessary: int
    wall_s: float
    cpu_s: float
    peak_mb: float

    @property
    def per_wall_s(self) -> float:
        return self.contacts * 1.1 / self.wall_s

    @property
    def per_cpu_s(self) -> float:
        return self.contacts * 1.1 / self.cpu_s

    def json(self) -> dict[str, Any]:
        return asdict(self)


def measure(contacts: int) -> Iterator[Measured]:
    """Sync a size three times.

    Args: contacts; there are a tenth as many companies.
    Raises: RuntimeError when a run does not succeed.
    """
    companies = contacts // 10
    with tempfile.TemporaryDirectory(prefix="crosslink-bench-") as folder:
        os.chmod(folder, 0o755)  # PostgreSQL's own user must get in
        with (
            SandboxServer(switches={"search_lag_s": 0}) as sandbox,
            PostgresServer(Path(folder) / "pg", fast=True) as postgres,
        ):
            dsn = postgres.dsn("bench")
            _fill(dsn, companies, contacts)
            environ = {
                **os.environ,
                "CROSSLINK_VAR_DIR": f"{folder}/var",
                "CROSSLINK_ENV_FILE": os.devnull,
                "CROSSLINK_ALLOW_PRIVATE_HOSTS": "on",
                "CROSSLINK_SEARCH_SETTLE_SECONDS": "0",
                "HUBSPOT_TOKEN": sandbox.token,
                "HUBSPOT_BASE_URL": sandbox.hubspot_url,
                "BENCH_DSN": dsn,
            }
            file = Path(folder) / "bench.yaml"
            file.write_text(FILE, encoding="utf-8")
            for arguments in (["migrate"], ["setup", "apply", str(file)]):
                subprocess.run(
                    [sys.executable, "manage.py", *arguments],
                    cwd=settings.BASE_DIR,
                    env=environ,
                    check=True,
                    stdout=subprocess.DEVNULL,
                )
            pages, links = ceil(contacts / 100), ceil(contacts / 1000)
            first = 2 + ceil(companies / 100) + pages + links
            for run, necessary in (
                ("first", first),  # an empty list each, creates, links read back
                # What the first wrote, 200 a page, two counts, and the sweep.
                ("second", 2 + ceil(companies / 200) + ceil(contacts / 200) + links),
                ("third", 4 + links),  # two searches, two counts, and the sweep
            ):
                yield _sync(environ, contacts, run, necessary)


def _fill(dsn: str, companies: int, contacts: int) -> None:
    with psycopg.connect(dsn) as conn:
        conn.execute(TABLES)
        conn.execute(
            "INSERT INTO companies (name, domain) SELECT 'Company ' || n, "
            "'c' || n || '.example' FROM generate_series(1, %s) n",
            [companies],
        )
        conn.execute(
            "INSERT INTO people (email, first_name, last_name, company_id) SELECT "
            "'p' || n || '@c' || n %% %s + 1 || '.example', 'First ' || n, 'Last ' || n, "
            "n %% %s + 1 FROM generate_series(1, %s) n",
            [companies, companies, contacts],
        )


def _sync(environ: dict[str, str], contacts: int, run: str, necessary: int) -> Measured:
    started = time.monotonic()
    process = subprocess.Popen(
        [sys.executable, "-c", IN_A_PROCESS],
        cwd=settings.BASE_DIR,
        env=environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stderr is not None
    out, said = process.stdout.read(), process.stderr.read()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    wall = time.monotonic() - started
    if not out:
        raise RuntimeError(f"the {run} run printed nothing: {said.strip()[-300:]}")
    report = json.loads(out)
    peak_kb = int(said.split("VmHWM:")[1].split()[0])
    if report["status"] != "succeeded":
        raise RuntimeError(f"the {run} run {report['status']}: {report}")
    return Measured(
        contacts=contacts,
        run=run,
        calls=sum(child["api_calls"]["hubspot"] for child in report["syncs"]),
        necessary=necessary,
        wall_s=round(wall, 2),
        cpu_s=round(usage.ru_utime + usage.ru_stime, 2),
        peak_mb=round(peak_kb / 1024, 1),
    )
