"""Runs' pages at work and after, changes as files, empty lists, and what lists offer."""

from __future__ import annotations

import csv
import re
from datetime import UTC, datetime, timedelta

import pytest
import yaml
from django.contrib.auth.models import Permission
from django.urls import reverse

from connections.admin.csv_files import harmless
from connections.models import ConnectedApp
from syncs.admin import exporting
from syncs.models import Change, SyncRun
from tests.office import DSN, TOKEN, open_office, past_run, records

pytestmark = [pytest.mark.admin, pytest.mark.django_db]


@pytest.fixture
def office():
    made = open_office()
    records(made, 4)
    return made


def file_of(client, name, *args, **query) -> list[dict[str, str]]:
    answer = client.get(reverse(f"admin:{name}", args=args), query)
    assert answer.status_code == 200
    assert answer.streaming
    assert answer["Content-Type"] == "text/csv; charset=utf-8"
    assert ".csv" in answer["Content-Disposition"]
    text = answer.getvalue().decode()
    return list(csv.DictReader(text.splitlines()))


def page_of(client, run) -> str:
    url = reverse("admin:syncs_syncrun_change", args=[run.pk])
    return " ".join(client.get(url).content.decode().split())


# Files ----------------------------------------------------------------------------------


def test_a_runs_changes_come_as_a_file_with_before_after_and_reason(
    admin_client, office, monkeypatch
):
    monkeypatch.setattr(exporting, "BATCH", 3)  # several, the last of them not full
    run = past_run(office, None)
    rows = file_of(admin_client, "syncs_syncrun_csv", run.pk)
    assert [int(row["change"]) for row in rows] == list(
        Change.objects.order_by("pk").values_list("pk", flat=True)
    )
    first = rows[0]
    assert (first["field"], first["before"], first["after"]) == (
        "name",
        "Mapel",
        "Maple & <Sons>",
    )
    assert first["reason"] == "name: only HubSpot moved"
    assert (first["hubspot id"], first["app id"]) == ("9000", "0")
    assert first["written to"] == "Ops"
    broken = next(row for row in rows if row["outcome"] == "Failed")
    assert (broken["code"], broken["text"]) == (
        "VALUE_INVALID",
        "The value is refused.",
    )


@pytest.mark.parametrize(
    ("query", "count"),
    [
        ({"kind": "create"}, 2),
        ({"side": "app", "kind": "link"}, 2),
        ({"outcome": "failed", "code": "VALUE_INVALID"}, 2),
        ({"q": "ann@"}, 4),
        ({"q": "nobody"}, 0),
        ({"kind": "create", "page": "2"}, 2),
    ],
)
def test_the_file_holds_what_the_page_is_filtered_to(
    admin_client, office, query, count
):
    run = past_run(office, None)
    assert len(file_of(admin_client, "syncs_syncrun_csv", run.pk, **query)) == count
    page = reverse("admin:syncs_syncrun_change", args=[run.pk])
    shown = admin_client.get(page, query).context["changes"]
    asked = {k: v for k, v in query.items() if k != "page"}
    assert all(
        f"{k}={v.replace('@', '%40')}" in shown.csv_query for k, v in asked.items()
    )


def test_a_part_of_a_run_has_a_file_of_its_own(admin_client, office):
    run = past_run(office, None)
    child = run.children.get(sync=office.contacts)
    of_child = file_of(admin_client, "syncs_syncrun_csv", child.pk)
    of_run = file_of(admin_client, "syncs_syncrun_csv", run.pk, of=child.pk)
    assert of_child == of_run
    assert {row["crm sync"] for row in of_child} == {str(office.contacts)}


def test_the_sync_log_comes_as_a_file_the_newest_first(
    admin_client, office, monkeypatch
):
    monkeypatch.setattr(exporting, "BATCH", 2)
    past_run(office, None)
    rows = file_of(admin_client, "syncs_change_csv", code="VALUE_INVALID")
    assert [row["record"] for row in rows] == ["Broken Ltd"] * 2
    everything = [
        int(row["change"]) for row in file_of(admin_client, "syncs_change_csv")
    ]
    assert everything == sorted(everything, reverse=True)
    assert len(everything) == Change.objects.count()
    listed = admin_client.get(reverse("admin:syncs_change_changelist") + "?side=app")
    assert "export.csv?side=app" in listed.content.decode()


def test_no_value_of_a_file_is_taken_for_a_formula(admin_client, office):
    run = past_run(office, None)
    evil = '=HYPERLINK("http://x.example","Maple")'
    Change.objects.filter(kind="update").update(
        record=evil, after={"+name": "\t@SUM(1)"}
    )
    rows = file_of(admin_client, "syncs_syncrun_csv", run.pk, kind="update")
    for row in rows:
        assert row["record"] == f"'{evil}"
        assert row["field"].startswith("'+") or row["field"] == "name"
    assert "'\t@SUM(1)" in {row["after"] for row in rows}
    for cell in ("=1", "+1", "-1", "@a", "\tx", "\r=1", "\n=1", "  =1", "\uff1d1"):
        assert harmless(cell) == f"'{cell}"


