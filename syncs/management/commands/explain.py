"""Say why a record, or a link between two, is or is not in sync."""

from __future__ import annotations

import json
from typing import Any

from django.core.management.base import CommandParser

from connections.commands import Command as Base
from connections.commands import Refused
from connections.records import Side
from syncs import selectors, services

TICK, CROSS = "\u2713", "\u2717"


class Command(Base):
    help = (
        "Why a record, or a link between two records, is or is not in sync: every gate "
        "in order, the first that is shut, and the remedy. Nothing is written."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--app", metavar="NAME", required=True)
        parser.add_argument("--sync", metavar="NAME", required=True)
        near = parser.add_mutually_exclusive_group(required=True)
        near.add_argument("--hubspot-id", metavar="ID")
        near.add_argument("--app-id", metavar="ID")
        far = parser.add_mutually_exclusive_group()
        far.add_argument("--to-hubspot-id", metavar="ID", help="the linked record")
        far.add_argument("--to-app-id", metavar="ID", help="the linked record")
        parser.add_argument("--json", action="store_true", help="print one JSON object")

    def handle(self, *args: Any, **options: Any) -> None:
        near = _record("", options)
        to = _record("to_", options)
        assert near is not None, "one of the two is required"
        try:
            sync = selectors.find_sync(
                selectors.find_app(options["app"]), options["sync"]
            )
            found = services.explain(sync=sync, side=near[0], record_id=near[1], to=to)
        except (selectors.NotFound, services.BadId) as exc:
            raise Refused(str(exc)) from exc
        if options["json"]:
            self.stdout.write(json.dumps(found.as_json()))
        else:
            self._print(found)

    def _print(self, found: services.Explanation) -> None:
        verdict = "in sync" if found.in_sync else "not in sync"
        self.stdout.write(f"{found.about}: {verdict}")
        for gate in found.gates:
            name = gate.name.replace("_", " ")
            mark = TICK if gate.ok else CROSS
            code = f"{gate.code}: " if gate.code else ""
            line = f"  {mark} {name:<10} {code}{gate.text}"
            self.stdout.write(line if gate.ok else self.style.ERROR(line))
        last = found.gates[-1]
        if last.remedy:
            self.stdout.write(f"  What to do: {last.remedy}")
        if found.next_run:
            self.stdout.write(f"  {found.next_run}")


def _record(prefix: str, options: dict[str, Any]) -> tuple[Side, str] | None:
    """The record that the options name, by either side's id.

    Raises: Refused for an id of nothing but spaces.
    """
    for side in Side:
        name = f"{prefix}{side}_id"
        given = options[name]
        if given is None:
            continue
        if not given.strip():
            raise Refused(f"--{name.replace('_', '-')} needs an id.")
        return side, given.strip()
    return None
