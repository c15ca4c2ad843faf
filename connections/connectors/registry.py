"""The kinds of system that can be connected: what each takes, and who opens it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any, cast

from connections.connectors.base import Connector, Context, SetupError


@dataclass(frozen=True, slots=True)
class Key:
    """One key of a kind's settings or credentials; `many` where it holds a list."""

    name: str
    help: str
    default: Any = None
    required: bool = False
    many: bool = False


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of system: its name, its class by dotted path, the keys it takes."""

    name: str
    label: str
    factory: str
    settings: tuple[Key, ...]
    credentials: tuple[Key, ...]


KINDS = {
    kind.name: kind
    for kind in (
        Kind(
            "hubspot",
            "HubSpot",
            "connections.connectors.hubspot.connector.HubSpotConnector",
            (
                Key("base_url", "The API's address.", "https://api.hubapi.com"),
                Key("api_version", "The dated version of the API.", "2026-03"),
            ),
            (Key("token", "A service key or app token.", required=True),),
        ),
        Kind(
            "postgres",
            "PostgreSQL",
            "connections.connectors.postgres.connector.PostgresConnector",
            (
                Key("schema", "The schema that holds the tables.", "public"),
                Key("tables", "The tables to offer; all, if left out.", many=True),
            ),
            (Key("dsn", "The database's URL, as libpq takes it.", required=True),),
        ),
    )
}


def kind_of(name: str) -> Kind:
    """A kind by its name.

    Raises: SetupError for a kind that is not available.
    """
    if name not in KINDS:
        known = ", ".join(KINDS)
        raise SetupError(f"{name!r} is not a kind of system here; known: {known}.")
    return KINDS[name]


def build(
    kind: str,
    settings: Mapping[str, Any],
    credentials: Mapping[str, Any],
    context: Context,
) -> Connector:
    """Open a system; the caller closes it. Nothing is called yet.

    Args: settings and credentials by key, as `Kind` lists them; a missing setting has its
        default.
    Raises: SetupError for an unknown kind, AuthError and SetupError for what the kind
        itself refuses.
    """
    found = kind_of(kind)
    defaults = {k.name: k.default for k in found.settings if k.default is not None}
    given = {name: value for name, value in settings.items() if value is not None}
    module, _, name = found.factory.rpartition(".")
    factory = getattr(import_module(module), name)
    return cast(Connector, factory({**defaults, **given}, credentials, context))
