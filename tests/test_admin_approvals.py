"""What waits for a person is seen and decided in the admin."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import Permission
from django.contrib.messages import get_messages
from django.urls import reverse
from django_q.models import OrmQ

from syncs.models import Change, RecordLink, SyncRun
from tests.office import open_office, records

pytestmark = [pytest.mark.admin, pytest.mark.django_db]
LIST = "admin:syncs_approval_changelist"


@pytest.fixture
def office():
    made = open_office()
    records(made, 6)
    return made


@pytest.fixture
def held(office):
    """A held run with three changes, and two deletions to confirm."""
    common = {"trigger": "schedule", "status": "held", "app": office.app}
    parent = SyncRun.objects.create(**common)
    text = "The plan would update 3 records (limit 2)."
    child = SyncRun.objects.create(
        parent=parent,
        sync=office.contacts,
        revision=office.contacts.revision,
        held={"update": {"count": 3, "most": 2}},
        error_code="HELD_BY_LIMITS",
        error_text=text,
        **common,
    )
    links = RecordLink.objects.filter(sync=office.contacts)[:5]
    for at, link in enumerate(links):
        limits = at < 3
        Change.objects.create(
            run=child,
            sync=office.contacts,
            link=link,
            side="app",
            kind="update" if limits else "archive",
            record=f"p{at}@example.com",
            outcome="held",
            awaiting="limits" if limits else "deletes",
            before={"first_name": f"Old {at}"},
            after={"first_name": f"New {at}"},
            reason="first_name: HubSpot changed it",
        )
    return child


def said(answer) -> str:
    return " ".join(str(m) for m in get_messages(answer.wsgi_request))


def ids(**where) -> list[int]:
    return list(Change.objects.filter(**where).values_list("pk", flat=True))


def decide(client, name, chosen):
    data = {"action": name, "_selected_action": chosen, "confirmed": "yes"}
    return client.post(reverse(LIST), data)


def test_the_list_shows_why_a_run_is_held_and_each_change_before_and_after(
    admin_client, held
):
    text = admin_client.get(reverse(LIST)).content.decode()
    assert "update 3 records (limit 2)" in text
    for shown in ("Old 2", "New 2", "A deletion to confirm", "HubSpot changed it"):
        assert shown in text
    deletes = admin_client.get(reverse(LIST), {"awaiting": "deletes"}).content.decode()
    assert "p4@example.com" in deletes
    assert "p0@example.com" not in deletes
    plan = admin_client.get(reverse(LIST), {"held": held.parent_id}).content.decode()
    assert "p0@example.com" in plan
    assert "p4@example.com" not in plan


def test_home_leads_to_what_waits_and_says_nothing_where_nothing_does(
    admin_client, office, request
):
    home = reverse("admin:index")
    assert "Waits for a decision" not in admin_client.get(home).content.decode()
    request.getfixturevalue("held")
    text = admin_client.get(home).content.decode()
    assert "1 run held" in text
    assert "2 deletions to confirm" in text


def test_what_was_ticked_is_handed_to_a_run_of_its_own(
    admin_client, admin_user, held, django_capture_on_commit_callbacks
):
    chosen = ids(awaiting="limits")[:2]
    with django_capture_on_commit_callbacks(execute=True):
        answer = decide(admin_client, "approve", chosen)
    run = SyncRun.objects.get(parent=None, approved=True)
    assert answer["Location"] == reverse("admin:syncs_syncrun_change", args=[run.pk])
    assert (run.started_by, run.trigger, run.status) == (admin_user, "admin", "queued")
    assert OrmQ.objects.count() == 1
    assert ids(run__parent=run, outcome="planned") == chosen
    assert len(ids(run=held, outcome="held", awaiting="limits")) == 1
    held.refresh_from_db()
    assert held.held, "what was not chosen goes on waiting"


def test_the_runs_own_buttons_approve_or_drop_the_whole(
    admin_client, held, django_capture_on_commit_callbacks
):
    page = reverse("admin:syncs_syncrun_change", args=[held.parent_id])
    assert "This plan waits for a decision" in admin_client.get(page).content.decode()
    press = reverse("admin:syncs_syncrun_do", args=[held.parent_id, "drop"])
    assert "Nothing of the plan is written" in admin_client.get(press).content.decode()
    asked = admin_client.get(press.replace("drop", "approve")).content.decode()
    assert "<li>Ops: 3 records updated</li>" in asked
    answer = admin_client.post(press)
    assert "Dropped 3 changes" in said(answer)
    assert len(ids(outcome="dropped")) == 3
    assert len(ids(outcome="held", awaiting="deletes")) == 2
    assert "This plan waits" not in admin_client.get(page).content.decode()
    with django_capture_on_commit_callbacks(execute=True):
        admin_client.post(press.replace("drop", "approve"))
    assert not SyncRun.objects.filter(approved=True).exists()


def test_a_queue_and_a_plan_ticked_together_go_their_own_ways(
    admin_client, held, django_capture_on_commit_callbacks
):
    chosen = [ids(awaiting="limits")[0], ids(awaiting="deletes")[0]]
    with django_capture_on_commit_callbacks(execute=True):
        answer = decide(admin_client, "approve", chosen)
    runs = SyncRun.objects.filter(parent=None, approved=True)
    assert len(runs) == 2
    assert all(f"Run {run.pk} is queued" in said(answer) for run in runs)


def test_who_may_only_look_decides_nothing(client, django_user_model, held):
    viewer = django_user_model.objects.create_user("vi", is_staff=True)
    viewer.user_permissions.set(
        Permission.objects.filter(codename__in=["view_approval", "view_syncrun"])
    )
    client.force_login(viewer)
    assert client.get(reverse(LIST)).status_code == 200
    decide(client, "approve", ids(awaiting="limits"))
    press = reverse("admin:syncs_syncrun_do", args=[held.pk, "approve"])
    assert client.post(press).status_code == 403
    assert not SyncRun.objects.filter(approved=True).exists()


def test_a_plan_that_a_newer_run_replaced_is_said_to_be_so(admin_client, held):
    chosen = ids(awaiting="limits")
    SyncRun.objects.filter(pk=held.pk).update(held={})
    answer = decide(admin_client, "approve", chosen)
    assert "a newer run took its place" in said(answer)
    assert not SyncRun.objects.filter(approved=True).exists()


def test_the_list_costs_few_queries_whatever_waits(
    admin_client, held, django_assert_max_num_queries
):
    admin_client.get(reverse(LIST))
    with django_assert_max_num_queries(20):
        admin_client.get(reverse(LIST))
