"""Speed, calls and memory of syncs of several sizes."""

from __future__ import annotations

import json
from typing import Any

from django.conf import settings
from django.core.management.base import CommandParser

from config.demo.benchmark import Measured, measure
from connections.commands import FAILED, Refused
from connections.commands import Command as Base

SIZES = (1_000, 10_000, 100_000)
RUNS = ("first", "second", "third")
SMALL, LARGE = 10_000, 100_000
MOST = 1.3  # times the peak at 10,000 that 100,000 may take


class Command(Base):
    help = (
        "Sync PostgreSQL to the HubSpot sandbox at several sizes, without latency or "
        "limits, and print calls, records per second and peak memory. Uses a database "
        "and a folder of its own; figures go to var/bench.json."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "sizes",
            nargs="*",
            type=int,
            metavar="CONTACTS",
            help=f"numbers of contacts (default: {' '.join(map(str, SIZES))})",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        sizes = options["sizes"] or SIZES
        if any(size < 10 for size in sizes):
            raise Refused("A size must be at least 10 contacts.")
        self.stdout.write(
            f"{'contacts':>9} {'run':<7} {'calls':>6} {'needed':>6} {'wall s':>8} "
            f"{'cpu s':>8} {'rec/wall s':>10} {'rec/cpu s':>10} {'peak MB':>8}"
        )
        found: list[Measured] = []
        for size in sizes:
            for measured in measure(size):
                found.append(measured)
                self._line(measured)
        file = settings.VAR_DIR / "bench.json"
        file.write_text(json.dumps([m.json() for m in found], indent=1), "utf-8")
        worst = [
            self._grows(run, {m.contacts: m.peak_mb for m in found if m.run == run})
            for run in RUNS
        ]
        if any(ratio > MOST for ratio in worst):
            self.stderr.write(f"That is more than {MOST} times.", self.style.ERROR)
            raise SystemExit(FAILED)

    def _line(self, m: Measured) -> None:
        self.stdout.write(
            f"{m.contacts:>9} {m.run:<7} {m.calls:>6} {m.necessary:>6} {m.wall_s:>8.1f} "
            f"{m.cpu_s:>8.1f} {m.per_wall_s:>10.0f} {m.per_cpu_s:>10.0f} "
            f"{m.peak_mb:>8.1f}"
        )

    def _grows(self, run: str, peaks: dict[int, float]) -> float:
        """By how much the largest size's peak exceeds the smaller one's."""
        if SMALL not in peaks or LARGE not in peaks:
            return 0.0
        ratio = peaks[LARGE] / peaks[SMALL]
        self.stdout.write(
            f"{run} run: peak at {LARGE} is {ratio:.2f} times that at {SMALL}"
        )
        return ratio
