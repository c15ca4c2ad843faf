"""Read HubSpot's links of records, also where HubSpot shows only some of them.

API version v3 shows a record's primary company alone. Whatever else both sides had is
taken to stand then: nothing is concluded from what such a list lacks.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from associations.engine.types import ONE_PRIMARY
from associations.models import AssociationLink, AssociationMapping, LinkState
from associations.run.stored import types_of
from connections import schemas
from connections.records import AssociationType, Linked, Side
from syncs.run.session import Session

Ends = tuple[str, str]  # HubSpot ids, from and to
Types = frozenset[AssociationType]
Sent = Mapping[Ends, Types]
NO_TYPES: Types = frozenset()


def read_links(
    session: Session, to_object: str, ids: Sequence[str], sent: Sent | None = None
) -> dict[str, tuple[Linked, ...]]:
    """Read the links of some records to one object type.

    Args: sent, what a pair holds if HubSpot did as it was asked to, which counts more
        than what both sides had where HubSpot does not show the pair.
    Returns: links by record id; one that could not be read is absent.
    Raises: ConnectorError.
    """
    hubspot = session.hubspot
    from_object = session.object_on(Side.HUBSPOT).id
    found = dict(hubspot.associations(from_object, to_object, ids))
    if hubspot.shows_all_links(from_object, to_object):
        return found
    stood = _stood(session, to_object, list(found))
    for (near, far), types in (sent or {}).items():
        stood.setdefault(near, {})[far] = types
    return {i: _completed(links, stood.get(i, {})) for i, links in found.items()}


def _completed(
    shown: Sequence[Linked], stood: Mapping[str, Types]
) -> tuple[Linked, ...]:
    """What is shown, and what stood besides; of primaries, the one that is shown."""
    led = frozenset(t for link in shown for t in link.types if t in ONE_PRIMARY)
    known = {link.to_id for link in shown}
    rest = {far: types - led for far, types in stood.items() if far not in known}
    return (*shown, *(Linked(far, types) for far, types in rest.items() if types))


def _stood(
    session: Session, to_object: str, ids: Sequence[str]
) -> dict[str, dict[str, Types]]:
    """The links that both sides had, by HubSpot's ids."""
    account = session.sync.app.hubspot
    mine = [
        row.pk
        for row in AssociationMapping.objects.filter(sync=session.sync).select_related(
            "to_sync"
        )
        if schemas.load_object(account, row.to_sync.hubspot_object).id == to_object
    ]
    rows = AssociationLink.objects.filter(
        mapping__in=mine,
        link__hubspot_id__in=ids,
        other__hubspot_id__isnull=False,
        state=LinkState.IN_SYNC,
    ).values_list("link__hubspot_id", "other__hubspot_id", "types")
    found: dict[str, dict[str, Types]] = {}
    for near, far, types in rows:
        held = found.setdefault(str(near), {})
        held[str(far)] = held.get(str(far), NO_TYPES) | types_of(types)
    return found
