"""What the admin's buttons do: each queues its work and answers at once."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission
from django.contrib.messages import get_messages
from django.urls import reverse
from django_q.models import OrmQ

from associations import tasks as association_tasks
from connections import tasks
from connections.admin.base import page_url
from connections.catalogue import meaning_of
from connections.models import RemoteObject
from connections.sandbox.server import SandboxServer
from syncs.models import ObjectSync, SyncRun
from tests.office import open_office, past_run

pytestmark = [pytest.mark.admin, pytest.mark.django_db]


@pytest.fixture
def office():
    return open_office()


def press(client, obj, name, **more):
    opts = obj._meta
    url = reverse(f"admin:{opts.app_label}_{opts.model_name}_do", args=[obj.pk, name])
    return client.post(url, more)


def said(answer) -> str:
    return " ".join(str(m) for m in get_messages(answer.wsgi_request))


def queued() -> list[tuple[str, tuple[Any, ...]]]:
    return [(row.task["func"], row.task["args"]) for row in OrmQ.objects.order_by("pk")]


@pytest.mark.parametrize(
    ("name", "dry_run", "full"),
    [
        ("sync-now", False, False),
        ("preview", True, False),
        ("full-resync", False, True),
    ],
)
def test_an_apps_button_queues_one_run_of_all_its_syncs_that_are_on(
    admin_client,
    admin_user,
    office,
    django_capture_on_commit_callbacks,
    name,
    dry_run,
    full,
):
    ObjectSync.objects.create(
        app=office.app,
        name="Off",
        hubspot_object="companies",
        app_object="firms",
        enabled=False,
    )
    with django_capture_on_commit_callbacks(execute=True):
        answer = press(admin_client, office.app, name)
    run = SyncRun.objects.get(parent=None)
    assert answer["Location"] == reverse("admin:syncs_syncrun_change", args=[run.pk])
    assert queued() == [("syncs.tasks.run_sync", (run.pk,))]
    assert (run.dry_run, run.full, run.status) == (dry_run, full, "queued")
    assert (run.started_by, run.trigger) == (admin_user, "admin")
    syncs = set(run.children.values_list("sync", flat=True))
    assert syncs == {office.companies.pk, office.contacts.pk}


def test_looking_at_a_button_asks_and_starts_nothing(admin_client, office):
    url = reverse("admin:connections_connectedapp_do", args=[office.app.pk, "sync-now"])
    text = admin_client.get(url).content.decode()
    assert "Records and links are written" in text
    assert SyncRun.objects.count() == 0


def test_a_list_action_that_writes_asks_first(
    admin_client, office, django_capture_on_commit_callbacks
):
    url = reverse("admin:syncs_objectsync_changelist")
    data = {"action": "sync-now", "_selected_action": [office.companies.pk]}
    answer = admin_client.post(url, data)
    assert "Records and links are written" in answer.content.decode()
    assert OrmQ.objects.count() == 0
    with django_capture_on_commit_callbacks(execute=True):
        answer = admin_client.post(url, {**data, "confirmed": "yes"})
    run = SyncRun.objects.get(parent=None)
    assert answer["Location"] == reverse("admin:syncs_syncrun_change", args=[run.pk])
    assert [child.sync for child in run.children.all()] == [office.companies]
    assert OrmQ.objects.count() == 1


def test_a_busy_sync_is_left_alone_and_said_so(
    admin_client, office, django_capture_on_commit_callbacks
):
    with django_capture_on_commit_callbacks(execute=True):
        press(admin_client, office.companies, "sync-now")
        answer = press(admin_client, office.companies, "sync-now")
    assert SyncRun.objects.filter(parent=None).count() == 1
    assert OrmQ.objects.count() == 1
    assert meaning_of("RUN_OPEN") in said(answer)


def test_one_busy_sync_of_an_app_does_not_hold_up_the_other(
    admin_client, office, django_capture_on_commit_callbacks
):
    with django_capture_on_commit_callbacks(execute=True):
        press(admin_client, office.companies, "sync-now")
        press(admin_client, office.app, "sync-now")
    last = SyncRun.objects.filter(parent=None).latest("pk")
    assert [child.sync for child in last.children.all()] == [office.contacts]


def test_pause_and_resume_change_places(admin_client, office):
    for obj in (office.companies, office.app):
        press(admin_client, obj, "pause")
        obj.refresh_from_db()
        assert obj.paused
        text = admin_client.get(page_url(obj)).content.decode()
        assert "/do/resume/" in text
        assert "/do/pause/" not in text
        press(admin_client, obj, "resume")
        press(admin_client, obj, "resume")
        obj.refresh_from_db()
        assert not obj.paused
        # Who did it is kept; what moved nothing is not.
        of_it = LogEntry.objects.filter(object_id=obj.pk).order_by("pk")
        said = of_it.values_list("change_message", "user__username", "object_repr")
        assert [entry for entry in said if entry[2] == str(obj)] == [
            ("paused: false → true", "admin", str(obj)),
            ("paused: true → false", "admin", str(obj)),
        ]


def test_a_plan_is_applied_once_from_its_preview(
    admin_client, admin_user, office, django_capture_on_commit_callbacks
):
    plan = past_run(office, admin_user, dry_run=True)
    page = reverse("admin:syncs_syncrun_change", args=[plan.pk])
    assert "Apply this plan" in admin_client.get(page).content.decode()
    url = reverse("admin:syncs_syncrun_do", args=[plan.pk, "apply"])
    asked = admin_client.get(url).content.decode()
    assert "<li>HubSpot: 2 links added</li>" in asked
    assert "<li>Ops: 2 records updated, 2 links added</li>" in asked
    with django_capture_on_commit_callbacks(execute=True):
        press(admin_client, plan, "apply")
    run = SyncRun.objects.get(plan=plan)
    assert queued() == [("syncs.tasks.run_sync", (run.pk,))]
    assert not run.dry_run
    assert "Apply this plan" not in admin_client.get(page).content.decode()


def test_a_plan_made_before_the_set_up_changed_cannot_be_applied(
    admin_client, admin_user, office
):
    plan = past_run(office, admin_user, dry_run=True)
    ObjectSync.objects.filter(pk=office.companies.pk).update(revision=9)
    press(admin_client, plan, "apply")
    assert not SyncRun.objects.filter(plan=plan).exists()


def test_an_open_run_can_be_cancelled(
    admin_client, office, django_capture_on_commit_callbacks
):
    with django_capture_on_commit_callbacks(execute=True):
        press(admin_client, office.companies, "sync-now")
    run = SyncRun.objects.get(parent=None)
    press(admin_client, run, "cancel")
    run.refresh_from_db()
    assert run.cancel_requested
    assert [c.status for c in run.children.all()] == ["cancelled"]


def test_who_may_only_look_presses_nothing(client, django_user_model, office):
    user = django_user_model.objects.create_user("vera", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__startswith="view_"))
    client.force_login(user)
    run = past_run(office, None, status="running")
    for obj, name in (
        (office.app, "sync-now"),
        (office.app, "test-connection"),
        (office.account, "refresh-schema"),
        (office.companies, "pause"),
        (run, "cancel"),
    ):
        assert press(client, obj, name).status_code == 403, name
    url = reverse("admin:syncs_objectsync_changelist")
    client.post(
        url,
        {
            "action": "sync-now",
            "_selected_action": [office.companies.pk],
            "confirmed": "yes",
        },
    )
    assert OrmQ.objects.count() == 0
    assert SyncRun.objects.filter(pk__gt=run.pk, parent=None).count() == 0


# Connections ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "task"),
    [
        ("test-connection", "connections.tasks.test_connection"),
        ("refresh-schema", "associations.tasks.refresh_schema"),
    ],
)
def test_a_connections_button_queues_one_task_and_its_page_waits(
    admin_client, office, django_capture_on_commit_callbacks, name, task
):
    for kind, owner in (("account", office.account), ("app", office.app)):
        OrmQ.objects.all().delete()
        with django_capture_on_commit_callbacks(execute=True):
            answer = press(admin_client, owner, name)
        assert queued() == [(task, (kind, owner.pk))]
        text = admin_client.get(answer["Location"]).content.decode()
        assert 'hx-trigger="every 2s"' in text


def test_what_a_failed_test_means_and_needs_stands_on_the_page(admin_client, office):
    assert tasks.test_connection("account", office.account.pk) == "UNAVAILABLE"
    page = reverse("admin:connections_hubspotaccount_change", args=[office.account.pk])
    text = admin_client.get(page).content.decode()
    for shown in ("UNAVAILABLE", "could not be reached", "Check the address"):
        assert shown in text


def test_a_refreshed_schema_brings_objects_and_the_types_in_use(office):
    with SandboxServer() as sandbox:
        office.account.base_url = sandbox.hubspot_url
        office.account.credentials = {"token": sandbox.token}
        office.account.save()
        RemoteObject.objects.filter(account=office.account).update(label="old")
        done = association_tasks.refresh_schema("account", office.account.pk)
    assert done == "ok"
    office.account.refresh_from_db()
    assert office.account.test_code == ""
    labels = RemoteObject.objects.filter(account=office.account)
    assert "old" not in labels.values_list("label", flat=True)
    types = office.account.association_types.filter(from_object="0-1", to_object="0-2")
    assert {1, 279} <= set(types.values_list("type_id", flat=True))


def test_a_refused_token_is_the_outcome_of_a_refresh(office):
    with SandboxServer() as sandbox:
        office.account.base_url = sandbox.hubspot_url
        office.account.credentials = {"token": "wrong"}
        office.account.save()
        done = association_tasks.refresh_schema("account", office.account.pk)
    assert done == "CREDENTIALS_REFUSED"
    assert RemoteObject.objects.filter(account=office.account).exists()
