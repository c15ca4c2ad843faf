"""Run syncs here, or hand them to the task cluster."""

from __future__ import annotations

import json
from argparse import ArgumentTypeError
from typing import Any

from django.core.management.base import CommandParser

from connections.catalogue import meaning_of, remedy_for
from connections.commands import FAILED, Refused
from connections.commands import Command as Base
from syncs import selectors, services
from syncs.models import SyncRun
from syncs.models.choices import Status, Trigger
from syncs.progress import Progress

SHOWN = 200  # links of a preview
BAD = (Status.FAILED, Status.HELD, Status.CANCELLED)


def _positive(text: str) -> int:
    if not text.isdigit() or int(text) < 1:
        raise ArgumentTypeError(f"{text!r} is not a whole number from 1")
    return int(text)


class Command(Base):
    help = "Run object syncs in the foreground, in dependency order."

    def add_arguments(self, parser: CommandParser) -> None:
        add = parser.add_argument
        add("--app", metavar="NAME", help="only this connected app's syncs")
        add(
            "--sync",
            metavar="NAME",
            action="append",
            default=[],
            help="only this sync; may be given several times",
        )
        add(
            "--dry-run", action="store_true", help="plan, and write to no remote system"
        )
        add(
            "--limit",
            metavar="N",
            type=_positive,
            help="write at most N records a sync",
        )
        add("--full", action="store_true", help="read everything again")
        add(
            "--apply-plan",
            metavar="RUN",
            type=_positive,
            help="write what a dry run planned",
        )
        add("--queue", action="store_true", help="hand it to the task cluster")
        add("--wait", action="store_true", help="wait for a sync that is busy")
        add("--json", action="store_true", help="print one JSON object")
        add("--strict", action="store_true", help="exit 1 also when a run is partial")

    def handle(self, *args: Any, **options: Any) -> None:
        run = self._start(options)
        if options["queue"]:
            services.enqueue(run)
            self._queued(run, as_json=options["json"])
            return
        progress = Progress(self.stderr) if not options["json"] else None
        services.execute(run, progress=progress)
        if progress is not None:
            progress.close()
        run.refresh_from_db()
        report = services.report(run)
        if options["json"]:
            self.stdout.write(json.dumps(report))
        else:
            self._table(report)
        partial = run.status == Status.PARTIAL and options["strict"]
        if run.status in BAD or partial:
            raise SystemExit(FAILED)

    def _start(self, options: dict[str, Any]) -> SyncRun:
        how = {
            "trigger": Trigger.COMMAND,
            "limit": options["limit"],
            "wait": options["wait"],
        }
        try:
            if options["apply_plan"] is None:
                return services.start(
                    syncs=selectors.chosen_syncs(options["app"], options["sync"]),
                    dry_run=options["dry_run"],
                    full=options["full"],
                    **how,
                )
            for name in ("app", "sync", "dry_run", "full", "limit"):
                if options[name]:
                    raise Refused(
                        f"--apply-plan writes what was planned; --{name.replace('_', '-')}"
                        " cannot change it."
                    )
            plan, children = services.plan_run(options["apply_plan"])
            syncs = [child.sync for child in children if child.sync is not None]
            return services.start(syncs=syncs, plan=plan, **how)
        except (services.RunError, selectors.NotFound) as exc:
            remedy = f" {exc.remedy}" if exc.remedy else ""
            raise Refused(f"{exc}{remedy}") from exc

    def _queued(self, run: SyncRun, *, as_json: bool) -> None:
        children = list(run.children.select_related("app", "sync").order_by("pk"))
        if as_json:
            self.stdout.write(json.dumps(services.report(run)))
            return
        self.stdout.write(f"Run {run.pk} is queued.")
        for child in children:
            self.stdout.write(f"  run {child.pk}: {child.sync}")

    def _table(self, report: dict[str, Any]) -> None:
        write = self.stdout.write
        dry = " (dry run: nothing was written)" if report["dry_run"] else ""
        write(
            f"Run {report['run']}: {report['status']} in {report['duration_s']} s{dry}"
        )
        for sync in report["syncs"]:
            write(f"\n{sync['app']} \u203a {sync['sync']}: {sync['status']}")
            write(
                f"  records  {sync['matched']} matched, {sync['in_sync']} in sync, "
                f"{sync['failing']} failing, {sync['excluded']} excluded, "
                f"{sync['waiting']} waiting"
            )
            for word in ("read", "created", "updated", "archived"):
                write(f"  {word:<8} {_sides(sync[word])}")
            self._awaiting(sync)
            links = sync["associations"]
            work = ", ".join(
                f"{w} {_sides(links[w])}" for w in ("added", "removed", "changed")
            )
            write(
                f"  links    {links['in_sync']} in sync, {links['pending']} pending, "
                f"{links['failing']} failing; {work}"
            )
            self._edges(sync)
            if sync["not_undoable"]:
                write(f"  for good {sync['not_undoable']} of these cannot be undone")
            write(f"  calls    {_sides(sync['api_calls'])}")
            for error in sync["errors"]:
                code = error["code"]
                write(
                    self.style.WARNING(
                        f"  {code} x {error['count']}: {error['example']}"
                    )
                )
                write(f"    {meaning_of(code)} {remedy_for(code)}")

    def _edges(self, sync: dict[str, Any]) -> None:
        """What a preview would do to links, one a line, with the value that causes it."""
        edges = sync.get("edges", [])
        for edge in edges[:SHOWN]:
            where = "HubSpot" if edge["side"] == "hubspot" else sync["app"]
            rule = f" [{edge['rule']}]" if edge["rule"] else ""
            self.stdout.write(
                f"    {edge['kind']:<8} {edge['record']} \u2192 {edge['other_record']} in "
                f"{where}, {edge['association_type']}: {edge['reason']}{rule}"
            )
        more = len(edges) - SHOWN + sync.get("edges_left_out", 0)
        if more > 0:
            self.stdout.write(
                f"    and {more} more: see run {sync['run']} in the admin"
            )

    def _awaiting(self, sync: dict[str, Any]) -> None:
        awaiting = sync["awaiting"]
        if sync["held"] or any(awaiting.values()):
            self.stdout.write(
                f"  waiting  for a person: {awaiting['deletes']} deletions, "
                f"{awaiting['conflicts']} conflicts, {sync['held']} held changes"
            )


def _sides(counts: dict[str, int]) -> str:
    return f"{counts['hubspot']} in HubSpot, {counts['app']} in the app"
