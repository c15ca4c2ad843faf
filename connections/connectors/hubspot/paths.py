"""Every path of the API: the version stands here and nowhere else.

Source: https://developers.hubspot.com/docs/api-reference/latest/overview
"""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import quote

from connections.connectors.base import SetupError

DEFAULT_VERSION = "2026-03"

# One row per version: where each family of endpoints begins.
_FAMILIES = {
    "2026-03": {
        "objects": "/crm/objects/2026-03",
        "associations": "/crm/associations/2026-03",
        "properties": "/crm/properties/2026-03",
        "schemas": "/crm-object-schemas/2026-03/schemas",
        "pipelines": "/crm/pipelines/2026-03",
        "owners": "/crm/owners/2026-03",
        "account": "/account-info/2026-03/details",
    },
}


@dataclass(frozen=True, slots=True)
class Paths:
    """The paths of one API version. Object types are named by id, such as "0-1"."""

    schemas: str
    owners: str
    account: str
    _objects: str
    _associations: str
    _properties: str
    _pipelines: str

    @classmethod
    def of(cls, version: str) -> Paths:
        """The paths of a version.

        Raises: SetupError for a version that is not available.
        """
        family = _FAMILIES.get(version or DEFAULT_VERSION)
        if family is None:
            known = ", ".join(_FAMILIES)
            raise SetupError(
                f"HubSpot API version {version!r} is not available; use {known}."
            )
        return cls(
            schemas=family["schemas"],
            owners=family["owners"],
            account=family["account"],
            _objects=family["objects"],
            _associations=family["associations"],
            _properties=family["properties"],
            _pipelines=family["pipelines"],
        )

    def objects(self, object_type: str, *tail: str) -> str:
        """Such as …/0-1/batch/read."""
        return _join(self._objects, object_type, *tail)

    def associations(self, from_object: str, to_object: str, *tail: str) -> str:
        """Such as …/0-1/0-2/batch/create."""
        return _join(self._associations, from_object, to_object, *tail)

    def properties(self, object_type: str) -> str:
        return _join(self._properties, object_type)

    def pipelines(self, object_type: str) -> str:
        return _join(self._pipelines, object_type)


def _join(family: str, *parts: str) -> str:
    return "/".join((family, *(quote(part, safe="") for part in parts)))
