"""Every page of the admin: who may see it, what it shows, what it costs."""

from __future__ import annotations

import re

import pytest
from django.contrib.auth.models import Permission
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from associations.drafts import edit
from associations.models import AssociationLink, AssociationType
from connections.models import RemoteObject
from syncs.models import Change, ObjectSync, RecordLink, SyncRun
from tests.office import DSN, TOKEN, open_office, past_run, records

pytestmark = [pytest.mark.admin, pytest.mark.django_db]

MOST_QUERIES = 20
LISTS = (
    "connections_hubspotaccount",
    "connections_connectedapp",
    "connections_remoteobject",
    "syncs_objectsync",
    "syncs_syncrun",
    "syncs_change",
    "syncs_recordlink",
    "associations_associationlink",
    "associations_associationtype",
    "auth_user",
    "auth_group",
    "django_q_ormq",
    "django_q_success",
    "django_q_failure",
    "django_q_schedule",
    "axes_accessattempt",
    "axes_accesslog",
    "axes_accessfailurelog",
)


@pytest.fixture
def office(admin_user):
    made = open_office()
    records(made, 120)
    made.run = past_run(made, admin_user)
    for _ in range(12):
        past_run(made, admin_user)
    return made


def pages(office) -> list[str]:
    one = {
        "connections_hubspotaccount": office.account,
        "connections_connectedapp": office.app,
        "connections_remoteobject": RemoteObject.objects.first(),
        "syncs_objectsync": office.contacts,
        "syncs_syncrun": office.run,
        "syncs_change": Change.objects.filter(kind="link").first(),
        "syncs_recordlink": RecordLink.objects.filter(sync=office.contacts).first(),
        "associations_associationlink": AssociationLink.objects.first(),
        "associations_associationtype": AssociationType.objects.first(),
    }
    found = [reverse("admin:index"), *(url_of(name) for name in LISTS)]
    found += [reverse(f"admin:{name}_change", args=[o.pk]) for name, o in one.items()]
    found += [
        reverse("admin:syncs_syncrun_change", args=[child.pk])
        for child in office.run.children.all()
    ]
    found += [
        reverse(f"admin:connections_connectedapp_{tab}", args=[office.app.pk])
        for tab in ("overview", "syncs", "runs")
    ]
    found += [
        reverse("admin:syncs_recordlink_ambiguous"),
        reverse("admin:connections_hubspotaccount_add"),
        reverse("admin:connections_connectedapp_add"),
    ]
    draft = edit(ObjectSync.objects.get(pk=office.contacts.pk), None)
    found.append(reverse("admin:syncs_objectsync_set_up", args=[office.app.pk]))
    found += [
        reverse(f"admin:syncs_draft_{page}", args=[office.app.pk, draft.pk])
        for page in ("select", "configure", "field", "link", "keys", "limit", "review")
    ]
    return found


def url_of(name: str) -> str:
    return reverse(f"admin:{name}_changelist")


def test_the_root_leads_to_the_admin(client):
    assert client.get("/")["Location"] == "/admin/"


def test_every_page_opens_within_its_queries_and_shows_no_credential(
    admin_client, office
):
    over = {}
    for url in pages(office):
        with CaptureQueriesContext(
            connection,
        ) as caught:
            answer = admin_client.get(url)
        assert answer.status_code == 200, url
        text = answer.content.decode()
        for secret in (TOKEN, DSN, "hunter2", TOKEN[:-4]):
            assert secret not in text, url
        if len(caught) > MOST_QUERIES:
            over[url] = len(caught)
    assert over == {}


@pytest.mark.parametrize("name", LISTS)
def test_a_list_costs_no_query_per_row(admin_client, office, name):
    def cost() -> int:
        with CaptureQueriesContext(connection) as caught:
            assert admin_client.get(url_of(name)).status_code == 200
        return len(caught)

    few = cost()
    records_of = {"syncs_recordlink", "associations_associationlink", "syncs_change"}
    if name not in records_of:
        past_run(office, None)
    assert cost() <= few


