"""Every path of the API, and what else differs by version: it stands here alone.

Sources: https://developers.hubspot.com/docs/api-reference/latest/overview
and https://developers.hubspot.com/docs/api-reference/legacy/migration-guide
"""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import quote

from connections.connectors.base import SetupError

DEFAULT_VERSION = "2026-03"


@dataclass(frozen=True, slots=True)
class Version:
    """Where each family of endpoints begins under a version, and how links are told.

    `named_links`: association types go by name, without labels, and some reads of links
    show a part only; `caution` is what an administrator who chose it should know.
    """

    objects: str
    associations: str
    properties: str
    schemas: str
    pipelines: str
    owners: str
    limits: str
    account: str
    named_links: bool = False
    caution: str = ""


def _dated(version: str, caution: str = "") -> Version:
    return Version(
        objects=f"/crm/objects/{version}",
        associations=f"/crm/associations/{version}",
        properties=f"/crm/properties/{version}",
        schemas=f"/crm-object-schemas/{version}/schemas",
        pipelines=f"/crm/pipelines/{version}",
        owners=f"/crm/owners/{version}",
        limits=f"/crm/limits/{version}",
        account=f"/account-info/{version}/details",
        caution=caution,
    )


def _legacy(associations: str, caution: str, *, named_links: bool = False) -> Version:
    """v4 has associations only; all else of it is v3."""
    return Version(
        objects="/crm/v3/objects",
        associations=associations,
        properties="/crm/v3/properties",
        schemas="/crm/v3/schemas",
        pipelines="/crm/v3/pipelines",
        owners="/crm/v3/owners",
        limits="/crm/v3/limits",
        account="/account-info/v3/details",
        named_links=named_links,
        caution=caution,
    )


VERSIONS = {
    "2026-03": _dated("2026-03"),
    "v4": _legacy(
        "/crm/v4/associations",
        "API version v4 is not supported by HubSpot after 30 March 2027.",
    ),
    "v3": _legacy(
        "/crm/v3/associations",
        "API version v3 knows no association labels and shows a record's primary company "
        "alone, so that a company link removed in HubSpot is not noticed; HubSpot "
        "supports it until September 2027.",
        named_links=True,
    ),
    "2026-09": _dated(
        "2026-09",
        "API version 2026-09 is experimental: how it answers is known from drafts, and "
        "it refuses writes that break an account's own validation rules.",
    ),
}


@dataclass(frozen=True, slots=True)
class Paths:
    """The paths of one API version. Object types are named by id, such as "0-1"."""

    version: Version

    @classmethod
    def of(cls, name: str) -> Paths:
        """The paths of a version.

        Raises: SetupError for a version that is not available.
        """
        version = VERSIONS.get(name or DEFAULT_VERSION)
        if version is None:
            known = ", ".join(VERSIONS)
            raise SetupError(
                f"HubSpot API version {name!r} is not available; use {known}."
            )
        return cls(version)

    @property
    def schemas(self) -> str:
        return self.version.schemas

    @property
    def owners(self) -> str:
        return self.version.owners

    @property
    def account(self) -> str:
        return self.version.account

    def objects(self, object_type: str, *tail: str) -> str:
        """Such as …/0-1/batch/read."""
        return _join(self.version.objects, object_type, *tail)

    def associations(self, from_object: str, to_object: str, *tail: str) -> str:
        """Such as …/0-1/0-2/batch/create."""
        return _join(self.version.associations, from_object, to_object, *tail)

    def properties(self, object_type: str) -> str:
        return _join(self.version.properties, object_type)

    def pipelines(self, object_type: str) -> str:
        return _join(self.version.pipelines, object_type)

    def limits(self, *tail: str) -> str:
        """Such as …/associations/records/0-1/0-2."""
        return _join(self.version.limits, *tail)


def _join(family: str, *parts: str) -> str:
    return "/".join((family, *(quote(part, safe="") for part in parts)))
