"""The association types that objects offer towards others, as people choose them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.db.models import Q

from associations.engine.types import PRIMARIES
from associations.models import AssociationType as StoredType
from associations.services import known_types
from associations.setup.types import choice_of
from connections.connectors.base import ConnectorError
from connections.models import HubSpotAccount
from connections.records import AssociationType, AssociationTypeInfo, ObjectType


def labels_from(
    account: HubSpotAccount, near: ObjectType, fars: Iterable[ObjectType], *, ask: bool
) -> list[tuple[str, Any, str]]:
    """The labels of links from one object to others: what a form sends for each, how a
    set-up file writes it, and how it is shown: with its direction, and what it is called
    seen from the other end.

    Args: ask, whether HubSpot is asked about objects of which nothing is known yet; what
        cannot be asked is left out.
    """
    rows = StoredType.objects.filter(
        Q(from_object=near.id) | Q(to_object=near.id), account=account, gone_at=None
    ).order_by("to_object", "category", "type_id")
    there: dict[str, list[StoredType]] = {}
    back: dict[tuple[str, str, int], str] = {}
    for row in rows:
        if row.from_object == near.id:
            there.setdefault(row.to_object, []).append(row)
        if row.to_object == near.id:
            back[row.from_object, row.category, row.type_id] = row.label
    found = []
    for far in fars:
        infos = [row.info for row in there.get(far.id, ())]
        if ask and not infos:
            infos = _asked(account, near, far)
        inverse = {
            (row.category, row.type_id): back.get(
                (far.id, row.category, row.inverse_id or 0), ""
            )
            for row in there.get(far.id, ())
        }
        for info in infos:
            type_ = AssociationType(info.category, info.type_id)
            if info.label is None or type_ in PRIMARIES:
                continue
            text = f"{info.label} · {near.name} → {far.name}"
            other = inverse.get((info.category, info.type_id), "")
            if other and other != info.label:
                text += f", seen from there: {other}"
            sent = f"{info.category}:{info.type_id}"
            found.append((sent, choice_of(type_, infos), text))
    return found


def _asked(
    account: HubSpotAccount, near: ObjectType, far: ObjectType
) -> list[AssociationTypeInfo]:
    """Raises nothing: the check of the mapping says what is wrong, beside its field."""
    try:
        return list(known_types(account, near.id, far.id))
    except ConnectorError:
        return []
