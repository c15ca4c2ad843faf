"""Association types of an account: read, kept, and followed where HubSpot renames them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from associations.engine.types import inverses, plain_type
from associations.models import AssociationMapping, AssociationType
from associations.setup.types import DEFAULT, PRIMARY, choice_of
from connections import schemas
from connections import services as connection_services
from connections.connectors.base import AssociationConnector
from connections.models import HubSpotAccount
from connections.records import AssociationLimit, AssociationTypeInfo
from connections.records import AssociationType as Type

Types = Sequence[AssociationTypeInfo]
Ends = tuple[str, str]


@transaction.atomic
def save_types(
    account: HubSpotAccount, from_object: str, to_object: str, found: Types
) -> None:
    """Replace what was known of the types from one object type to another.

    One that is listed no more stays, marked: mappings say by it what they miss.
    """
    mine = AssociationType.objects.filter(
        account=account, from_object=from_object, to_object=to_object
    )
    listed = {
        (info.category, info.type_id): AssociationType(
            account=account,
            from_object=from_object,
            to_object=to_object,
            category=info.category,
            type_id=info.type_id,
            label=info.label or "",
        )
        for info in found
    }
    lost = [
        row.pk
        for row in mine.filter(gone_at=None)
        if (row.category, row.type_id) not in listed
    ]
    if lost:
        mine.filter(pk__in=lost).update(gone_at=timezone.now())
    AssociationType.objects.bulk_create(
        listed.values(),
        update_conflicts=True,
        unique_fields=["account", "from_object", "to_object", "category", "type_id"],
        update_fields=["label", "gone_at", "discovered_at"],
    )


@transaction.atomic
def save_limits(
    account: HubSpotAccount, ends: Ends, limits: Iterable[AssociationLimit]
) -> None:
    """Replace what was known of the limits in one direction."""
    mine = AssociationType.objects.filter(
        account=account, from_object=ends[0], to_object=ends[1]
    )
    known = [row.info for row in mine.filter(gone_at=None)]
    plain = plain_type(*ends, known)
    mine.filter(Q(most__isnull=False) | Q(plan_most__isnull=False)).update(
        most=None, plan_most=None
    )
    for limit in limits:
        type_, column = limit.type or plain, "most" if limit.type else "plan_most"
        if type_ is not None:
            row = mine.filter(category=type_.category, type_id=type_.type_id)
            row.update(**{column: limit.most})


def read_pair(
    account: HubSpotAccount, hubspot: AssociationConnector, ends: Ends
) -> None:
    """Read a pair of objects again: its types and limits, each way.

    Raises: ConnectorError.
    """
    both = dict.fromkeys([ends, ends[::-1]])
    types = {way: hubspot.association_types(*way) for way in both}
    limits = {way: hubspot.association_limits(*way) for way in both}
    with transaction.atomic():
        for way in both:
            save_types(account, *way, types[way])
            save_limits(account, way, limits[way])
        save_inverses(account, ends, types[ends], types[ends[::-1]])
        follow_labels(account)


def save_inverses(
    account: HubSpotAccount, ends: Ends, there: Types, back: Types
) -> None:
    """Note the other end's ids as far as both lists tell them."""
    found = inverses(there, back, same=ends[0] == ends[1])
    for one, other in found.items():
        for way, (type_, inverse) in (
            (ends, (one, other)),
            (ends[::-1], (other, one)),
        ):
            rows = AssociationType.objects.filter(
                account=account, from_object=way[0], to_object=way[1]
            )
            rows.filter(category=type_.category, type_id=type_.type_id).exclude(
                inverse_id=inverse.type_id
            ).update(inverse_id=inverse.type_id)


def follow_labels(account: HubSpotAccount) -> None:
    """Let mappings call a label as HubSpot calls it now: they know it by its id."""
    schema = schemas.load_schema(account)
    rows = AssociationMapping.objects.filter(sync__app__hubspot=account)
    for row in rows.select_related("sync", "to_sync"):
        near = schema.object(row.sync.hubspot_object)
        far = schema.object(row.to_sync.hubspot_object)
        words = row.type if isinstance(row.type, list) else [row.type]
        if near is None or far is None or len(words) != len(row.types):
            continue
        known = [
            stored.info
            for stored in AssociationType.objects.filter(
                account=account, from_object=near.id, to_object=far.id, gone_at=None
            )
        ]
        now = [_word(w, t, known) for w, t in zip(words, row.types, strict=True)]
        if now != words:
            type_ = now if isinstance(row.type, list) else now[0]
            AssociationMapping.objects.filter(pk=row.pk).update(type=type_)


def _word(word: object, type_: Type, known: Types) -> object:
    """How a mapping names a type now; ids and words of ours stay."""
    if not isinstance(word, str) or word in ("", PRIMARY, DEFAULT):
        return word
    if not any(
        (i.category, i.type_id) == (type_.category, type_.type_id) for i in known
    ):
        return word  # gone: its last text tells which it was
    text = choice_of(type_, known)
    same = isinstance(text, str) and text.casefold() == word.casefold()
    return word if same else text


def known_types(account: HubSpotAccount, from_object: str, to_object: str) -> Types:
    """The association types of a pair of objects; asked for where none are stored.

    Raises: ConnectorError.
    """
    rows = AssociationType.objects.filter(
        account=account, from_object=from_object, to_object=to_object, gone_at=None
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
            pairs.add(tuple(sorted((ends[0].id, ends[1].id))))
    hubspot = connection_services.open_hubspot(account)
    try:
        for one, other in sorted(pairs):
            read_pair(account, hubspot, (one, other))
    finally:
        hubspot.close()
    return len(pairs)
