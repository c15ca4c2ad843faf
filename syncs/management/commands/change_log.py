"""Print what an administrator of an app's system runs so that it keeps a change log."""

from __future__ import annotations

from contextlib import closing
from typing import Any, cast

from django.core.management.base import CommandParser

from connections import services
from connections.commands import Command as Base
from connections.commands import Refused
from connections.connectors.base import FeedConnector
from connections.models import ConnectedApp
from syncs.models import ObjectSync

SETTING, USUAL = "change_log", "crosslink_log"


class Command(Base):
    help = "Print the SQL by which a database keeps a log of changes for its app."

    def add_arguments(self, parser: CommandParser) -> None:
        add = parser.add_argument
        add("--app", metavar="NAME", required=True, help="the connected app")
        add(
            "--table",
            metavar="NAME",
            action="append",
            default=[],
            help="a table to log, once for each (default: those of the app's syncs)",
        )
        add(
            "--log",
            metavar="NAME",
            help=f"the log's table (default: the app's setting, else {USUAL})",
        )
        add("--remove", action="store_true", help="print what takes the triggers off")

    def handle(self, *args: Any, **options: Any) -> None:
        app = ConnectedApp.objects.filter(name=options["app"]).first()
        if app is None:
            raise Refused(f"There is no connected app {options['app']!r}.")
        syncs = ObjectSync.objects.filter(app=app, archived_at=None)
        tables = options["table"] or sorted({s.app_object for s in syncs})
        if not tables:
            raise Refused(f"{app.name} has no syncs yet: name its tables with --table.")
        name = options["log"] or app.settings.get(SETTING) or USUAL
        app.settings = {**app.settings, SETTING: name}
        with closing(services.open_app(app)) as connector:
            if not connector.capabilities.feeds:
                raise Refused(f"{app.name} is of a kind that keeps no change log.")
            feed = cast(FeedConnector, connector)
            self.stdout.write(
                feed.feed_setup(tables, remove=options["remove"]), ending=""
            )
