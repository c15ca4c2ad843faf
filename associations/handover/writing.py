"""Gather the hand-over document and write it as Markdown or as one HTML page."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence

from django.template.loader import render_to_string
from django.utils import timezone

from associations.handover import exceptions, syncs
from associations.handover.parts import Section, as_markdown
from connections.models import ConnectedApp, Connection, HubSpotAccount
from connections.redaction import redact

FORMATS = ("md", "html")


def document(app_names: Sequence[str] = (), *, form: str = "md") -> str:
    """What is set up, for whoever takes it over; it holds no credential.

    Args: app_names, only these connected apps and their accounts; form, one of FORMATS.
    Raises: LookupError for an app there is not.
    """
    apps = ConnectedApp.objects.filter(archived_at=None).order_by("name")
    if app_names:
        apps = apps.filter(name__in=app_names)
        missing = set(app_names) - set(apps.values_list("name", flat=True))
        if missing:
            raise LookupError(min(missing))
    found = list(_sections(list(apps.select_related("hubspot")), bool(app_names)))
    if form == "md":
        return as_markdown(found)
    text: str = render_to_string("crosslink/document.html", {"sections": found})
    return text


def _sections(apps: Sequence[ConnectedApp], some: bool) -> Iterator[Section]:
    names = ", ".join(app.name for app in apps)
    title = Section(f"Crosslink: {names}" if names else "Crosslink", 1)
    title.text(
        "What is kept in step between HubSpot and the connected apps, by which rules, and "
        f"what is known not to be. Written on {timezone.now():%Y-%m-%d at %H:%M} UTC. It "
        "holds no credentials."
    )
    if not apps:
        title.text("No app is connected.")
    yield title
    yield _accounts(apps, some)
    yield _apps(apps)
    for app in apps:
        kind = app.get_kind_display()
        yield Section(f"{app.name}: {kind} and HubSpot {app.hubspot.name}", 2)
        rows = app.syncs.filter(archived_at=None).order_by("position", "pk")
        for sync in rows.select_related("app__hubspot"):
            yield from syncs.sections(sync)
            yield exceptions.section(sync)


def _accounts(apps: Sequence[ConnectedApp], some: bool) -> Section:
    found = Section("HubSpot accounts", 2)
    rows = HubSpotAccount.objects.filter(archived_at=None).order_by("name")
    if some:
        rows = rows.filter(apps__in=apps).distinct()
    found.table(
        ("Account", "Portal", "API", "Address", "Calls", "Credentials"),
        [
            (
                one.name,
                one.identity,
                one.get_api_version_display(),
                redact(one.base_url),
                f"{one.requests_per_10s:g} in 10 s, of links "
                f"{one.association_budget:g}, searches {one.search_per_second:g} a second",
                _credentials(one),
            )
            for one in rows
        ],
    )
    return found


def _apps(apps: Sequence[ConnectedApp]) -> Section:
    found = Section("Connected apps", 2)
    found.table(
        ("App", "Kind", "HubSpot account", "Connected to", "Settings", "Credentials"),
        [
            (
                app.name,
                app.get_kind_display(),
                app.hubspot.name,
                app.identity,
                redact(_settings(app)),
                _credentials(app),
            )
            for app in apps
        ],
    )
    return found


def _settings(app: ConnectedApp) -> str:
    return ", ".join(
        f"{name}: {value if isinstance(value, str) else json.dumps(value)}"
        for name, value in app.settings.items()
    )


def _credentials(owner: Connection) -> str:
    """Where they come from: never what they are."""
    named = ", ".join(f"{k} from {v}" for k, v in owner.credential_env.items())
    return named or "stored here, sealed"
