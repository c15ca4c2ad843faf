"""The connector: one Kintone domain behind the protocol that every system keeps."""

from __future__ import annotations

import base64
from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

from connections.catalogue import Code
from connections.connectors.base import AuthError, Context, SetupError
from connections.connectors.http import Door
from connections.connectors.kintone.api import TOKENS, Api, text
from connections.connectors.kintone.errors import KintoneDialect
from connections.connectors.kintone.keeping import KeyKeeper
from connections.connectors.kintone.link_apps import examine, read_rows, shape_of
from connections.connectors.kintone.link_writing import RowWriter
from connections.connectors.kintone.reading import Reader
from connections.connectors.kintone.revisions import Revisions
from connections.connectors.kintone.schema import SchemaReader
from connections.connectors.kintone.writing import Writer
from connections.connectors.plain import PlainConnector
from connections.records import (
    Capabilities,
    Draft,
    Fetched,
    LinkRows,
    LinkTable,
    ObjectType,
    Outcome,
    Page,
    Patch,
    Record,
    Report,
    RowsWrite,
    Schema,
    TableReport,
    Want,
    Window,
)

MOST_TOKENS = 9  # in one header


UNKNOWN = (
    "it does not know one of the API tokens, which was deleted, or its app was: the others "
    "go on without it"
)


class KintoneConnector(PlainConnector):
    """One domain, or one guest space of it.

    Args: settings, `base_url` (https://SUBDOMAIN.cybozu.com, of a guest space followed by
        /k/guest/ID) and `app_ids`, the only apps to offer; credentials, `api_tokens` (a
        list, or with commas), or `username` and `password`.
    Raises: AuthError without credentials; SetupError without an address.
    """

    kind = "kintone"
    no_archive = "Kintone could only delete them for good"
    capabilities: Capabilities = Capabilities(
        write_batch=2000,
        fetch_batch=500,
        changes=True,
        reads_ahead=True,
        tells_total=True,
        overlap_s=300.0,
        targets_need_sync=True,
        link_tables=True,
        deletes=True,
        numeric_ids=True,
        undo_create="A record that was added cannot be archived: delete it by hand.",
    )

    def __init__(
        self,
        settings: Mapping[str, Any],
        credentials: Mapping[str, Any],
        context: Context,
    ) -> None:
        base = text(settings.get("base_url")).rstrip("/")
        if not base:
            raise SetupError(
                "The setting base_url is missing: https://SUBDOMAIN.cybozu.com.",
                code=Code.UNAVAILABLE,
            )
        headers, secrets = _signed(credentials)
        self._tokens = TOKENS in headers
        self._door = Door(
            base, headers, context, dialect=KintoneDialect(), secrets=secrets
        )
        path = urlsplit(base).path.rstrip("/")
        prefix = "/v1" if path.startswith("/k/guest/") else "/k/v1"
        tokens = secrets if self._tokens else ()
        self._api = Api(self._door, prefix, f"{path}{prefix}", tokens)
        self._host = urlsplit(base).hostname or ""
        self._space = path
        self._chosen = [text(i).strip() for i in settings.get("app_ids") or ()]
        self._schema = SchemaReader(self._api, self._chosen)
        revisions = Revisions()
        self._reader = Reader(self._api, revisions)
        self._writer = Writer(
            self._api,
            self._reader,
            revisions,
            self._schema.form_of,
            KeyKeeper(self._api, self._schema),
        )

    def close(self) -> None:
        self._door.close()

    # Who and what ----------------------------------------------------------------------

    def test(self) -> Report:
        """Read one app's form; without app_ids, list one app.

        Raises: AuthError, ScopeError, SchemaError, TransientError.
        """
        details = {"log-in": "API tokens" if self._tokens else "user and password"}
        if self._chosen:
            self._schema.form(self._chosen[0])
            details["apps"] = ", ".join(self._chosen)
        else:
            self._schema.some()
        return Report(
            f"Kintone {self._host}{self._space}",
            details,
            system=f"kintone/{self._host}{self._space.replace('/', '.')}",
            warnings=(UNKNOWN,) if self._api.unknown else (),
        )

    def discover(self) -> Schema:
        return self._schema.discover()

    def describe(
        self, obj: ObjectType, names: Collection[str] = ()
    ) -> ObjectType | None:
        return self._schema.describe(obj)

    # Read ------------------------------------------------------------------------------

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
        return self._reader.changed(obj, want, after, until)

    def window(
        self, obj: ObjectType, want: Want, *, after: datetime, until: datetime
    ) -> Window:
        return self._reader.window(obj, want, after, until)

    def fetch(self, obj: ObjectType, ids: Sequence[str], want: Want) -> Fetched:
        return self._reader.fetch(obj, ids, want)

    def lookup(
        self, obj: ObjectType, field_name: str, values: Sequence[str], want: Want
    ) -> Mapping[str, Record] | None:
        return self._reader.lookup(obj, field_name, values, want)

    def created_since(
        self, obj: ObjectType, want: Want, since: datetime
    ) -> Iterator[Page]:
        return self._reader.created_since(obj, want, since)

    # Write -----------------------------------------------------------------------------

    def create(
        self, obj: ObjectType, drafts: Sequence[Draft], want: Want
    ) -> list[Outcome]:
        return self._writer.create(obj, drafts, want)

    def update(
        self, obj: ObjectType, patches: Sequence[Patch], want: Want
    ) -> list[Outcome]:
        return self._writer.update(obj, patches, want)

    def delete(self, obj: ObjectType, ids: Sequence[str]) -> list[Outcome]:
        return self._writer.delete(obj, ids)

    # Join apps -------------------------------------------------------------------------

    def link_table(self, table: LinkTable) -> TableReport:
        return examine(self._schema, table)

    def link_rows(self, table: LinkTable, ids: Sequence[str]) -> Mapping[str, LinkRows]:
        return read_rows(self._api, shape_of(self._schema, table), ids)

    def write_link_rows(
        self, table: LinkTable, writes: Sequence[RowsWrite]
    ) -> list[Outcome]:
        return RowWriter(self._api, shape_of(self._schema, table)).write(writes)


def _signed(credentials: Mapping[str, Any]) -> tuple[dict[str, str], list[str]]:
    """The headers that say who calls, and what of them is secret.

    Raises: AuthError.
    """
    given = credentials.get("api_tokens") or ()
    listed = given.split(",") if isinstance(given, str) else given
    tokens = [text(token).strip() for token in listed if text(token).strip()]
    login, password = (text(credentials.get(k)) for k in ("username", "password"))
    if tokens:
        if len(tokens) > MOST_TOKENS:
            raise AuthError(
                f"Kintone takes {MOST_TOKENS} API tokens at once, not {len(tokens)}: "
                "connect some of the apps separately."
            )
        if not all(t.isascii() and t.isprintable() and " " not in t for t in tokens):
            raise AuthError("An API token holds characters that no token has.")
        return {TOKENS: ",".join(tokens)}, tokens
    if login and password:
        word = base64.b64encode(f"{login}:{password}".encode()).decode()
        return {"X-Cybozu-Authorization": word}, [word, password]
    raise AuthError("No API tokens, and no user name and password, are stored.")
