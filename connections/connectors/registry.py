"""The kinds of system there are connectors for, each said once.

A connector is offered in the form and the set-up file by its entry in `KINDS`, and by
nothing else: docs/adding-a-connector.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any, cast

from connections.connectors.base import Connector, Context, SetupError
from connections.connectors.kinds import Credential, Kind, Setting, Shape
from connections.records import Capabilities

HUBSPOT = "hubspot"

KINDS = {
    HUBSPOT: Kind(
        "connections.connectors.hubspot.HubSpotConnector",
        "HubSpot",
        "Objects of an account, and the associations between them.",
        (
            Setting("base_url", "Address", shape=Shape.ADDRESS),
            Setting("api_version", "API version"),
        ),
        (
            Credential(
                "token",
                "Access token",
                "Of a private app (service key) in this account.",
            ),
        ),
    ),
    "postgres": Kind(
        "connections.connectors.postgres.PostgresConnector",
        "PostgreSQL",
        "Tables and views of a database; foreign keys and join tables are links.",
        (
            Setting("schema", "Schema", "Whose tables are offered.", default="public"),
            Setting(
                "tables",
                "Tables",
                "Comma-separated; blank offers every table of the schema.",
                Shape.LIST,
            ),
            Setting(
                "keys",
                "Keys of views",
                "Comma-separated, such as active_people.id: the columns that tell rows "
                "apart.",
                Shape.LIST,
            ),
            Setting(
                "change_log",
                "Change log",
                "The table that triggers note changes in; manage.py change_log prints "
                "its SQL.",
            ),
        ),
        (
            Credential(
                "dsn",
                "Connection URL",
                "postgresql://user:password@host:5432/database",
            ),
        ),
    ),
    "airtable": Kind(
        "connections.connectors.airtable.AirtableConnector",
        "Airtable",
        "Tables of a base; linked records are links.",
        (
            Setting(
                "base_id",
                "Base",
                "Its id, app and fourteen letters, from the base's address.",
                required=True,
            ),
            Setting(
                "base_url",
                "Address",
                "Blank: Airtable's own.",
                Shape.ADDRESS,
                default="https://api.airtable.com",
            ),
            Setting(
                "change_log",
                "Change log",
                "Blank: a webhook's log tells what changed. off: it is not used.",
            ),
            Setting(
                "requests_per_second",
                "Calls per second",
                "Of the 5 that Airtable allows for each base; blank for all of them.",
                Shape.NUMBER,
            ),
            Setting(
                "requests_per_month",
                "Calls per month",
                "That the workspace's plan has: about 1,000 on Free and 100,000 on Team, "
                "for all of its bases together. Airtable refuses more until the month is "
                "over; runs warn from 80 % on. Blank: unlimited, or not known.",
                Shape.NUMBER,
            ),
        ),
        (
            Credential(
                "token",
                "Personal access token",
                "With the scopes data.records:read, data.records:write, "
                "schema.bases:read and webhook:manage, and access to the base; or a "
                "service account's.",
            ),
        ),
        per_second=5,
        limited=("base_url", "base_id"),
        monthly=True,
    ),
    "kintone": Kind(
        "connections.connectors.kintone.KintoneConnector",
        "Kintone",
        "Apps of a domain; lookups and apps that join others are links.",
        (
            Setting(
                "base_url",
                "Address",
                "https://SUBDOMAIN.cybozu.com; of a guest space, with /k/guest/ID after "
                "it.",
                Shape.ADDRESS,
                required=True,
            ),
            Setting(
                "app_ids",
                "App ids",
                "Comma-separated: the apps to offer. API tokens need them; a user may "
                "leave them blank for every app.",
                Shape.LIST,
            ),
            Setting(
                "requests_per_day",
                "Calls per day",
                "That each app has: 10,000 in the Standard course, 100,000 in the Wide "
                "one. Kintone refuses none, but warns its administrators of more; so do "
                "runs, from 80 % on. Blank for 10,000.",
                Shape.NUMBER,
            ),
        ),
        (
            Credential(
                "api_tokens",
                "API tokens",
                "Comma-separated, one for each app, at most 9; or a user name and "
                "password below.",
                many=True,
            ),
            Credential(
                "username", "User name", "A log-in name, in place of API tokens."
            ),
            Credential("password", "Password", "Of that user."),
        ),
        per_day=10_000,
        per_second=50,  # Kintone counts calls at once only: 100 of a domain
        limited=("base_url",),
        either=(("api_tokens",), ("username", "password")),
    ),
}


def app_kinds() -> list[tuple[str, str]]:
    """The kinds of connected app, each with its label."""
    return [(name, kind.label) for name, kind in KINDS.items() if name != HUBSPOT]


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
