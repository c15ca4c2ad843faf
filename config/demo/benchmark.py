"""Measure syncs of a size, each in a process of its own: a first, a second and a third,
and then one as the schedule starts it while no sweep is due. By what the third takes more
than that one, a sweep of all links with nothing changed is known.

What the fake HubSpot and the connected app's server spend is not counted as ours: they
are other processes, and so is our own database where that is PostgreSQL, whose processor
time is counted beside ours.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from math import ceil
from pathlib import Path
from typing import Any

import psutil
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
# holds the whole fake account; VmHWM is the new program's own. Starting Django is left
# out of the time: it is the same for every size and would make the small ones look slow.
IN_A_PROCESS = """
import json, os, runpy, sys, time
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
import django
django.setup()
sys.argv = ["manage.py", "sync", "--json"]
def unswept():
    # As the schedule starts a run while no sweep is due.
    from syncs import services
    from syncs.models import ObjectSync, SyncRun
    from syncs.models.choices import Trigger
    every = list(ObjectSync.objects.order_by("position"))
    run = services.start(syncs=every, trigger=Trigger.SCHEDULE, sweep=False)
    services.execute(run)
    print(json.dumps(services.report(SyncRun.objects.get(pk=run.pk))))


cpu, wall = time.process_time(), time.monotonic()
try:
    if os.environ["BENCH_RUN"] == "unswept":
        unswept()
    else:
        runpy.run_path("manage.py", run_name="__main__")
finally:
    with open("/proc/self/status") as status:
        peak = next(line for line in status if line.startswith("VmHWM:"))
    spent = {
        "peak_kb": int(peak.split()[1]),
        "cpu_s": time.process_time() - cpu,
        "wall_s": time.monotonic() - wall,
    }
    sys.stderr.write("\\nspent " + json.dumps(spent) + "\\n")
