"""Association types of an account: read and kept."""

from __future__ import annotations

from collections.abc import Sequence

from django.db import transaction

from associations.models import AssociationMapping, AssociationType
from connections import schemas
from connections import services as connection_services
from connections.models import HubSpotAccount
from connections.records import AssociationTypeInfo

Types = Sequence[AssociationTypeInfo]


@transaction.atomic
def save_types(
    account: HubSpotAccount, from_object: str, to_object: str, found: Types
) -> None:
    """Replace what was known of the types from one object type to another."""
    kept = []
    for info in found:
        row, _ = AssociationType.objects.update_or_create(
            account=account,
            from_object=from_object,
            to_object=to_object,
            category=info.category,
            type_id=info.type_id,
            defaults={"label": info.label or ""},
        )
        kept.append(row.pk)
    AssociationType.objects.filter(
        account=account, from_object=from_object, to_object=to_object
    ).exclude(pk__in=kept).delete()


def known_types(account: HubSpotAccount, from_object: str, to_object: str) -> Types:
    """The association types of a pair of objects; asked for where none are stored.

    Raises: ConnectorError.
    """
    rows = AssociationType.objects.filter(
        account=account, from_object=from_object, to_object=to_object
    )
    if stored := list(rows):
        return tuple(row.info for row in stored)
    hubspot = connection_services.open_hubspot(account)
    try:
        found = hubspot.association_types(from_object, to_object)
    finally:
        hubspot.close()
    save_types(account, from_object, to_object, found)
    return found


def refresh_types(account: HubSpotAccount) -> int:
    """Read again the types of every pair of objects that a mapping uses.

    Returns: how many pairs were read.
    Raises: ConnectorError.
    """
    pairs = set()
    schema = schemas.load_schema(account)
    rows = AssociationMapping.objects.filter(sync__app__hubspot=account)
    for near, far in rows.values_list(
        "sync__hubspot_object", "to_sync__hubspot_object"
    ):
        ends = schema.object(near), schema.object(far)
        if ends[0] is not None and ends[1] is not None:
            pairs.add((ends[0].id, ends[1].id))
    hubspot = connection_services.open_hubspot(account)
    try:
        for from_object, to_object in sorted(pairs):
            found = hubspot.association_types(from_object, to_object)
            save_types(account, from_object, to_object, found)
    finally:
        hubspot.close()
    return len(pairs)
