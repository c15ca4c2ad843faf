"""HubSpot's official client on a sandbox: what a test reads results back through.

Reading this way shares nothing with our connector. The calls are counted by the
sandbox like any other (take `control.counts()` before), but spend a second app's rate
budget, so they do not stand in a sync's way.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import hubspot
from hubspot.crm.associations.v4 import (
    BatchInputPublicFetchAssociationsBatchRequest as FetchBatch,
)
from hubspot.crm.associations.v4 import PublicFetchAssociationsBatchRequest as Fetch
from hubspot.crm.properties import PropertyCreate

from connections.sandbox.server import SandboxServer

PAGE = 100  # records of a list page
READ_AT_ONCE = 1_000  # ids of an association batch read
NO_LINKS = "crm.associations.NO_ASSOCIATIONS_FOUND"
Edge = tuple[str, str]  # from id, to id
Types = frozenset[tuple[str, int]]  # (category, type id)


def vendor_client(
    sandbox: SandboxServer | str, token: str = "sandbox-token-second"
) -> Any:
    """Return the official client, pointed at a sandbox and otherwise as it comes.

    Args: sandbox, the server or its base URL; token, any of `SandboxServer.tokens`.
    """
    url = sandbox if isinstance(sandbox, str) else sandbox.hubspot_url
    return hubspot.Client.create(access_token=token, host=url)


def all_records(
    client: Any, object_type: str, properties: Sequence[str], *, archived: bool = False
) -> dict[str, dict[str, str | None]]:
    """Return every live (or else every archived) record: {id: {property: value}}.

    Args: object_type, a name such as "contacts" or a type id; properties, exactly
        those that the answer has (None for an unset one).
    """
    api = client.crm.objects.basic_api
    found: dict[str, dict[str, str | None]] = {}
    after = None
    while True:
        page = api.get_page(
            object_type,
            limit=PAGE,
            after=after,
            properties=list(properties),
            archived=archived,
        )
        for row in page.results:
            assert row.id not in found, f"{object_type} {row.id} was listed twice"
            found[row.id] = {name: row.properties[name] for name in properties}
        if page.paging is None:
            return found
        after = page.paging.next.after


def all_edges(
    client: Any, from_type: str, to_type: str, ids: Iterable[str]
) -> dict[Edge, Types]:
    """Return the links of some records: {(from id, to id): {(category, type id)}}.

    Types are as seen from `from_type`; every page of every record is followed.
    """
    api = client.crm.associations.v4.batch_api
    found: dict[Edge, Types] = {}
    asked: list[Fetch] = [Fetch(id=str(record_id)) for record_id in ids]
    while asked:
        now, asked = asked[:READ_AT_ONCE], asked[READ_AT_ONCE:]
        answer = api.get_page(from_type, to_type, FetchBatch(inputs=now))
        for error in getattr(answer, "errors", None) or []:
            assert error.sub_category == NO_LINKS, error
        for row in answer.results:
            found |= _edges(row)
            if row.paging is not None:
                asked.append(Fetch(id=row._from.id, after=row.paging.next.after))
    return found


def _edges(row: Any) -> dict[Edge, Types]:
    return {
        (str(row._from.id), str(target.to_object_id)): frozenset(
            (spec.category, spec.type_id) for spec in target.association_types
        )
        for target in row.to
    }


def chunks(items: Sequence[Any], size: int) -> Iterator[Sequence[Any]]:
    """Yield parts of a list, none longer than `size`."""
    for start in range(0, len(items), size):
        yield items[start : start + size]


def options(*values: str) -> list[dict[str, Any]]:
    """Options of a property, each called by its value."""
    return [{"label": v, "value": v, "hidden": False} for v in values]


def make_choice(
    client: hubspot.Client, kind: str, name: str, *values: str, several: bool = False
) -> None:
    """Make a property of companies or contacts that is one of the values, or some."""
    groups = {"companies": "companyinformation", "contacts": "contactinformation"}
    made = PropertyCreate(
        name=name,
        label=name.capitalize(),
        type="enumeration",
        field_type="checkbox" if several else "select",
        group_name=groups[kind],
        options=options(*values),
    )
    client.crm.properties.core_api.create(kind, made)
