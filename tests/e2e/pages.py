"""Every page of the admin that people meet, at whatever stands in the database."""

from __future__ import annotations

from typing import Any

from django.db.models import Model, QuerySet
from django.urls import reverse

from associations.models import AssociationLink, AssociationType
from connections.models import ConnectedApp, HubSpotAccount, RemoteObject
from syncs.models import Change, ObjectSync, RecordLink, SyncDraft, SyncRun

LISTS = {
    "accounts": "connections_hubspotaccount",
    "apps": "connections_connectedapp",
    "syncs": "syncs_objectsync",
    "runs": "syncs_syncrun",
    "approvals": "syncs_approval",
    "log": "syncs_change",
    "records": "syncs_recordlink",
    "links": "associations_associationlink",
    "objects": "connections_remoteobject",
    "types": "associations_associationtype",
    "users": "auth_user",
    "groups": "auth_group",
    "queue": "django_q_ormq",
    "tasks-done": "django_q_success",
    "tasks-failed": "django_q_failure",
    "schedules": "django_q_schedule",
}
STEPS = ("select", "configure", "keys", "field", "link", "limit", "review", "discard")
Pages = dict[str, str]


def to(name: str, *args: Any) -> str:
    return reverse(f"admin:{name}", args=args)


def lists() -> Pages:
    """What also an empty installation has."""
    found = {"home": to("index"), "account-new": to("connections_hubspotaccount_add")}
    found["app-new"] = to("connections_connectedapp_add")
    found["ambiguous"] = to("syncs_recordlink_ambiguous")
    return found | {name: to(f"{model}_changelist") for name, model in LISTS.items()}


def pages() -> Pages:
    """By the name to file it under, the address of each page."""
    return {**lists(), **_connections(), **_syncs(), **_runs(), **_records()}


def _last(rows: QuerySet[Any]) -> Any:
    return rows.order_by("-pk").first()


def _page(name: str, row: Model | None) -> Pages:
    """The page of a row, if there is one."""
    if row is None:
        return {}
    opts = row._meta
    return {name: to(f"{opts.app_label}_{opts.model_name}_change", row.pk)}


def _connections() -> Pages:
    app = ConnectedApp.objects.filter(archived_at=None).order_by("pk").first()
    found = _page("account", HubSpotAccount.objects.order_by("pk").first())
    found |= _page("object", RemoteObject.objects.exclude(app=None).first())
    found |= _page("type", AssociationType.objects.first())
    if app is None:
        return found
    found["app-new-postgres"] = to("connections_connectedapp_add") + "?kind=postgres"
    for tab in ("overview", "syncs", "runs"):
        found[f"app-{tab}"] = to(f"connections_connectedapp_{tab}", app.pk)
    found["app-sync-now"] = to("connections_connectedapp_do", app.pk, "sync-now")
    return found | _page("app-settings", app)


def _syncs() -> Pages:
    sync = ObjectSync.objects.filter(name="Contacts", archived_at=None).first()
    found = _page("sync", sync)
    app = sync.app if sync else None
    if app is not None:
        found["flow"] = to("syncs_objectsync_set_up", app.pk)
    draft = _last(SyncDraft.objects.all())
    if draft is None:
        return found
    args = (draft.app_id, draft.pk)
    found |= {f"flow-{step}": to(f"syncs_draft_{step}", *args) for step in STEPS}
    found["flow-filters"] = to("syncs_draft_filters", *args, "hubspot")
    return found


def _runs() -> Pages:
    whole = SyncRun.objects.filter(parent=None)
    wrote = whole.filter(dry_run=False, undo_of=None)
    run = wrote.filter(status__in=("succeeded", "partial")).order_by("pk").first()
    found = _page("run", run)
    if run is not None:
        found |= _page("run-part", run.children.order_by("pk").first())
        found |= {"run-filtered": found["run"] + "?kind=link&q=a#changes"}
        found["run-nothing-fits"] = found["run"] + "?kind=archive&side=app#changes"
    found |= _page("run-preview", _last(whole.filter(dry_run=True, undo_of=None)))
    found |= _page("run-undo", _last(whole.filter(undo_of__isnull=False)))
    for status in ("running", "queued", "held", "failed", "cancelled"):
        found |= _page(f"run-{status}", _last(whole.filter(status=status)))
    if "run-preview" in found:
        pk = found["run-preview"].split("/")[-3]
        found["run-apply"] = to("syncs_syncrun_do", pk, "apply")
    for kind in ("create", "update", "link"):
        found |= _page(f"change-{kind}", Change.objects.filter(kind=kind).first())
    failed = Change.objects.exclude(error_code="").first()
    return found | _page("change-failed", failed)


def _records() -> Pages:
    found: Pages = {}
    for state in ("in_sync", "failing", "excluded"):
        link = RecordLink.objects.filter(state=state, sync__name="Contacts").first()
        link = link or RecordLink.objects.filter(state=state).first()
        found |= _page(f"record-{state.replace('_', '-')}", link)
        if link is not None:
            why = to("syncs_recordlink_why", link.pk)
            found[f"why-{state.replace('_', '-')}"] = why
    alone = RecordLink.objects.filter(app_id=None).first()
    if alone is not None:
        found["pair"] = to("syncs_recordlink_pair", alone.pk)
    found["records-failing"] = (
        to("syncs_recordlink_changelist") + "?state__exact=failing"
    )
    found["records-none"] = to("syncs_recordlink_changelist") + "?q=nobody-has-this"
    for state in ("in_sync", "pending"):
        edge = AssociationLink.objects.filter(state=state).first()
        found |= _page(f"link-{state.replace('_', '-')}", edge)
    return found
