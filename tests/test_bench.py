"""The measuring command: what it prints, keeps and refuses."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from django.conf import settings
from django.core.management import call_command

from config.demo import paced
from config.demo.benchmark import DATABASES, RUNS, Measured, sweep_of
from config.management.commands.bench import Command
from connections.commands import FAILED

pytestmark = pytest.mark.integration


def measured(
    contacts: int, run: str, *, peak_mb: float = 100.0, cpu_s: float = 1.0
) -> Measured:
    return Measured(contacts, run, 1, 1, 1.0, cpu_s, 0.0, peak_mb)


@pytest.mark.slow
@pytest.mark.parametrize("database", DATABASES)
def test_a_size_is_synced_three_times_with_no_call_beyond_the_necessary(
    tmp_path: Path, database: str
) -> None:
    tmp_path.chmod(0o755)
    ended = subprocess.run(
        [sys.executable, "manage.py", "bench", "--sizes=300", f"--database={database}"],
        cwd=settings.BASE_DIR,
        env={
            **os.environ,
            "DJANGO_SETTINGS_MODULE": "config.settings",
            "CROSSLINK_VAR_DIR": str(tmp_path),
            "CROSSLINK_ENV_FILE": os.devnull,
        },
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )
    assert (ended.returncode, ended.stderr) == (0, "")
    rows = json.loads((tmp_path / "bench.json").read_text())
    assert tuple(row["run"] for row in rows) == RUNS
    assert [row["calls"] for row in rows] == [row["necessary"] for row in rows]
    assert all(20 < row["peak_mb"] < 300 for row in rows)
    *measured_, sweep = rows
    assert sweep["calls"] == 1  # of 300 contacts
    assert all(row["cpu_s"] > 0 for row in measured_)
    server = [row["database_cpu_s"] > 0 for row in measured_]
    assert any(server) == (database == "postgres")
    assert len(ended.stdout.splitlines()) == 1 + len(RUNS)


@pytest.mark.parametrize(
    ("large", "within"),
    [
        ({"peak_mb": 129.0, "cpu_s": 12.9}, True),
        ({"peak_mb": 131.0, "cpu_s": 10.0}, False),
        ({"peak_mb": 100.0, "cpu_s": 13.1}, False),
    ],
)
def test_memory_or_time_a_record_that_grows_with_the_size_fails(
    capsys: pytest.CaptureFixture[str], large: dict[str, float], within: bool
):
    found = [measured(10_000, "third"), measured(100_000, "third", **large)]
    assert Command().compare("third", found) is within
    ratio = large["peak_mb"] / 100
    assert f"100000 against 10000: peak {ratio:.2f}" in capsys.readouterr().out


def test_a_sweep_is_what_a_run_with_it_takes_more_than_one_without():
    swept = Measured(1_000, "third", 5, 5, 3.0, 2.5, 0.5, 120.0)
    rest = Measured(1_000, "unswept", 4, 4, 1.0, 0.5, 1.0, 90.0)
    found = sweep_of(swept, rest)
    assert (found.calls, found.necessary, found.peak_mb) == (1, 1, 120.0)
    assert (found.wall_s, found.cpu_s, found.database_cpu_s) == (2.0, 2.0, 0.0)
    assert sweep_of(rest, rest).per_cpu_s == 0.0


def test_what_is_too_small_to_compare_with_is_not(
    capsys: pytest.CaptureFixture[str],
):
    found = [measured(1_000, "third"), measured(10_000, "third", cpu_s=100.0)]
    assert Command().compare("third", found)
    assert capsys.readouterr().out == ""


def test_what_limits_pages_and_latency_force_is_the_sum_of_calls_nobody_can_spare():
    # 2 + 18 pages of HubSpot and 2 reads of links; 200 creates at five a second.
    assert paced.forced_s("airtable") == pytest.approx(22 * 0.15 + 200 / 5)
    # The same reads; twice a form, a bulk request, the keys, and 1 + 4 pages read back.
    assert paced.forced_s("kintone") == pytest.approx((22 + 4 + 2 + 5) * 0.15)


@pytest.mark.parametrize(("wall_s", "status"), [(11.4, 0), (11.6, FAILED)])
def test_more_than_that_and_a_seventh_fails_and_the_figures_are_kept(
    monkeypatch, settings, tmp_path, capsys, wall_s, status
):
    settings.VAR_DIR = tmp_path
    calls = {"hubspot": 24, "app": 207}
    monkeypatch.setattr(
        paced, "measure", lambda kind: paced.Paced(kind, 10.0, wall_s, 2.0, calls)
    )
    ended: object = 0
    try:
        call_command("bench", "--paced")
    except SystemExit as exc:
        ended = exc.code
    assert ended == status
    assert "airtable: 2000 records with links, 24 calls" in capsys.readouterr().out
    rows = json.loads((tmp_path / "bench-paced.json").read_text())
    assert [row["kind"] for row in rows] == ["airtable", "kintone"]
    assert {row["ratio"] for row in rows} == {round(wall_s / 10, 3)}


@pytest.mark.slow
def test_a_paced_sync_makes_few_calls_beyond_the_necessary(monkeypatch):
    monkeypatch.setattr(paced, "COMPANIES", 10)
    monkeypatch.setattr(paced, "CONTACTS", 100)
    monkeypatch.setattr(paced, "RECORDS", 110)
    monkeypatch.setattr(paced, "LATENCY_S", 0.01)
    found = paced.measure("airtable")
    # Two lists of HubSpot's, its links, and what it tells of types.
    assert found.calls["hubspot"] <= 6
    # Eleven creates; the tables, the log and the empty lists of two syncs; and a few that
    # a machine which stalls sends too close together, and again.
    assert found.calls["app"] <= 11 + 7 + 4
    assert found.forced_s > 2.2
    assert found.wall_s >= 2.0  # the limit was kept: burst of five, then five a second
