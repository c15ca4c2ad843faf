"""When properties of records last changed.

Source: https://developers.hubspot.com/docs/api-reference/latest/crm/using-object-apis
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from connections.connectors.hubspot.api import Api, text
from connections.connectors.hubspot.values import moment
from connections.connectors.parts import chunks, rows
from connections.records import ObjectType

BATCH = 50  # records whose histories one call reads


def changed_at(
    api: Api, obj: ObjectType, ids: Sequence[str], names: Sequence[str]
) -> dict[str, dict[str, datetime]]:
    """Read the time of each property's last change.

    Returns: aware UTC by record id and property; what HubSpot does not tell is absent.
    Raises: ConnectorError.
    """
    found: dict[str, dict[str, datetime]] = {}
    for some in chunks(list(ids), BATCH):
        answer = api.read(
            f"read the history of {obj.name}",
            "POST",
            api.paths.objects(obj.id, "batch", "read"),
            query={"archived": "false"},
            body={
                "properties": [],
                "propertiesWithHistory": list(names),
                "inputs": [{"id": word} for word in some],
            },
        )
        for row in rows(answer.body, "results"):
            histories = row.get("propertiesWithHistory")
            if isinstance(histories, Mapping):
                found[text(row.get("id"))] = dict(_latest(histories))
    return found


def _latest(histories: Mapping[str, Any]) -> Iterator[tuple[str, datetime]]:
    for name, versions in histories.items():
        times = [
            at
            for version in (versions if isinstance(versions, list) else [])
            if isinstance(version, Mapping)
            and (at := moment(version.get("timestamp"))) is not None
        ]
        if times:
            yield name, max(times)
