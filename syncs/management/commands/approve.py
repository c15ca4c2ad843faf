"""Approve or drop what waits for a person."""

from __future__ import annotations

import json
from argparse import ArgumentTypeError
from collections.abc import Iterator
from typing import Any

from django.core.management.base import CommandParser
from django.db.models import QuerySet

from connections.commands import FAILED, Refused
from connections.commands import Command as Base
from connections.records import Side
from syncs import selectors, services
from syncs.models import Change, SyncRun
from syncs.models.choices import Awaiting, Status, Trigger

QUEUES = (str(Awaiting.DELETES), str(Awaiting.CONFLICTS))
BAD = (Status.FAILED, Status.HELD, Status.CANCELLED)
LIST_AT_ONCE = 500  # rows


def _what(text: str) -> str:
    if text in QUEUES or (text.isascii() and text.isdigit() and int(text) > 0):
        return text
    raise ArgumentTypeError(
        f"{text!r} is neither a run's number nor deletes, conflicts"
    )


def _id(text: str) -> int:
    if not (text.isascii() and text.isdigit()):
        raise ArgumentTypeError(f"{text!r} is not the id of a change")
    return int(text)


class Command(Base):
    help = (
        "Approve what waits for a person: the plan of a held run, deletions, or "
        "conflicts. Both sides are read first, and what moved meanwhile is left out."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        add = parser.add_argument
        add(
            "what",
            metavar="RUN|deletes|conflicts",
            nargs="?",
            type=_what,
            help="a held run's number, or a queue; with --list alone: everything",
        )
        add("--app", metavar="NAME", help="only what waits in this connected app")
        add(
            "--only",
            metavar="ID",
            action="append",
            type=_id,
            default=[],
            help="only this change, by its id as --list prints it; several times for more",
        )
        add(
            "--take",
            choices=[side.value for side in Side],
            help="of conflicts without --only: whose values are taken (default hubspot)",
        )
        add("--drop", action="store_true", help="give it up instead")
        add("--list", action="store_true", help="show what waits and do nothing")
        add("--json", action="store_true", help="print one JSON object")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["list"] and options["drop"]:
            raise Refused("--list only shows; it cannot be given with --drop.")
        if options["take"] and options["what"] != Awaiting.CONFLICTS:
            raise Refused("--take chooses between the values of conflicts only.")
        if options["take"] and (options["list"] or options["drop"]):
            raise Refused("--take approves; it goes with neither --list nor --drop.")
        if options["what"] is None and not options["list"]:
            raise Refused(
                "Say what: a held run's number, deletes or conflicts. "
                "approve --list shows what waits."
            )
        try:
            self._app = selectors.find_app(options["app"]) if options["app"] else None
            if options["list"]:
                self._list(options)
            elif options["drop"]:
                self._drop(options)
            else:
                self._approve(options)
        except (services.RunError, selectors.NotFound) as exc:
            raise Refused(f"{exc} {exc.remedy}".strip()) from exc

    # Showing ----------------------------------------------------------------------------

    def _rows(self, options: dict[str, Any]) -> QuerySet[Change]:
        what = options["what"]
        rows = services.waiting(Awaiting(what) if what in QUEUES else None)
        if what is not None and what not in QUEUES:
            runs = services.held_children(int(what))
            rows = rows.filter(run__in=runs, awaiting=Awaiting.LIMITS)
        if self._app is not None:
            rows = rows.filter(sync__app=self._app)
        return rows.filter(pk__in=options["only"]) if options["only"] else rows

    def _list(self, options: dict[str, Any]) -> None:
        rows = self._rows(options)
        runs = self._runs(options)
        if options["json"]:
            changes = [services.describe(change) for change in _each(rows)]
            self.stdout.write(json.dumps({"runs": runs, "changes": changes}))
            return
        for run in runs:
            self.stdout.write(
                f"Run {run['run']}, {run['app']} \u203a {run['sync']}: {run['text']}"
            )
        count = 0
        for change in _each(rows):
            self.stdout.write(_line(change))
            count += 1
        if not runs and not count:
            self.stdout.write("Nothing waits for a decision.")

    def _runs(self, options: dict[str, Any]) -> list[dict[str, Any]]:
        """The held runs that what is listed belongs to."""
        if options["what"] in QUEUES:
            return []
        children = (
            services.held_children(int(options["what"]))
            if options["what"]
            else services.all_held()
        )
        return [
            {
                "run": child.parent_id or child.pk,
                "child": child.pk,
                "app": child.app.name if child.app else "",
                "sync": child.sync.name if child.sync else "",
                "held": child.held,
                "text": child.error_text,
            }
            for child in children
            if self._app is None or child.app_id == self._app.pk
        ]

    # Deciding ---------------------------------------------------------------------------

    def _drop(self, options: dict[str, Any]) -> None:
        what, only = options["what"], options["only"]
        if what in QUEUES:
            app_id = self._app.pk if self._app else None
            dropped = services.drop_queue(Awaiting(what), app_id=app_id, only=only)
        else:
            self._check_app(int(what))
            dropped = services.drop_run(int(what), only=only)
        if options["json"]:
            self.stdout.write(json.dumps({"dropped": dropped}))
        else:
            noun = _fields if what == Awaiting.CONFLICTS else _changes
            self.stdout.write(
                f"Dropped {dropped} {noun(dropped)}; nothing was written."
            )

    def _approve(self, options: dict[str, Any]) -> None:
        what, only = options["what"], options["only"]
        if what in QUEUES:
            run = services.approve_queue(
                Awaiting(what),
                app_id=self._app.pk if self._app else None,
                only=only,
                take=Side(options["take"]) if options["take"] else None,
                trigger=Trigger.COMMAND,
            )
            if what == Awaiting.CONFLICTS and not only and not options["json"]:
                self._say_taken(options["take"])
        else:
            self._check_app(int(what))
            run = services.approve_run(int(what), only=only, trigger=Trigger.COMMAND)
        services.execute(run)
        run.refresh_from_db()
        outcomes = services.outcomes(run)
        if options["json"]:
            self.stdout.write(json.dumps(services.report(run) | {"outcomes": outcomes}))
        else:
            self._say(run, outcomes)
        if run.status in BAD:
            raise SystemExit(FAILED)

    def _say_taken(self, take: str | None) -> None:
        if take == Side.APP:
            self.stdout.write("The app's values are taken.")
        else:
            default = "" if take else ", the default; --take app takes the app's"
            self.stdout.write(f"HubSpot's values are taken{default}.")

    def _check_app(self, run_id: int) -> None:
        """A run of another app than --app names is a slip of the hand."""
        if self._app is None:
            return
        children = services.held_children(run_id)
        if any(child.app_id != self._app.pk for child in children):
            raise Refused(f"Run {run_id} is not one of {self._app.name}.")

    def _say(self, run: SyncRun, outcomes: dict[str, int]) -> None:
        done = ", ".join(f"{n} {name}" for name, n in sorted(outcomes.items()))
        self.stdout.write(f"Run {run.pk}: {run.status}; {done or 'no change written'}.")
        for child in run.children.select_related("sync__app").order_by("pk"):
            if child.error_text:
                self.stdout.write(
                    self.style.WARNING(
                        f"  {child.sync}: {child.error_code} {child.error_text}"
                    )
                )


def _each(rows: QuerySet[Change]) -> Iterator[Change]:
    """Rows in their order, some at a time: a held plan may be long."""
    last = 0
    while some := list(rows.filter(pk__gt=last)[:LIST_AT_ONCE]):
        last = some[-1].pk
        yield from some


def _line(change: Change) -> str:
    far = f" \u2192 {change.other_record}" if change.other_record else ""
    where = "HubSpot" if change.side == "hubspot" else change.sync.app.name
    return (
        f"{change.pk}  {change.get_kind_display()} {change.record}{far} in {where} "
        f"({change.sync}): {change.reason}{_values(change)}"
    )


def _values(change: Change) -> str:
    """What a conflict is between."""
    if change.awaiting != Awaiting.CONFLICTS:
        return ""
    return f" ({_shown(change.before)} \u2192 {_shown(change.after)})"


def _shown(values: dict[str, Any]) -> str:
    return ", ".join(json.dumps(value, ensure_ascii=False) for value in values.values())


def _fields(count: int) -> str:
    return f"conflict{'' if count == 1 else 's'}, both sides stay as they are"


def _changes(count: int) -> str:
    return "change" if count == 1 else "changes"
