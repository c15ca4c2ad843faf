"""The kinds of system there are connectors for, and what each wants to be told."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any, cast

from connections.connectors.base import Connector, Context, SetupError
from connections.records import Capabilities


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind: where its connector is, the settings and credentials that it takes, and
    which settings it cannot do without.

    `per_second` is what it may be asked, of everything that has the same `limited`
    settings (None: as much as it answers); the setting `requests_per_second` lowers it.
    `either` names the ways to log in, of which one is enough (none: all credentials).
    """

    path: str
    label: str
    settings: tuple[str, ...] = ()
    credentials: tuple[str, ...] = ()
    required: tuple[str, ...] = ()
    per_second: float | None = None
    limited: tuple[str, ...] = ()
    either: tuple[tuple[str, ...], ...] = ()

    def merged(
        self, stored: Mapping[str, Any], given: Mapping[str, Any]
    ) -> dict[str, Any]:
        """Stored credentials with those given; another way to log in replaces the first."""
        way = next((way for way in self.either if set(way) & given.keys()), None)
        kept = {k: v for k, v in stored.items() if way is None or k in way}
        return {**kept, **given}

    def optional(self, name: str) -> bool:
        """Whether a credential may be left out for another."""
        return any(name in way for way in self.either)


KINDS = {
    "hubspot": Kind(
        "connections.connectors.hubspot.HubSpotConnector",
        "HubSpot",
        ("base_url", "api_version"),
        ("token",),
    ),
    "postgres": Kind(
        "connections.connectors.postgres.PostgresConnector",
        "PostgreSQL",
        ("schema", "tables", "keys", "change_log"),
        ("dsn",),
    ),
    "airtable": Kind(
        "connections.connectors.airtable.AirtableConnector",
        "Airtable",
        ("base_id", "base_url", "change_log", "requests_per_second"),
        ("token",),
        required=("base_id",),
        per_second=5,
        limited=("base_url", "base_id"),
    ),
    "kintone": Kind(
        "connections.connectors.kintone.KintoneConnector",
        "Kintone",
        ("base_url", "app_ids"),
        ("api_tokens", "username", "password"),
        per_second=50,  # Kintone counts calls at once only: 100 of a domain
        limited=("base_url",),
        required=("base_url",),
        either=(("api_tokens",), ("username", "password")),
    ),
}


def capabilities(kind: str) -> Capabilities:
    """What a kind's connector declares. Raises: SetupError for a kind there is not."""
    return cast(Capabilities, _connector(kind).capabilities)


def _connector(kind: str) -> Any:
    known = KINDS.get(kind)
    if known is None:
        raise SetupError(
            f"There is no connector for {kind!r}; known: {', '.join(KINDS)}."
        )
    module, _, name = known.path.rpartition(".")
    return getattr(import_module(module), name)


def build(
    kind: str,
    settings: Mapping[str, Any],
    credentials: Mapping[str, Any],
    context: Context,
) -> Connector:
    """Make a connector; nothing is called yet.

    Raises: SetupError for a kind there is not; AuthError without credentials.
    """
    return cast(Connector, _connector(kind)(settings, credentials, context))
