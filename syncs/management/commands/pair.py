"""Tie two records by hand."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandParser

from connections.commands import Command as Base
from connections.commands import Refused
from syncs import selectors, services


class Command(Base):
    help = (
        "Tie a HubSpot record and an app record by hand; they sync from the next run. "
        "To tie the two of a pair that is held (ID_REUSED) is to confirm it."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--app", metavar="NAME", required=True)
        parser.add_argument("--sync", metavar="NAME", required=True)
        parser.add_argument("hubspot_id", metavar="HUBSPOT_ID")
        parser.add_argument("app_id", metavar="APP_ID")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            sync = selectors.find_sync(
                selectors.find_app(options["app"]), options["sync"]
            )
            ids = {"hubspot_id": options["hubspot_id"], "app_id": options["app_id"]}
            self.act(sync, ids)
        except (selectors.NotFound, services.PairError) as exc:
            raise Refused(str(exc)) from exc

    def act(self, sync: Any, ids: dict[str, str]) -> None:
        services.pair(sync=sync, **ids)
        self.stdout.write(f"Paired {ids['hubspot_id']} and {ids['app_id']} in {sync}.")
