"""The measuring command: what it prints, keeps and refuses."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from django.conf import settings

from config.demo.benchmark import Measured
from config.management.commands.bench import Command

pytestmark = pytest.mark.integration


def measured(contacts: int, run: str, peak_mb: float) -> Measured:
    return Measured(contacts, run, 1, 1, 1.0, 1.0, peak_mb)


@pytest.mark.slow
def test_a_size_is_synced_three_times_with_no_call_beyond_the_necessary(
    tmp_path: Path,
) -> None:
    tmp_path.chmod(0o755)
    ended = subprocess.run(
        [sys.executable, "manage.py", "bench", "300"],
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
        timeout=120,
        check=False,
    )
    assert (ended.returncode, ended.stderr) == (0, "")
    rows = json.loads((tmp_path / "bench.json").read_text())
    assert [row["run"] for row in rows] == ["first", "second", "third"]
    assert [row["calls"] for row in rows] == [row["necessary"] for row in rows]
    assert all(20 < row["peak_mb"] < 300 for row in rows)
    assert len(ended.stdout.splitlines()) == 4


def test_a_peak_that_grows_with_the_size_fails(capsys: pytest.CaptureFixture[str]):
    command = Command()
    found = [measured(10_000, "third", 100.0), measured(100_000, "third", 131.0)]
    ratio = command._grows("third", {m.contacts: m.peak_mb for m in found})
    assert ratio == pytest.approx(1.31)
    assert "1.31 times" in capsys.readouterr().out
    assert command._grows("third", {10_000: 100.0}) == 0.0
