"""Association types as people read them."""

from __future__ import annotations

from collections.abc import Iterable

from associations.engine.types import PRIMARIES
from associations.models import AssociationType as StoredType
from connections.records import AssociationType
from syncs.models import ObjectSync


def types_text(sync: ObjectSync, types: Iterable[AssociationType]) -> str:
    """Types by their labels as last read from the account, in their order.

    "Primary" and "default" are HubSpot's own; what is not known is shown by its id.
    """
    types = list(types)
    rows = StoredType.objects.filter(
        account=sync.app.hubspot_id, type_id__in=[t.type_id for t in types]
    )
    labels = {(row.category, row.type_id): row.label for row in rows}
    words = []
    for type_ in types:
        label = labels.get((type_.category, type_.type_id))
        if type_ in PRIMARIES:
            words.append("Primary")
        elif label is None:
            words.append(f"{type_.category} {type_.type_id}")
        else:
            words.append(label or "default")
    return ", ".join(words)
