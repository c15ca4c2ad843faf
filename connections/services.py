"""Open, test and discover the systems that are connected."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from typing import cast

from django.conf import settings
from django.utils import timezone

from connections.budgets import SharedBudget
from connections.catalogue import Code
from connections.connectors import registry
from connections.connectors.base import (
    AssociationConnector,
    Budget,
    Connector,
    ConnectorError,
    Context,
    Meter,
    UnlimitedBudget,
)
from connections.connectors.hubspot.paths import Paths
from connections.connectors.kinds import Kind
from connections.models import ConnectedApp, HubSpotAccount
from connections.records import Report, Schema, same_system
from connections.schemas import Owner, save_schema

WINDOW_S = 10  # HubSpot's general and association windows


def _always() -> None:
    return None


def account_budget(account: HubSpotAccount) -> SharedBudget:
    """The account's call budget, shared by every process of this installation."""
    owner: object = account.pk
    if owner is None:  # not stored yet: two that are tried out share nothing
        shown = json.dumps([account.base_url, account.credentials])
        owner = hashlib.sha256(shown.encode()).hexdigest()[:32]
    return SharedBudget(
        f"hubspot:{owner}",
        {
            "general": (WINDOW_S, account.requests_per_10s),
            "associations": (WINDOW_S, account.association_budget),
            "search": (1, account.search_per_second),
        },
    )


def open_hubspot(
    account: HubSpotAccount,
    *,
    meter: Meter | None = None,
    before_write: Callable[[], None] = _always,
) -> AssociationConnector:
    """A connector to a HubSpot account; the caller closes it."""
    context = Context(
        budget=account_budget(account),
        meter=meter or Meter(),
        before_write=before_write,
        allow_private_hosts=settings.ALLOW_PRIVATE_HOSTS,
        timeout_s=settings.HTTP_TIMEOUT,
    )
    opened = registry.build(
        "hubspot",
        {"base_url": account.base_url, "api_version": account.api_version},
        account.credentials,
        context,
    )
    return cast(AssociationConnector, opened)


def knows_labels(account: HubSpotAccount) -> bool:
    """Whether links carry labels under the account's API version."""
    return not Paths.of(account.api_version).version.named_links


def app_budget(app: ConnectedApp) -> Budget:
    """An app's call budget: one for all apps that share what its kind limits."""
    kind = registry.KINDS.get(app.kind)
    if kind is None or kind.per_second is None:
        return UnlimitedBudget()
    pace = app.settings.get("requests_per_second") or kind.per_second
    return SharedBudget(budget_key(app, kind), {"general": (1, float(pace))})


def budget_key(app: ConnectedApp, kind: Kind) -> str:
    """What names the budget of all apps that share what their kind limits."""
    shared = json.dumps([app.settings.get(name) for name in kind.limited])
    digest = hashlib.sha256(shared.encode()).hexdigest()[:32]
    return f"{app.kind}:{digest}"


def open_app(
    app: ConnectedApp,
    *,
    meter: Meter | None = None,
    before_write: Callable[[], None] = _always,
    origin: str = "",
    system: str = "",
) -> Connector:
    """A connector to a connected app; the caller closes it.

    Args: origin, marks what is written through it, for change feeds; system, what the
        ids that will be used belong to ("": any).
    """
    context = Context(
        budget=app_budget(app),
        meter=meter or Meter(),
        before_write=before_write,
        allow_private_hosts=settings.ALLOW_PRIVATE_HOSTS,
        timeout_s=settings.HTTP_TIMEOUT,
        origin=origin,
        system=system,
    )
    return registry.build(app.kind, app.settings, app.credentials, context)


def open_owner(owner: Owner) -> Connector:
    """A connector to either kind of connection."""
    return open_hubspot(owner) if isinstance(owner, HubSpotAccount) else open_app(owner)


@dataclass(frozen=True, slots=True)
class Tested:
    """How a connection test went: `code` is "" where it went well."""

    code: str
    text: str
    remedy: str = ""

    @property
    def ok(self) -> bool:
        return not self.code


def test_connection(owner: Owner) -> Tested:
    """Make the cheapest honest call, and keep what came of it on the connection."""
    try:
        with closing(open_owner(owner)) as connector:
            report = connector.test()
    except ConnectorError as exc:
        tested = Tested(exc.code, exc.message, exc.remedy)
    else:
        tested = _tested(owner, report)
    owner.tested_at = timezone.now()
    owner.test_code, owner.test_text = tested.code, tested.text
    names = ["identity", "system_id", "tested_at", "test_code", "test_text"]
    owner.save(update_fields=names)
    return tested


def _tested(owner: Owner, report: Report) -> Tested:
    """Take a report in, unless it is of another system than the one known so far."""
    if not same_system(owner.system_id, report.system):
        return Tested(
            Code.SCHEMA_CHANGED,
            f"{report.account} is another system than the one connected so far, whose "
            "records' ids mean nothing there.",
            "Give the other system an account or app of its own.",
        )
    owner.identity = report.account[:200]
    owner.system_id = report.system or owner.system_id
    return Tested("", "; ".join((report.account, *report.warnings)))


def refresh_schema(owner: Owner) -> Schema:
    """Discover the system's object types again and keep them.

    Raises: ConnectorError.
    """
    connector = open_owner(owner)
    try:
        schema = connector.discover()
    finally:
        connector.close()
    save_schema(owner, schema)
    owner.discovered_at = timezone.now()
    owner.save(update_fields=["discovered_at"])
    return schema
