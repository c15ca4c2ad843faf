"""The connector: one HubSpot account behind the protocol that every system keeps."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from connections.catalogue import Code
from connections.connectors.base import (
    AuthError,
    Context,
    RejectedError,
    SchemaError,
    ScopeError,
)
from connections.connectors.http import Door
from connections.connectors.hubspot import history
from connections.connectors.hubspot.api import Api, text
from connections.connectors.hubspot.definitions import Definitions
from connections.connectors.hubspot.dialect import HubSpotDialect
from connections.connectors.hubspot.links import Links
from connections.connectors.hubspot.named_links import NamedLinks
from connections.connectors.hubspot.paths import DEFAULT_VERSION, Paths
from connections.connectors.hubspot.reading import Reader
from connections.connectors.hubspot.schema import SchemaReader
from connections.connectors.hubspot.values import CONTACTS
from connections.connectors.hubspot.writing import Writer
from connections.records import (
    AssociationLimit,
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
    Window,
)

BASE_URL = "https://api.hubapi.com"


class HubSpotConnector:
    """One HubSpot account.

    Args: settings, `base_url` and `api_version`; credentials, `token` (a service key, a
        static-auth app's or a legacy private app's token: all are bearer tokens).
    Raises: AuthError without a token; SetupError for an API version there is not.
    """

    kind = "hubspot"
    capabilities = Capabilities(
        write_batch=100,
        fetch_batch=100,
        changes=True,
        reads_ahead=True,
        tells_total=True,
        search_lag_s=5.0,
        overlap_s=600.0,
        tells_field_times=True,
        archives=True,
        carries_labels=True,
        numeric_ids=True,
    )

    def __init__(
        self,
        settings: Mapping[str, Any],
        credentials: Mapping[str, Any],
        context: Context,
    ) -> None:
        token = text(credentials.get("token")).strip()
        if not token or not token.isascii() or not token.isprintable():
            raise AuthError("No usable HubSpot token is stored for this account.")
        paths = Paths.of(text(settings.get("api_version")) or DEFAULT_VERSION)
        self._door = Door(
            text(settings.get("base_url")) or BASE_URL,
            {"Authorization": f"Bearer {token}"},
            context,
            dialect=HubSpotDialect(),
        )
        self._cautions = (paths.version.caution,) if paths.version.caution else ()
        self._api = Api(self._door, paths)
        self._reader, self._writer = Reader(self._api), Writer(self._api)
        self._schema = SchemaReader(self._api)
        by_name = paths.version.named_links
        self._links = NamedLinks(self._api) if by_name else Links(self._api)
        self.capabilities = replace(self.capabilities, carries_labels=not by_name)
        self._definitions = Definitions(self._api)

    def close(self) -> None:
        self._door.close()

    def test(self) -> Report:
        """Ask who we are; a token that may not is tried on one contact."""
        try:
            answer = self._api.read("read the account", "GET", self._api.paths.account)
        except (ScopeError, RejectedError, SchemaError):
            self._api.read(
                "list contacts",
                "GET",
                self._api.paths.objects(CONTACTS),
                query={"limit": "1"},
            )
            return Report(
                "HubSpot account",
                warnings=("its details are not readable", *self._cautions),
            )
        details = {
            name: text(answer.body[name])
            for name in ("portalId", "accountType", "timeZone", "companyCurrency")
            if answer.body.get(name) is not None
        }
        portal = details.get("portalId", "unknown")
        system = f"hubspot/{portal}" if "portalId" in details else ""
        return Report(f"HubSpot portal {portal}", details, self._cautions, system)

    def discover(self) -> Schema:
        return self._schema.discover()

    def describe(
        self, obj: ObjectType, names: Collection[str] = ()
    ) -> ObjectType | None:
        return self._schema.describe(obj, names)

    def association_types(
        self, from_object: str, to_object: str
    ) -> tuple[AssociationTypeInfo, ...]:
        return self._links.types(from_object, to_object)

    def association_limits(
        self, from_object: str, to_object: str
    ) -> tuple[AssociationLimit, ...]:
        return self._definitions.limits(from_object, to_object)

    def label_room(self, from_object: str, to_object: str) -> int | None:
        return self._definitions.label_room(from_object, to_object)

    def create_label(
        self,
        from_object: str,
        to_object: str,
        *,
        label: str,
        name: str,
        inverse: str = "",
    ) -> tuple[AssociationTypeInfo, ...]:
        return self._definitions.create_label(
            from_object, to_object, label=label, name=name, inverse=inverse
        )

    # Read -------------------------------------------------------------------------------

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
        return self._reader.window(obj, after, until)

    def unstamped(self, obj: ObjectType, want: Want) -> Iterator[Page]:
        """Nothing: HubSpot stamps every record."""
        return iter(())

    def fetch(self, obj: ObjectType, ids: Sequence[str], want: Want) -> Fetched:
        return self._reader.fetch(obj, ids, want)

    def changed_at(
        self, obj: ObjectType, ids: Sequence[str], names: Sequence[str]
    ) -> Mapping[str, Mapping[str, datetime]]:
        return history.changed_at(self._api, obj, ids, names)

    def lookup(
        self, obj: ObjectType, field_name: str, values: Sequence[str], want: Want
    ) -> Mapping[str, Record] | None:
        return self._reader.lookup(obj, field_name, values, want)

    def created_since(
        self, obj: ObjectType, want: Want, since: datetime
    ) -> Iterator[Page]:
        return self._reader.created_since(obj, want, since)

    # Write ------------------------------------------------------------------------------

    def reserve(self, obj: ObjectType, count: int) -> list[str] | None:
        """None: HubSpot gives no ids ahead."""
        return None

    def create(
        self, obj: ObjectType, drafts: Sequence[Draft], want: Want
    ) -> list[Outcome]:
        return self._writer.create(obj, drafts)

    def update(
        self, obj: ObjectType, patches: Sequence[Patch], want: Want
    ) -> list[Outcome]:
        return self._writer.update(obj, patches)

    def upsert(
        self, obj: ObjectType, field_name: str, drafts: Sequence[Draft]
    ) -> list[Outcome]:
        """Create records, or update those with the same value of a unique property."""
        return self._writer.upsert(obj, field_name, drafts)

    def archive(self, obj: ObjectType, ids: Sequence[str]) -> list[Outcome]:
        return self._writer.archive(obj, ids)

    def delete(self, obj: ObjectType, ids: Sequence[str]) -> list[Outcome]:
        """Refuse: a record is archived, from where people can bring it back."""
        refused = Outcome(
            False,
            code=Code.DIRECTION_FORBIDS,
            message=f"HubSpot's {obj.name} are archived, never deleted for good.",
        )
        return [refused for _ in ids]

    # Links ------------------------------------------------------------------------------

    def shows_all_links(self, from_object: str, to_object: str) -> bool:
        return self._links.shows_all(from_object, to_object)

    def associations(
        self, from_object: str, to_object: str, ids: Sequence[str]
    ) -> Mapping[str, tuple[Linked, ...]]:
        return self._links.associations(from_object, to_object, ids)

    def associate(
        self, from_object: str, to_object: str, edges: Sequence[Edge]
    ) -> list[Outcome]:
        return self._links.associate(from_object, to_object, edges)

    def dissociate(
        self, from_object: str, to_object: str, edges: Sequence[Edge]
    ) -> list[Outcome]:
        return self._links.dissociate(from_object, to_object, edges)

    def unlabel(
        self, from_object: str, to_object: str, edges: Sequence[Edge]
    ) -> list[Outcome]:
        return self._links.unlabel(from_object, to_object, edges)
