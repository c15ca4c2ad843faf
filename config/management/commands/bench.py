"""Speed, calls and memory of syncs of several sizes."""

from __future__ import annotations

import json
from argparse import ArgumentTypeError
from collections.abc import Sequence
from typing import Any

from django.conf import settings
from django.core.management.base import CommandParser

from config.demo import paced
from config.demo.benchmark import DATABASES, RUNS, Measured, measure
from connections.commands import FAILED, Refused
from connections.commands import Command as Base

SIZES = (1_000, 10_000, 100_000)
MOST = 1.3  # times the smallest size's peak, or time a record, that another may take
# Below this the start of a run weighs more than its records: nothing is compared with it.
COMPARABLE = 10_000


def _sizes(text: str) -> list[int]:
    try:
        return [int(part) for part in text.split(",")]
    except ValueError as exc:
        raise ArgumentTypeError(f"{text!r} is no list of numbers") from exc


class Command(Base):
    help = (
        "Sync PostgreSQL to the HubSpot sandbox at several sizes, without latency or "
        'limits, and print calls, records per second and peak memory; "sweep" is what a '
        "look at all links takes where nothing changed. Uses databases "
        "and a folder of its own; figures go to var/bench.json. Fails where the largest "
        f"size takes over {MOST} times the memory, or the time a record, of the smallest."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "contacts",
            nargs="*",
            type=int,
            metavar="CONTACTS",
            help=f"numbers of contacts (default: {' '.join(map(str, SIZES))})",
        )
        parser.add_argument(
            "--sizes", type=_sizes, default=[], help="the same, separated by commas"
        )
        parser.add_argument(
            "--database",
            choices=DATABASES,
            default=DATABASES[0],
            help="what our own database is",
        )
        parser.add_argument(
            "--paced",
            action="store_true",
            help=f"instead: {paced.RECORDS} records with links to Airtable and to Kintone, "
            "with real limits and latency, against the time that these force",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        if options["paced"]:
            self._paced()
            return
        sizes = [*options["contacts"], *options["sizes"]] or SIZES
        if any(size < 10 for size in sizes):
            raise Refused("A size must be at least 10 contacts.")
        self.stdout.write(
            f"{'contacts':>9} {'run':<7} {'calls':>6} {'needed':>6} {'wall s':>8} "
            f"{'cpu s':>8} {'db cpu s':>8} {'rec/wall s':>10} {'rec/cpu s':>10} "
            f"{'peak MB':>8}"
        )
        found: list[Measured] = []
        file = settings.VAR_DIR / "bench.json"
        for size in sorted(set(sizes)):
            for measured in measure(size, options["database"]):
                found.append(measured)
                self._line(measured)
                # A long run's figures must not be lost with a folder that went meanwhile.
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_text(json.dumps([m.json() for m in found], indent=1))
        within = [self.compare(run, found) for run in RUNS]
        if not all(within):
            self.stderr.write(f"That is more than {MOST} times.", self.style.ERROR)
            raise SystemExit(FAILED)

    def _paced(self) -> None:
        found = []
        for kind in paced.KINDS:
            found.append(paced.measure(kind))
            self.stdout.write(found[-1].text())
            self.stdout.flush()
        file = settings.VAR_DIR / "bench-paced.json"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps([one.json() for one in found], indent=1))
        if any(one.ratio > paced.MOST for one in found):
            text = f"That is more than {paced.MOST} times what cannot be avoided."
            self.stderr.write(text, self.style.ERROR)
            raise SystemExit(FAILED)

    def _line(self, m: Measured) -> None:
        self.stdout.write(
            f"{m.contacts:>9} {m.run:<7} {m.calls:>6} {m.necessary:>6} {m.wall_s:>8.1f} "
            f"{m.cpu_s:>8.1f} {m.database_cpu_s:>8.1f} {m.per_wall_s:>10.0f} "
            f"{m.per_cpu_s:>10.0f} {m.peak_mb:>8.1f}"
        )
        self.stdout.flush()

    def compare(self, run: str, found: Sequence[Measured]) -> bool:
        """Print by how much the largest size exceeds the smallest comparable one.

        Returns: whether memory and time a record stay within bounds. The wall's time
        is shown and not judged: the fake HubSpot's is in it, and other programs'.
        """
        mine = [
            m
            for m in found
            if m.run == run and m.contacts >= COMPARABLE and m.own_s and m.wall_s
        ]
        if len(mine) < 2:
            return True
        small, large = mine[0], mine[-1]
        peak = large.peak_mb / small.peak_mb
        own = small.per_cpu_s / large.per_cpu_s
        wall = small.per_wall_s / large.per_wall_s
        self.stdout.write(
            f"{run} run: {large.contacts} against {small.contacts}: peak {peak:.2f}, "
            f"cpu a record {own:.2f}, wall a record {wall:.2f} times"
        )
        return max(peak, own) <= MOST
