"""The connector: one Airtable base behind the protocol that every system keeps."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from connections.connectors.airtable.api import Api, Json
from connections.connectors.airtable.errors import AirtableDialect
from connections.connectors.airtable.feed import Feed
from connections.connectors.airtable.junctions import Junctions
from connections.connectors.airtable.reading import PAGE_SIZE, Reader
from connections.connectors.airtable.schema import object_type
from connections.connectors.airtable.writing import BATCH, MERGES_ON, Writer
from connections.connectors.base import (
    AuthError,
    Context,
    FeedLost,
    SchemaError,
    ScopeError,
)
from connections.connectors.http import Door
from connections.connectors.parts import rows
from connections.connectors.plain import PlainConnector
from connections.records import (
    Capabilities,
    Draft,
    Fed,
    Fetched,
    LinkRows,
    LinkTable,
    ObjectType,
    Outcome,
    Page,
    Patch,
    Report,
    RowsWrite,
    Schema,
    TableReport,
    Want,
    Window,
    same_system,
)

BASE_URL = "https://api.airtable.com"
OFF = "off"
READERS = ("none", "read", "comment")
OVERLAP_S = 120.0
ELSEWHERE = (
    "The app's base is another than the one whose records are paired: their ids mean "
    "nothing there."
)


class AirtableConnector(PlainConnector):
    """Tables of one base; safe to use from several threads.

    Args: settings, `base_id`, `base_url` and `change_log` ("off": the payload log is not
        used); credentials, `token`, a personal access token or a service account's.
    Raises: AuthError without a token; SchemaError without a base.
    """

    kind = "airtable"
    no_archive = "only people reach Airtable's trash, and only for some days"
    capabilities: Capabilities = Capabilities(
        write_batch=BATCH,
        fetch_batch=PAGE_SIZE,
        changes=True,
        feeds=True,
        overlap_s=OVERLAP_S,
        targets_need_sync=True,
        merges_on=MERGES_ON,
        link_tables=True,
        deletes=True,
        undo_create="Airtable has no archive: delete the record by hand.",
    )

    def __init__(
        self,
        settings: Mapping[str, Any],
        credentials: Mapping[str, Any],
        context: Context,
    ) -> None:
        token = str(credentials.get("token") or "").strip()
        if not token or not token.isascii() or not token.isprintable():
            raise AuthError("No usable Airtable token is stored for this app.")
        base_id = str(settings.get("base_id") or "").strip()
        if not base_id:
            raise SchemaError("The app's setting base_id names no base.")
        if not same_system(base_id, context.system):
            raise SchemaError(ELSEWHERE)
        if str(settings.get("change_log") or "").strip().casefold() == OFF:
            self.capabilities = replace(self.capabilities, feeds=False)
        self._door = Door(
            str(settings.get("base_url") or BASE_URL),
            {"Authorization": f"Bearer {token}"},
            context,
            dialect=AirtableDialect(),
        )
        self._api = Api(self._door, base_id)
        self._reader = Reader(self._api)
        self._feed = Feed(self._api)
        self._junctions = Junctions(self._api, self._reader)

    def close(self) -> None:
        self._door.close()

    # Who and what ----------------------------------------------------------------------

    def test(self) -> Report:
        """Ask which bases the token covers: that proves the token, its scope for schemas
        and the base in one call (another for every 1,000 bases).

        Raises: AuthError, ScopeError, TransientError.
        """
        base = self._base()
        if base is None:
            raise ScopeError(
                f"The Airtable token does not cover the base {self._api.base_id}: add it "
                "to the token's access, or correct the base's id."
            )
        level = str(base.get("permissionLevel") or "")
        warnings = []
        if level in READERS:
            warnings.append(f"its user may only {level} there: sync to HubSpot only")
        return Report(
            str(base.get("name") or self._api.base_id),
            details={"base": self._api.base_id, "permission": level},
            warnings=tuple(warnings),
            system=self._api.base_id,
        )

    def _base(self) -> Json | None:
        query: dict[str, str] = {}
        while True:
            path = "/v0/meta/bases"
            body = self._api.read("list the bases", "GET", path, query=query).body
            for base in rows(body, "bases"):
                if base.get("id") == self._api.base_id:
                    return base
            if not body.get("offset") or body["offset"] == query.get("offset"):
                return None
            query = {"offset": str(body["offset"])}

    def discover(self) -> Schema:
        """Read every table with its fields: one call."""
        tables = self._api.tables(again=True)
        return Schema(tuple(object_type(t, tables) for t in tables.values()))

    def describe(
        self, obj: ObjectType, names: Collection[str] = ()
    ) -> ObjectType | None:
        tables = self._api.tables(again=True)
        found = tables.get(obj.id)
        return None if found is None else object_type(found, tables)

    # Reading ---------------------------------------------------------------------------

    def pages(
        self, obj: ObjectType, want: Want, cursor: str | None = None
    ) -> Iterator[Page]:
        return self._reader.pages(obj, want, cursor)

    def changed(
        self,
        obj: ObjectType,
        want: Want,
        *,
        after: datetime,
        until: datetime | None = None,
    ) -> Iterator[Page]:
        """Read records by a field of the type last modified time."""
        return self._reader.changed(obj, want, after, until)

    def window(
        self, obj: ObjectType, want: Want, *, after: datetime, until: datetime
    ) -> Window:
        return self._reader.window(obj, want, after, until)

    def unstamped(self, obj: ObjectType, want: Want) -> Iterator[Page]:
        return self._reader.unstamped(obj, want)

    def fetch(self, obj: ObjectType, ids: Sequence[str], want: Want) -> Fetched:
        return self._reader.fetch(obj, ids, want)

    def created_since(
        self, obj: ObjectType, want: Want, since: datetime
    ) -> Iterator[Page]:
        return self._reader.created_since(obj, want, since)

    # The change log --------------------------------------------------------------------

    def feed_place(self, obj: ObjectType) -> str:
        """Where the payload log stands. Raises: FeedLost."""
        self._need_feed()
        return self._feed.place()

    def fed(self, obj: ObjectType, place: str, *, own: bool) -> Iterator[Fed]:
        """Which records changed since `place`, what we wrote ourselves included: the log
        tells of a user, and other programs may use the same one.

        Raises: FeedLost; SchemaError where the table is gone, of which the log of records
        does not tell.
        """
        self._need_feed()
        self._api.table(obj)
        return self._feed.read(obj, place)

    def feed_setup(self, names: Sequence[str], *, remove: bool = False) -> str:
        """Nothing: the webhook is made by itself, and ends when nobody reads it."""
        return "-- Airtable keeps the change log by itself; there is nothing to run.\n"

    def _need_feed(self) -> None:
        if not self.capabilities.feeds:
            raise FeedLost("The app's setting change_log is off.")

    # Writing ---------------------------------------------------------------------------

    def create(
        self, obj: ObjectType, drafts: Sequence[Draft], want: Want
    ) -> list[Outcome]:
        """Create records; with a marker of a type that Airtable merges on, as an upsert:
        one that got no answer is then sent again, and makes no second record."""
        return self._writer(obj, want).create(drafts)

    def update(
        self, obj: ObjectType, patches: Sequence[Patch], want: Want
    ) -> list[Outcome]:
        return self._writer(obj, want).update(patches)

    def _writer(self, obj: ObjectType, want: Want) -> Writer:
        return Writer(self._api, self._reader, obj, want)

    def delete(self, obj: ObjectType, ids: Sequence[str]) -> list[Outcome]:
        return self._writer(obj, Want()).delete(ids)

    # Junction tables -------------------------------------------------------------------

    def link_table(self, table: LinkTable) -> TableReport:
        return self._junctions.examine(table)

    def link_rows(self, table: LinkTable, ids: Sequence[str]) -> Mapping[str, LinkRows]:
        return self._junctions.read(self._junctions.shape(table), ids)

    def write_link_rows(
        self, table: LinkTable, writes: Sequence[RowsWrite]
    ) -> list[Outcome]:
        return self._junctions.write(self._junctions.shape(table), writes)
