"""The association types that a pair of objects offers, as people choose them."""

from __future__ import annotations

from typing import Any

from associations.engine.types import PRIMARIES
from associations.models import AssociationType as StoredType
from associations.services import known_types
from associations.setup.types import choice_of
from connections.models import HubSpotAccount
from connections.records import AssociationType, ObjectType


def labels_between(
    account: HubSpotAccount, near: ObjectType, far: ObjectType
) -> list[tuple[str, Any, str]]:
    """The labels of links from one object to another: what a form sends for each, how a
    set-up file writes it, and how it is shown: with its direction and its other end's.

    Raises: ConnectorError.
    """
    infos = known_types(account, near.id, far.id)
    inverse = _inverses(account, near, far)
    found = []
    for info in infos:
        type_ = AssociationType(info.category, info.type_id)
        if info.label is None or type_ in PRIMARIES:
            continue
        sent = f"{info.category}:{info.type_id}"
        text = f"{info.label} · {near.name} → {far.name}"
        other = inverse.get(sent, "")
        if other and other != info.label:
            text += f", seen from there: {other}"
        found.append((sent, choice_of(type_, infos), text))
    return found


def _inverses(
    account: HubSpotAccount, near: ObjectType, far: ObjectType
) -> dict[str, str]:
    """What each label is called from the other end, where that is known."""
    rows = StoredType.objects.filter(account=account, gone_at=None)
    back = {
        (row.category, row.type_id): row.label
        for row in rows.filter(from_object=far.id, to_object=near.id)
    }
    there = rows.filter(from_object=near.id, to_object=far.id, inverse_id__isnull=False)
    return {
        f"{row.category}:{row.type_id}": back.get(
            (row.category, row.inverse_id or 0), ""
        )
        for row in there
    }
