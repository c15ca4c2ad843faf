"""Association types of an account: read, kept, and found for a mapping."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from django.db import transaction

from associations.engine.types import plain_type, primary_type
from associations.models import AssociationMapping, AssociationType
from connections import schemas
from connections import services as connection_services
from connections.catalogue import Code
from connections.connectors.base import SchemaError
from connections.models import HubSpotAccount
from connections.records import AssociationType as Type
from connections.records import AssociationTypeInfo

PRIMARY, DEFAULT = "primary", "default"
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


def find_type(
    chosen: str | Mapping[str, Any],
    from_object: str,
    to_object: str,
    known: Types,
    *,
    many: bool,
) -> Type:
    """The association type that a mapping means.

    Args: chosen, "primary", "default", {"category", "id"}, or "" for primary where the
        pair of objects has one and the field holds one record, else default; both
        objects by type id; known, what the account lists.
    Raises: SchemaError (TYPE_UNKNOWN) with a sentence that says what there is instead.
    """
    listed = {Type(i.category, i.type_id) for i in known}
    primary = primary_type(from_object, to_object)
    plain = plain_type(from_object, to_object, known)
    if chosen == "":
        chosen = PRIMARY if primary in listed and not many else DEFAULT
    if chosen == PRIMARY:
        if primary is None or primary not in listed:
            raise _unknown(
                f"HubSpot has no primary link from {from_object} to {to_object}; use default."
            )
        return primary
    if chosen == DEFAULT:
        if plain is None:
            raise _unknown(
                f"HubSpot offers no links from {from_object} to {to_object}."
            )
        return plain
    assert not isinstance(chosen, str), "read by the set-up file's parser"
    asked = Type(str(chosen["category"]), int(chosen["id"]))
    if asked not in listed:
        raise _unknown(
            f"HubSpot lists no association type {asked.category} {asked.type_id} from "
            f"{from_object} to {to_object}."
        )
    if asked not in (primary, plain):
        raise _unknown(
            "Links with a label are not available yet; use primary or default."
        )
    return asked


def _unknown(text: str) -> SchemaError:
    return SchemaError(text, code=Code.TYPE_UNKNOWN)
