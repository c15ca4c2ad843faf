"""A HubSpot account as a connector: the protocol of `base`, handed to whoever does it.

Source: https://developers.hubspot.com/docs/api-reference/latest/overview
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from connections.catalogue import Code
from connections.connectors.base import (
    AuthError,
    Context,
    RejectedError,
    SchemaError,
    ScopeError,
    SetupError,
)
from connections.connectors.http import Door
from connections.connectors.hubspot.api import Api, text
from connections.connectors.hubspot.dialect import HubSpotDialect
from connections.connectors.hubspot.links import Links
from connections.connectors.hubspot.paths import DEFAULT_VERSION, Paths
from connections.connectors.hubspot.reading import BATCH, LIST_PAGE, Reader
from connections.connectors.hubspot.schema import SchemaReader
from connections.connectors.hubspot.values import COMPANIES, CONTACTS, DEALS, TICKETS
from connections.connectors.hubspot.writing import BATCH as WRITE_BATCH
from connections.connectors.hubspot.writing import Writer
from connections.records import (
    AssociationTypeInfo,
    Capabilities,
    Draft,
    Edge,
    Fetched,
    Linked,
    ObjectType,
    Outcome,
    Page,
    Patch,
    Record,
    Report,
    Schema,
    Want,
)

BASE_URL = "https://api.hubapi.com"
SEARCH_LAG_S = 10.0  # "a few moments", and a margin
OVERLAP_S = 600.0  # how late a change was ever seen to come up in search
DETAILS = (
    "portalId",
    "accountType",
    "timeZone",
    "companyCurrency",
    "uiDomain",
    "dataHostingLocation",
)


class HubSpotConnector:
    """One HubSpot account.

    Args: settings, `base_url` and `api_version`; credentials, `token`: a service key, an
        app's static token or a legacy private app's, which are sent alike.
    Raises: AuthError without a token that could be one; SetupError for a version that is
        not available.
    """

    kind = "hubspot"
    capabilities = Capabilities(
        page_size=LIST_PAGE,
        write_batch=WRITE_BATCH,
        fetch_batch=BATCH,
        changes=True,
        search_lag_s=SEARCH_LAG_S,
        overlap_s=OVERLAP_S,
        targets_must_exist=True,
        carries_labels=True,
    )

    def __init__(
        self,
        settings: Mapping[str, Any],
        credentials: Mapping[str, Any],
        context: Context,
    ) -> None:
        paths = Paths.of(str(settings.get("api_version") or DEFAULT_VERSION))
        headers = {"Authorization": f"Bearer {_token(credentials)}"}
        base_url = str(settings.get("base_url") or BASE_URL)
        self._door = Door(base_url, headers, context, dialect=HubSpotDialect())
        self._api = Api(self._door, paths)
        self._schema = SchemaReader(self._api)
        self._reader = Reader(self._api)
        self._writer = Writer(self._api)
        self._links = Links(self._api)

    def close(self) -> None:
        """Close the connections."""
        self._door.close()

    # The account -----------------------------------------------------------------------

    def test(self) -> Report:
        """Ask who we are; a token that may not know that proves itself by one record.

        Raises: AuthError, ScopeError, TransientError; SetupError if no HubSpot is there.
        """
        try:
            answer = self._api.read(
                "tell about the account", "GET", self._api.paths.account
            )
        except ScopeError as exc:
            return self._test_by_record(exc)
        except (RejectedError, SchemaError) as exc:
            raise SetupError(
                f"No HubSpot API answers at this address: {exc.message}",
                code=Code.UNAVAILABLE,
                correlation_id=exc.correlation_id,
            ) from exc
        found = {name: text(answer.body.get(name)) for name in DETAILS}
        portal, kind = found["portalId"] or "?", found["accountType"]
        account = f"HubSpot account {portal}" + (f" ({kind})" if kind else "")
        return Report(account, {name: value for name, value in found.items() if value})

    def _test_by_record(self, refusal: ScopeError) -> Report:
        for object_id in (CONTACTS, COMPANIES, DEALS, TICKETS):
            path = self._api.paths.objects(object_id)
            try:
                self._api.read("list records", "GET", path, query={"limit": "1"})
            except ScopeError:
                continue
            return Report(
                "HubSpot account",
                warnings=("The token may not read the account's details.",),
            )
        raise refusal

    def discover(self) -> Schema:
        """Read the object types that the token may read, with their properties.

        Raises: ConnectorError.
        """
        return self._schema.discover()

    def association_types(
        self, from_object: str, to_object: str
    ) -> tuple[AssociationTypeInfo, ...]:
        """The types of one direction, never the other's ids.

        Raises: ConnectorError.
        """
        return self._schema.association_types(from_object, to_object)

    # Records ---------------------------------------------------------------------------

    def pages(
        self, obj: ObjectType, want: Want, cursor: str | None = None
    ) -> Iterator[Page]:
        """Read every record from the list, which has no lag and no end at 10,000."""
        return self._reader.pages(obj, want, cursor)

    def changed(
        self,
        obj: ObjectType,
        want: Want,
        *,
        after: datetime,
        until: datetime | None = None,
    ) -> Iterator[Page]:
        """Read what changed by search, which shows a change some moments late."""
        return self._reader.changed(obj, want, after, until)

    def count_changed(
        self, obj: ObjectType, want: Want, *, after: datetime, until: datetime
    ) -> int:
        """Count what search shows of a window."""
        return self._reader.count_changed(obj, after, until)

    def fetch(self, obj: ObjectType, ids: Sequence[str], want: Want) -> Fetched:
        """Read records by id."""
        return self._reader.fetch(obj, ids, want)

    def lookup(
        self, obj: ObjectType, field_name: str, values: Sequence[str], want: Want
    ) -> Mapping[str, Record] | None:
        """Find records by a unique property; None if it is not one."""
        return self._reader.lookup(obj, field_name, values, want)

    def created_since(
        self, obj: ObjectType, want: Want, since: datetime
    ) -> Iterator[Page]:
        """Read the records created since a time, from the list."""
        return self._reader.created_since(obj, want, since)

    def reserve(self, obj: ObjectType, count: int) -> list[str] | None:
        """HubSpot gives no id before a record exists."""
        return None

    def create(
        self, obj: ObjectType, drafts: Sequence[Draft], want: Want
    ) -> list[Outcome]:
        """Create records with their links, 100 a call, each call once."""
        return self._writer.create(obj, drafts)

    def update(
        self, obj: ObjectType, patches: Sequence[Patch], want: Want
    ) -> list[Outcome]:
        """Write values, 100 records a call."""
        return self._writer.update(obj, patches)

    def upsert(
        self, obj: ObjectType, field_name: str, drafts: Sequence[Draft], want: Want
    ) -> list[Outcome]:
        """Create records, or update those that hold the same unique value."""
        return self._writer.upsert(obj, field_name, drafts)

    def archive(self, obj: ObjectType, ids: Sequence[str]) -> list[Outcome]:
        """Put records into the recycling bin, 100 a call."""
        return self._writer.archive(obj, ids)

    # Associations ----------------------------------------------------------------------

    def associations(
        self, from_object: str, to_object: str, ids: Sequence[str]
    ) -> Mapping[str, tuple[Linked, ...]]:
        """Read records' links, 1,000 records a call."""
        return self._links.read(from_object, to_object, ids)

    def associate(
        self, from_object: str, to_object: str, edges: Sequence[Edge]
    ) -> list[Outcome]:
        """Set each pair's complete set of types."""
        return self._links.associate(from_object, to_object, edges)

    def dissociate(
        self, from_object: str, to_object: str, edges: Sequence[Edge]
    ) -> list[Outcome]:
        """Remove pairs whole."""
        return self._links.dissociate(from_object, to_object, edges)

    def unlabel(
        self, from_object: str, to_object: str, edges: Sequence[Edge]
    ) -> list[Outcome]:
        """Take types off pairs."""
        return self._links.unlabel(from_object, to_object, edges)


def _token(credentials: Mapping[str, Any]) -> str:
    """The token, if it is one that a header can hold.

    Raises: AuthError, which never says what was entered.
    """
    token = str(credentials.get("token") or "").strip()
    if not token:
        raise AuthError("No HubSpot token is stored.")
    if not (token.isascii() and token.isprintable() and " " not in token):
        raise AuthError("The stored HubSpot token holds characters that no token has.")
    return token
