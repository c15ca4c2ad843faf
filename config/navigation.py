"""The admin's side bar: what is set up, what happens, who may."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.http import HttpRequest
from django.urls import reverse_lazy


def _may_view(app: str, model: str) -> Callable[[HttpRequest], bool]:
    def may(request: HttpRequest) -> bool:
        return any(
            request.user.has_perm(f"{app}.{what}_{model}")
            for what in ("view", "change")
        )

    return may


def _to(title: str, icon: str, app: str, model: str) -> dict[str, Any]:
    return {
        "title": title,
        "icon": icon,
        "link": reverse_lazy(f"admin:{app}_{model}_changelist"),
        "permission": _may_view(app, model),
    }


def _superuser(request: HttpRequest) -> bool:
    return bool(getattr(request.user, "is_superuser", False))


NAVIGATION: list[dict[str, Any]] = [
    {
        "items": [
            {"title": "Home", "icon": "home", "link": reverse_lazy("admin:index")},
        ]
    },
    {
        "title": "Set-up",
        "separator": True,
        "items": [
            _to("HubSpot accounts", "hub", "connections", "hubspotaccount"),
            _to("Connected apps", "apps", "connections", "connectedapp"),
            _to("CRM syncs", "sync_alt", "syncs", "objectsync"),
        ],
    },
    {
        "title": "What happens",
        "separator": True,
        "items": [
            _to("Runs", "play_circle", "syncs", "syncrun"),
            _to("Approvals", "fact_check", "syncs", "approval"),
            _to("Sync log", "list_alt", "syncs", "change"),
            _to("Records", "contacts", "syncs", "recordlink"),
            _to("Links", "link", "associations", "associationlink"),
        ],
    },
    {
        "title": "Discovered",
        "separator": True,
        "collapsible": True,
        "items": [
            _to("Objects", "dataset", "connections", "remoteobject"),
            _to("Association types", "label", "associations", "associationtype"),
        ],
    },
    {
        "title": "Administration",
        "separator": True,
        "collapsible": True,
        "items": [
            _to("Users", "person", "auth", "user"),
            _to("Groups", "group", "auth", "group"),
            *(
                {**_to(title, icon, "django_q", model), "permission": _superuser}
                for title, icon, model in (
                    ("Queued tasks", "pending_actions", "ormq"),
                    ("Tasks done", "task", "success"),
                    ("Tasks failed", "error", "failure"),
                    ("Schedules", "schedule", "schedule"),
                )
            ),
        ],
    },
]
