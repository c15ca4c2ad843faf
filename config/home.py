"""The admin's first page: the state of every sync at a glance."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest
from django.urls import reverse

from config.chart import last_days
from connections.admin.base import page_url
from connections.catalogue import meaning_of
from connections.models import ConnectedApp, HubSpotAccount, RateBudget
from syncs import services
from syncs.admin.health import Health, healths, with_runs
from syncs.models import ObjectSync, SyncRun

RUNS = 8
MOST = 1000  # deletions and conflicts counted


def dashboard(request: HttpRequest, context: dict[str, Any]) -> dict[str, Any]:
    """What the first page shows; a handful of indexed queries, whatever was synced.

    Counts of records and links are the totals that each sync's last run left.
    """
    user = request.user
    shown: list[Health] = []
    runs: list[SyncRun] = []
    days: list[dict[str, Any]] = []
    if user.has_perm("syncs.view_objectsync"):
        syncs = ObjectSync.objects.filter(archived_at=None, app__archived_at=None)
        shown = healths(with_runs(syncs.select_related("app")))
    if user.has_perm("syncs.view_syncrun"):
        whole = SyncRun.objects.filter(parent=None)
        runs = list(whole.select_related("app", "started_by")[:RUNS])
        days = last_days()
    context |= {
        "title": "Home",
        "cards": cards(shown),
        "healths": shown,
        "runs": runs,
        "days": days,
        "accounts": _accounts()
        if user.has_perm("connections.view_hubspotaccount")
        else [],
        "decisions": decisions() if user.has_perm("syncs.view_approval") else [],
        "next_step": _next_step(),
    }
    return context


def cards(shown: list[Health]) -> list[dict[str, Any]]:
    """The totals of all syncs, worst news coloured."""
    links = [h.links for h in shown]
    counted: list[tuple[str, int, str]] = [
        ("Records in sync", sum(h.in_sync for h in shown), "in_sync"),
        ("Records failing", sum(h.failing for h in shown), "failing"),
        ("Records excluded", sum(h.excluded for h in shown), "excluded"),
        ("Links in sync", sum(n.get("in_sync", 0) for n in links), "links_in_sync"),
        ("Links pending", sum(n.get("pending", 0) for n in links), "pending"),
        ("Links failing", sum(n.get("failing", 0) for n in links), "links_failing"),
    ]
    return [
        {"label": label, "count": count, "bad": "failing" in name and count > 0}
        for label, count, name in counted
    ]


def decisions() -> list[dict[str, str]]:
    """What waits for a person: in words, with the page where it is decided."""
    url = reverse("admin:syncs_approval_changelist")
    counts = services.counted(MOST)
    said: list[tuple[int, str, str, str]] = [
        (counts["runs"], "run held", "runs held", ""),
        (counts["deletes"], "deletion to confirm", "deletions to confirm", "deletes"),
        (
            counts["conflicts"],
            "conflict to decide",
            "conflicts to decide",
            "conflicts",
        ),
    ]
    return [
        {
            "text": f"{count}{'+' if count >= MOST else ''} {one if count == 1 else many}",
            "url": f"{url}?awaiting={queue}" if queue else url,
        }
        for count, one, many, queue in said
        if count
    ]


def _accounts() -> list[dict[str, Any]]:
    budgets: dict[str, list[RateBudget]] = {}
    for budget in RateBudget.objects.order_by("bucket"):
        budgets.setdefault(budget.key, []).append(budget)
    return [
        {"account": account, "budgets": budgets.get(f"hubspot:{account.pk}", [])}
        for account in HubSpotAccount.objects.filter(archived_at=None).order_by("name")
    ]


def _next_step() -> tuple[str, str, str] | None:
    """What to do while something is missing: a sentence, a button's words, its page."""
    if not HubSpotAccount.objects.filter(archived_at=None).exists():
        return (
            "Nothing is connected yet. Begin with your HubSpot account.",
            "Connect HubSpot",
            reverse("admin:connections_hubspotaccount_add"),
        )
    if step := _unread(HubSpotAccount):
        return step
    if not ConnectedApp.objects.filter(archived_at=None).exists():
        return (
            "HubSpot is connected. Now connect the app that it should be in step with.",
            "Connect an app",
            reverse("admin:connections_connectedapp_add"),
        )
    if step := _unread(ConnectedApp):
        return step
    if not ObjectSync.objects.filter(archived_at=None).exists():
        return (
            "Both systems are connected. Choose the data that should be kept in step.",
            "Set up your sync",
            reverse("admin:syncs_objectsync_add"),
        )
    return None


def _unread(model: type[HubSpotAccount | ConnectedApp]) -> tuple[str, str, str] | None:
    """The step to a connection of which no object is known yet."""
    owner = model._default_manager.filter(archived_at=None, discovered_at=None).first()
    if owner is None:
        return None
    text = f"The objects of {owner} have not been read yet: press Refresh schema."
    if owner.test_code:
        text = f"{owner} is not connected: {meaning_of(owner.test_code)}"
    return text, f"Open {owner}", page_url(owner)