def test_who_may_not_see_changes_gets_no_file(client, django_user_model, office):
    run = past_run(office, None)
    user = django_user_model.objects.create_user("vera", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename="view_syncrun"))
    client.force_login(user)
    for name, args in (("syncs_syncrun_csv", [run.pk]), ("syncs_change_csv", [])):
        assert client.get(reverse(f"admin:{name}", args=args)).status_code == 403
    assert "changes.csv" not in page_of(client, run)


# At work --------------------------------------------------------------------------------


def at_work(office, **how) -> SyncRun:
    """A run whose first part is over and whose second is at work."""
    run = past_run(office, None, status="running", finished_at=None)
    run.children.filter(sync=office.companies).update(status="succeeded")
    run.children.filter(sync=office.contacts).update(**how)
    return run


def test_a_run_at_work_says_how_far_how_fast_and_how_long(admin_client, office):
    ago = datetime.now(UTC) - timedelta(seconds=100)
    run = at_work(
        office,
        phase="writing",
        phase_at=ago,
        phase_from=200,
        progress_done=1700,
        progress_total=5300,
    )
    text = page_of(admin_client, run)
    assert "Contacts: writing records" in text
    assert "1,700 of 5,300 changes" in text
    assert "15 changes a second" in text
    assert "about 4 min for this step" in text
    assert "Records written</dt><dd>18</dd>" in text
    assert "Links written</dt><dd>14</dd>" in text
    assert 'http-equiv="refresh"' in text


def test_a_read_says_what_it_has_read_and_promises_no_end(admin_client, office):
    ago = datetime.now(UTC) - timedelta(seconds=20)
    # Of 61 the first 21 were read in an earlier slice.
    run = at_work(office, phase="reading", phase_at=ago, phase_from=21)
    text = page_of(admin_client, run)
    assert "Contacts: reading both sides" in text
    assert "61 records<" in text
    assert "2.0 records a second" in text
    assert "Time left</dt><dd>not known yet" in text


def test_a_step_that_has_just_begun_names_no_rate(admin_client, office):
    run = at_work(
        office,
        phase="planning",
        phase_at=datetime.now(UTC),
        progress_done=1,
        progress_total=9,
    )
    assert "Rate</dt><dd>not known yet" in page_of(admin_client, run)


def test_a_run_that_nobody_takes_up_says_so(admin_client, office):
    run = past_run(office, None, status="queued", finished_at=None, started_at=None)
    SyncRun.objects.filter(pk=run.pk).update(queued_at=datetime.now(UTC))
    assert "No task cluster" not in page_of(admin_client, run)
    ago = datetime.now(UTC) - timedelta(minutes=3)
    SyncRun.objects.filter(pk=run.pk).update(queued_at=ago)
    text = page_of(admin_client, run)
    assert "No task cluster has taken it up for 3" in text
    assert "manage.py qcluster" in text


def test_a_run_that_is_over_neither_refreshes_nor_promises(admin_client, office):
    text = page_of(admin_client, past_run(office, None))
    for word in ("http-equiv", "Time left", "looks again"):
        assert word not in text
    assert "Comparing both sides" not in text
    for phase, share in (("Reading both sides", "33 %"), ("Writing", "67 %")):
        assert f"<td>{phase}</td>" in text
        assert share in text


@pytest.mark.parametrize(
    ("status", "said"),
    [
        ("partial", "Some records or links fail"),
        ("held", "It stopped before it wrote, and waits for a decision"),
        ("failed", "It could not go on"),
        ("cancelled", "It was stopped"),
    ],
)
def test_a_status_is_said_in_a_sentence(admin_client, office, status, said):
    run = past_run(office, None, status=status)
    if status == "held":
        why = {"update": {"count": 3, "most": 1}}
        run.children.filter(sync=office.contacts).update(held=why)
    assert said in page_of(admin_client, run)
    run.children.update(held={})
    decided = "decided, or made anew by a later run" in page_of(admin_client, run)
    assert decided == (status == "held")


def test_counts_lead_to_the_records_they_count(admin_client, office):
    text = page_of(admin_client, past_run(office, None))
    url = reverse("admin:syncs_recordlink_changelist")
    assert f"{url}?sync={office.contacts.pk}&amp;state__exact=failing" in text


# Lists without rows, and what can be done on them -------------------------------------------