@pytest.mark.parametrize(
    "name", ["syncs_change", "syncs_recordlink", "associations_associationlink"]
)
def test_a_long_list_is_never_counted(admin_client, office, name):
    with CaptureQueriesContext(connection) as caught:
        admin_client.get(url_of(name))
        admin_client.get(url_of(name) + "?p=2")
    table = name.split("_", 1)[0] + "_"
    counts = [q["sql"] for q in caught if "COUNT(" in q["sql"] and table in q["sql"]]
    assert counts == []


def test_home_gives_the_totals_that_the_last_runs_left(admin_client, office):
    cards = {
        card["label"]: card["count"]
        for card in admin_client.get("/admin/").context["cards"]
    }
    assert cards["Records in sync"] == 34
    assert cards["Records failing"] == 6
    assert cards["Records excluded"] == 4
    assert cards["Links in sync"] == 22
    assert cards["Links pending"] == 12
    assert "4,321" in admin_client.get("/admin/").content.decode()


def test_home_charts_the_runs_and_writes_of_the_last_days(admin_client, office):
    past_run(office, None, dry_run=True)  # a preview writes nothing
    days = admin_client.get("/admin/").context["days"]
    assert len(days) == 7
    # Thirteen runs of two syncs, each with 4 + 5 records made.
    assert (days[-1]["runs"], days[-1]["written"]) == (13, 13 * 2 * 9)
    assert {day["written"] for day in days[:-1]} == {0}


def test_an_empty_home_says_what_to_do_next(admin_client):
    answer = admin_client.get("/admin/")
    assert reverse("admin:connections_hubspotaccount_add") in answer.content.decode()


def test_a_preview_does_not_stand_for_what_is_in_sync(admin_client, admin_user):
    office = open_office()
    past_run(office, admin_user, dry_run=True)
    answer = admin_client.get("/admin/")
    assert {card["count"] for card in answer.context["cards"]} == {0}


def test_records_are_found_by_either_id_and_by_key(admin_client, office):
    url = url_of("syncs_recordlink")
    for term, shown in (
        ("9017", "9017 ↔ 17"),
        ("17", "9017 ↔ 17"),
        ("key42@", "9042 ↔ 42"),
    ):
        text = admin_client.get(url, {"q": term}).content.decode()
        assert shown in text
        assert "9055 ↔ 55" not in text


def test_records_are_filtered_by_state_and_code(admin_client, office):
    url = url_of("syncs_recordlink")
    for query in ({"state__exact": "failing"}, {"code": "MATCH_AMBIGUOUS"}):
        found = admin_client.get(url, query).context["cl"].result_list
        assert found
        assert {link.state for link in found} == {"failing"}


def test_a_record_page_shows_values_beside_baselines_links_and_candidates(
    admin_client, office
):
    link = RecordLink.objects.get(sync=office.companies, app_id="5")
    text = admin_client.get(
        reverse("admin:syncs_recordlink_change", args=[link.pk])
    ).content.decode()
    for shown in ("Firm 5", "Old firm 5", "Firma 5", "MATCH_AMBIGUOUS"):
        assert shown in text
    assert "Correct or merge the duplicates" in text
    candidate = RecordLink.objects.get(sync=office.companies, hubspot_id="9001")
    assert reverse("admin:syncs_recordlink_change", args=[candidate.pk]) in text
    assert "Contacts (firm_id) points here" in text


@pytest.mark.parametrize(
    ("query", "kinds"),
    [
        ({"kind": "create"}, {"create"}),
        ({"side": "app", "kind": "link"}, {"link"}),
        ({"outcome": "failed"}, {"create"}),
        ({"code": "VALUE_INVALID"}, {"create"}),
        ({"q": "ann@"}, {"link"}),
    ],
)
def test_a_run_filters_and_searches_its_changes(admin_client, office, query, kinds):
    url = reverse("admin:syncs_syncrun_change", args=[office.run.pk])
    rows = admin_client.get(url, query).context["changes"].rows
    assert {row.kind for row in rows} == kinds
    assert {row.run.parent_id for row in rows} == {office.run.pk}


