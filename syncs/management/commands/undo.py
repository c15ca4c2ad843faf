"""Take back what a run wrote."""

from __future__ import annotations

import json
from typing import Any

from django.core.management.base import CommandParser

from connections.commands import FAILED, Refused
from syncs import services
from syncs.management.commands.sync import BAD, _positive
from syncs.management.commands.sync import Command as Sync
from syncs.models.choices import Trigger
from syncs.progress import Progress


class Command(Sync):
    help = (
        "Take back what a run wrote; whatever changed since is left alone and reported."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        add = parser.add_argument
        add(
            "run", metavar="RUN", type=_positive, help="a run's or a child run's number"
        )
        add("--dry-run", action="store_true", help="show it, and write nothing")
        add("--wait", action="store_true", help="wait for a sync that is busy")
        add("--json", action="store_true", help="print one JSON object")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            run = services.start_undo(
                run_id=options["run"],
                trigger=Trigger.COMMAND,
                dry_run=options["dry_run"],
                wait=options["wait"],
            )
        except services.RunError as exc:
            raise Refused(f"{exc} {exc.remedy}".strip()) from exc
        progress = Progress(self.stderr) if not options["json"] else None
        services.execute(run, progress=progress)
        if progress is not None:
            progress.close()
        run.refresh_from_db()
        report = services.undo_report(run)
        if options["json"]:
            self.stdout.write(json.dumps(report))
        else:
            self._table(report)
            self._undone(report)
        if run.status in BAD:
            raise SystemExit(FAILED)

    def _undone(self, report: dict[str, Any]) -> None:
        word = "Would take back" if report["dry_run"] else "Took back"
        self.stdout.write(
            f"\n{word} {report['reverted']} changes of run {report['undo_of']}."
        )
        for left in report["skipped"]:
            code = f" {left['code']}" if left["code"] else ""
            self.stdout.write(
                f"  left alone x {left['count']}, {left['reason']}{code}: "
                f"{left['example']}"
            )