EMPTY = {
    "connections_hubspotaccount": "Connect HubSpot",
    "connections_connectedapp": "Connect an app",
    "connections_remoteobject": "Connected apps",
    "syncs_objectsync": "Set up your sync",
    "syncs_syncrun": "Connected apps",
    "syncs_change": "Connected apps",
    "syncs_approval": "",
    "syncs_recordlink": "CRM syncs",
    "associations_associationlink": "CRM syncs",
    "associations_associationtype": "HubSpot accounts",
}


def test_a_list_without_rows_says_what_to_do_next(admin_client, django_user_model):
    for name, label in EMPTY.items():
        text = admin_client.get(reverse(f"admin:{name}_changelist")).content.decode()
        assert "cl-empty" in text, name
        assert not label or f">{label}</a></div>" in text, name
        assert "Nothing fits" not in text, name


def test_a_list_that_is_filtered_to_nothing_offers_to_show_all(admin_client, office):
    past_run(office, None)
    for name, query in (
        ("syncs_syncrun", "?status__exact=cancelled"),
        ("syncs_change", "?q=nobody"),
        ("syncs_recordlink", "?state__exact=uncertain"),
    ):
        url = reverse(f"admin:{name}_changelist") + query
        text = admin_client.get(url).content.decode()
        assert "Nothing fits" in text, name
        assert '<a class="cl-button" href="?">' in text, name


def test_who_may_not_add_is_not_sent_to_where_one_adds(client, django_user_model):
    user = django_user_model.objects.create_user("vera", is_staff=True)
    views = Permission.objects.filter(codename__startswith="view_")
    user.user_permissions.set(views)
    client.force_login(user)
    for name in ("connections_connectedapp", "syncs_objectsync"):
        text = client.get(reverse(f"admin:{name}_changelist")).content.decode()
        assert "cl-empty" in text, name
        assert "/add/" not in text, name


ACTIONS = {
    "syncs_objectsync": {
        "Sync now",
        "Preview",
        "Test with a few records",
        "Full resync",
        "Pause",
        "Resume",
        "Resync failing",
    },
    "connections_connectedapp": {
        "Sync now",
        "Preview",
        "Test with a few records",
        "Full resync",
        "Pause",
        "Resume",
        "Resync failing",
        "Test connection",
        "Refresh schema",
        "Export set-up (YAML)",
        "Export document",
    },
    "connections_hubspotaccount": {"Test connection", "Refresh schema"},
    "syncs_syncrun": {"Approve held", "Drop", "Cancel run", "Undo run"},
}


def test_the_lists_offer_what_can_be_done_with_many(admin_client, office):
    past_run(office, None)
    for name, wanted in ACTIONS.items():
        text = admin_client.get(reverse(f"admin:{name}_changelist")).content.decode()
        offered = set(re.findall(r"<option value=\"[\w-]+\">([^<]+)</option>", text))
        assert wanted <= offered, name


def test_a_test_with_a_few_records_asks_and_writes_so_many_at_most(
    admin_client, office, django_capture_on_commit_callbacks
):
    args = [office.companies.pk, "test-few"]
    url = reverse("admin:syncs_objectsync_do", args=args)
    assert "At most 5 records of each sync" in admin_client.get(url).content.decode()
    assert not SyncRun.objects.exists()
    with django_capture_on_commit_callbacks(execute=True):
        admin_client.post(url)
    run = SyncRun.objects.get(parent=None)
    assert (run.limit, run.dry_run, run.full) == (5, False, False)
    assert [child.limit for child in run.children.all()] == [5]


def test_the_set_up_of_the_apps_that_were_ticked_is_exported(admin_client, office):
    ConnectedApp.objects.create(name="Other", kind="postgres", hubspot=office.account)
    url = reverse("admin:connections_connectedapp_changelist")
    data = {"action": "export", "_selected_action": [office.app.pk]}
    answer = admin_client.post(url, data, follow=True)
    assert answer["Content-Disposition"] == 'attachment; filename="crosslink.yaml"'
    text = answer.content.decode()
    tree = yaml.safe_load(text)
    assert [app["name"] for app in tree["apps"]] == ["Ops"]
    assert [account["name"] for account in tree["hubspot"]] == ["Acme"]
    for secret in (TOKEN, DSN):
        assert secret not in text
    both = [office.app.pk, ConnectedApp.objects.get(name="Other").pk]
    answer = admin_client.post(url, {**data, "_selected_action": both}, follow=True)
    tree = yaml.safe_load(answer.content)
    assert [app["name"] for app in tree["apps"]] == ["Ops", "Other"]
    assert len(tree["hubspot"]) == 1
    assert "next app's credentials are stored here" in answer.content.decode()
    nobody = reverse("admin:connections_connectedapp_export")
    assert admin_client.get(nobody + "?app=999").status_code == 404