def test_a_run_shows_before_and_after_escaped_with_reason_and_rule(
    admin_client, office
):
    url = reverse("admin:syncs_syncrun_change", args=[office.run.pk])
    text = admin_client.get(url).content.decode()
    assert "Maple &amp; &lt;Sons&gt;" in text
    assert "<Sons>" not in text
    for shown in ("Mapel", "name: only HubSpot moved", "one side moved", "Read every"):
        assert shown in text


def test_a_run_looks_again_only_while_it_is_open(admin_client, office):
    url = reverse("admin:syncs_syncrun_change", args=[office.run.pk])
    assert 'hx-trigger="every' not in admin_client.get(url).content.decode()
    SyncRun.objects.filter(pk=office.run.pk).update(status="running")
    text = admin_client.get(url).content.decode()
    assert 'hx-trigger="every 2s"' in text
    assert '<meta http-equiv="refresh"' in text


def test_runs_are_filtered_by_sync_without_their_children(admin_client, office):
    found = admin_client.get(url_of("syncs_syncrun"), {"sync": office.contacts.pk})
    runs = found.context["cl"].result_list
    assert runs
    assert {run.parent_id for run in runs} == {None}


def test_an_app_has_a_page_for_each_tab_with_its_figures(admin_client, office):
    base = f"/admin/connections/connectedapp/{office.app.pk}"
    first = admin_client.get(f"{base}/").content.decode()
    for tab in ("Overview", "CRM syncs", "Runs", "Settings"):
        assert f">{tab}</a>" in first
    assert "Last complete read" in first
    syncs = admin_client.get(f"{base}/syncs/").content.decode()
    assert "Sync more data" in syncs
    assert "people ↔ contacts" in syncs
    for figure in ("17", "11"):
        assert f"{figure}</" in syncs
    assert f"Run {office.run.pk}" in admin_client.get(f"{base}/runs/").content.decode()
    ObjectSync.objects.update(archived_at=office.run.created_at)
    empty = admin_client.get(f"{base}/syncs/").content.decode()
    assert "Set up your sync" in empty
    assert "Sync more data" not in empty


# Who may --------------------------------------------------------------------------------


@pytest.fixture
def viewer_client(client, django_user_model):
    user = django_user_model.objects.create_user("vera", is_staff=True)
    views = Permission.objects.filter(
        content_type__app_label__in=["connections", "syncs", "associations"],
        codename__startswith="view_",
    )
    user.user_permissions.set(views)
    client.force_login(user)
    return client


def test_a_viewer_sees_every_page_of_ours_without_a_button(viewer_client, office):
    for url in pages(office):
        ours = any(f"/{a}/" in url for a in ("connections", "syncs", "associations"))
        answer = viewer_client.get(url)
        changes = url.split("?")[0].endswith("/add/") or "/set-up/" in url
        if (not ours and url != "/admin/") or changes:
            assert answer.status_code == 403, url
        else:
            assert answer.status_code == 200, url
            text = answer.content.decode()
            buttons = set(re.findall(r"/do/(\w+)/", text))
            assert buttons <= {"document"}, url  # it only reads
            assert 'name="secret_' not in text, url
            assert 'name="token"' not in text, url


def test_a_person_without_rights_is_refused(client, django_user_model, office):
    user = django_user_model.objects.create_user("noah", is_staff=True)
    client.force_login(user)
    for url in pages(office):
        expected = 200 if url == "/admin/" else 403
        assert client.get(url).status_code == expected, url
    text = client.get("/admin/").content.decode()
    assert "Companies" not in text
    assert "4,321" not in text


def test_the_task_queue_is_for_superusers_to_look_at_only(
    client, admin_client, django_user_model
):
    user = django_user_model.objects.create_user("olaf", is_staff=True)
    user.user_permissions.set(Permission.objects.all())
    client.force_login(user)
    for name in LISTS:
        if name.startswith("django_q"):
            assert client.get(url_of(name)).status_code == 403, name
    assert admin_client.get(reverse("admin:django_q_schedule_add")).status_code == 403
