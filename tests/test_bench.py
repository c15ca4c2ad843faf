"""The measuring command: what it prints, keeps and refuses."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from django.conf import settings

from config.demo.benchmark import DATABASES, RUNS, Measured, sweep_of
from config.management.commands.bench import Command

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