"""
DATABASES = ("sqlite", "postgres")
RUNS = ("first", "second", "third", "unswept", "sweep")


@dataclass(frozen=True, slots=True)
class Measured:
    """One run of one size: `cpu_s` and `peak_mb` of the syncing process alone,
    `database_cpu_s` of our own database's server (0 for SQLite, which is in the process).
    """

    contacts: int
    run: str
    calls: int
    necessary: int
    wall_s: float
    cpu_s: float
    database_cpu_s: float
    peak_mb: float

    @property
    def records(self) -> float:
        return self.contacts * 1.1

    @property
    def own_s(self) -> float:
        """What the run cost us: its process and our database."""
        return self.cpu_s + self.database_cpu_s

    @property
    def per_wall_s(self) -> float:
        return self.records / self.wall_s if self.wall_s else 0.0

    @property
    def per_cpu_s(self) -> float:
        return self.records / self.own_s if self.own_s else 0.0

    def json(self) -> dict[str, Any]:
        return asdict(self)


class Server:
    """Our own database in a PostgreSQL cluster that nobody else uses."""

    def __init__(self, folder: Path) -> None:
        self._postgres = PostgresServer(folder, fast=True)

    def __enter__(self) -> Server:
        self._postgres.start()
        self.url = self._postgres.dsn("crosslink")
        with psycopg.connect(self.url) as conn:
            row = conn.execute("SELECT pg_backend_pid()").fetchone()
            assert row is not None
            self._master = psutil.Process(row[0]).parent()
        return self

    def __exit__(self, *raised: object) -> None:
        self._postgres.stop()

    def cpu_s(self) -> float:
        """Processor time of all its processes, those that have ended included."""
        assert self._master is not None
        ended = self._master.cpu_times()
        spent = sum((ended.user, ended.system))
        spent += ended.children_user + ended.children_system
        for process in self._master.children():
            try:
                times = process.cpu_times()
            except psutil.NoSuchProcess:
                continue  # counted among the ended by the next look
            spent += times.user + times.system
        return spent


def measure(contacts: int, database: str = "sqlite") -> Iterator[Measured]:
    """Sync a size three times.

    Args: contacts; there are a tenth as many companies; database, what our own is.
    Raises: RuntimeError when a run does not succeed.
    """
    companies = contacts // 10
    with ExitStack() as stack:
        made = tempfile.TemporaryDirectory(prefix="crosslink-bench-")
        folder = Path(stack.enter_context(made))
        folder.chmod(0o755)  # PostgreSQL's own user must get in
        sandbox = stack.enter_context(SandboxServer(switches={"search_lag_s": 0}))
        app = stack.enter_context(PostgresServer(folder / "app", fast=True))
        ours = None
        if database == "postgres":
            ours = stack.enter_context(Server(folder / "own"))
        dsn = app.dsn("bench")
        _fill(dsn, companies, contacts)
        environ = prepare(
            folder,
            FILE,
            {
                "DATABASE_URL": ours.url if ours else "",
                "HUBSPOT_TOKEN": sandbox.token,
                "HUBSPOT_BASE_URL": sandbox.hubspot_url,
                "BENCH_DSN": dsn,
            },
        )
        found: dict[str, Measured] = {}
        for run, necessary in needed(companies, contacts):
            before = ours.cpu_s() if ours else 0.0
            report, spent = sync(environ, run)
            calls = sum(child["api_calls"]["hubspot"] for child in report["syncs"])
            database_cpu_s = ours.cpu_s() - before if ours else 0.0
            found[run] = Measured(
                contacts=contacts,
                run=run,
                calls=calls,
                necessary=necessary,
                wall_s=round(spent["wall_s"], 2),
                cpu_s=round(spent["cpu_s"], 2),
                database_cpu_s=round(database_cpu_s, 2),
                peak_mb=round(spent["peak_kb"] / 1024, 1),
            )
            yield found[run]
        yield sweep_of(found["third"], found["unswept"])


def sweep_of(swept: Measured, unswept: Measured) -> Measured:
    """What a sweep of all links with nothing changed takes, by two runs of which one
    has it."""

    def more(name: str) -> Any:
        return max(getattr(swept, name) - getattr(unswept, name), 0)

    return Measured(
        contacts=swept.contacts,
        run="sweep",
        calls=more("calls"),
        necessary=more("necessary"),
        wall_s=round(more("wall_s"), 2),
        cpu_s=round(more("cpu_s"), 2),
        database_cpu_s=round(more("database_cpu_s"), 2),
        peak_mb=swept.peak_mb,
    )


def needed(companies: int, contacts: int) -> tuple[tuple[str, int], ...]:
    """By run, the calls to HubSpot that nobody could do without."""
    pages, links = ceil(contacts / 100), ceil(contacts / 1000)
    return (
        # An empty list each, and its count, creates, links read back.
        ("first", 4 + ceil(companies / 100) + pages + links),
        # What the first wrote, 200 a page, two counts, and the sweep.
        ("second", 2 + ceil(companies / 200) + ceil(contacts / 200) + links),
        ("third", 4 + links),  # two searches, two counts, and the sweep
        ("unswept", 4),
    )


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


def prepare(folder: Path, file: str, named: dict[str, str]) -> dict[str, str]:
    """Make an installation in a folder, set up by a file.

    Args: named, what the file takes from the environment.
    Returns: the environment of its processes.
    """
    environ = {
        **os.environ,
        "DJANGO_SETTINGS_MODULE": "config.settings",
        "DATABASE_URL": "",
        "CROSSLINK_VAR_DIR": f"{folder}/var",
        "CROSSLINK_ENV_FILE": os.devnull,
        "CROSSLINK_ALLOW_PRIVATE_HOSTS": "on",
        "CROSSLINK_SEARCH_SETTLE_SECONDS": "0",
        **named,
    }
    path = folder / "bench.yaml"
    path.write_text(file, encoding="utf-8")
    for arguments in (["migrate"], ["setup", "apply", str(path)]):
        subprocess.run(
            [sys.executable, "manage.py", *arguments],
            cwd=settings.BASE_DIR,
            env=environ,
            check=True,
            stdout=subprocess.DEVNULL,
        )
    return environ


def sync(environ: dict[str, str], run: str) -> tuple[dict[str, Any], dict[str, float]]:
    """Run once. Returns: the report, and what the process says it spent."""
    ended = subprocess.run(
        [sys.executable, "-c", IN_A_PROCESS],
        cwd=settings.BASE_DIR,
        env={**environ, "BENCH_RUN": run},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if not ended.stdout:
        raise RuntimeError(
            f"the {run} run printed nothing: {ended.stderr.strip()[-600:]}"
        )
    report = json.loads(ended.stdout)
    if report["status"] != "succeeded":
        raise RuntimeError(f"the {run} run {report['status']}: {report}")
    return report, json.loads(ended.stderr.rpartition("spent ")[2])
