"""What is typed into the set-up flow: mistakes stand beside their field, and stay there."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission
from django.urls import reverse

from associations.admin.flow import base
from associations.drafts import looking
from associations.models import AssociationLink, AssociationMapping, AssociationType
from associations.setup.exporting import export
from connections.catalogue import Code
from connections.records import TableFault, TableReport
from connections.sandbox.server import SandboxServer
from syncs.models import ObjectSync, SyncDraft, SyncRun
from tests.flow import Flow, edited, formset_data
from tests.office import open_office, records

pytestmark = [pytest.mark.admin, pytest.mark.django_db]


@pytest.fixture
def office(monkeypatch):
    # Nobody answers at the office's addresses: the forecast counts no record.
    monkeypatch.setattr(base, "measure", lambda draft, look: None)
    return open_office()


def saved(flow: Flow) -> ObjectSync:
    """Press Save and sync; the sync as it is stored."""
    answer = flow.client.post(flow.url("review"), {"go": "save"})
    assert answer.status_code == 302
    assert not SyncDraft.objects.filter(pk=flow.draft.pk).exists(), flow.see(
        "review"
    ).context["problems"]
    SyncRun.objects.all().delete()  # nobody runs it here
    return ObjectSync.objects.get(app=flow.app, name=flow.draft.name)


# Beginning, leaving, throwing away ---------------------------------------------------------


def test_a_new_sync_is_begun_with_what_is_usual_and_gone_on_with(admin_client, office):
    flow = Flow(admin_client, office.app)
    set_up = reverse("admin:syncs_objectsync_set_up", args=[office.app.pk])
    text = admin_client.get(set_up).content.decode()
    for offered in ("Companies", "people", "firms", "Data syncs only to Ops"):
        assert offered in text
    wrong = admin_client.post(set_up, {"direction": "to_app", "name": "Companies"})
    assert set(wrong.context["form"].errors) == {"app_object", "hubspot_object", "name"}
    assert 'value="Companies"' in wrong.content.decode()
    draft = flow.begin(
        app_object="firms", hubspot_object="companies", direction="to_app"
    )
    assert draft.tree["name"] == "Companies 2"
    assert {f["hubspot"] for f in draft.tree["fields"]} >= {"name", "domain"}
    assert ObjectSync.objects.count() == 2, "a draft is no sync"
    # It is found again where it was left, after any log-in.
    syncs = reverse("admin:connections_connectedapp_syncs", args=[office.app.pk])
    assert flow.url("configure") in admin_client.get(syncs).content.decode()
    # Another object begins anew.
    answer = flow.send("select", then="configure", app_object="people")
    assert answer.status_code == 302
    assert flow.draft.tree["app_object"] == "people"
    answer = flow.send("review", go="draft")
    assert answer["Location"] == syncs
    assert "What was set up in it is lost" in flow.see("discard").content.decode()
    admin_client.post(flow.url("discard"))
    assert not SyncDraft.objects.exists()


def test_a_saved_sync_is_stored_as_a_file_would_and_who_saved_it_is_kept(
    admin_client, admin_user, office
):
    flow = Flow(admin_client, office.app)
    flow.begin(
        app_object="firms", hubspot_object="companies", name="Firms", direction="to_app"
    )
    flow.send("configure", then="limit", creates="none", conflict="app")
    flow.send("limit", then="review", app_cursor="updated_at", timezone="Europe/Berlin")
    assert flow.see("review").context["again"].sides
    before = export()
    sync = saved(flow)
    assert (sync.enabled, sync.revision, sync.creates) == (True, 1, "none")
    assert list(sync.match_keys.values_list("rank", "hubspot", "normalize")) == [
        (0, "domain", "domain"),
        (1, "name", "casefold"),
    ]
    assert "name: Firms" in export().replace(before, "")
    assert LogEntry.objects.get().user == admin_user
    page = admin_client.get(
        reverse("admin:syncs_objectsync_change", args=[sync.pk])
    ).content.decode()
    assert "are written from companies of HubSpot, never back" in page
    assert "First by domain = domain, compared as domains." in page


def test_an_edit_left_as_it_is_keeps_the_revision(admin_client, office):
    for sync in (office.companies, office.contacts):
        flow = edited(admin_client, sync)
        flow.send("configure", then="limit")
        flow.send("limit", then="review")
        saved(flow)
        sync.refresh_from_db()
        assert sync.revision == 1


def test_an_edit_makes_a_new_revision_but_not_for_its_schedule_or_name(
    admin_client, office
):
    flow = edited(admin_client, office.companies)
    flow.send("select", then="configure", name="Firms")
    flow.send("limit", then="review", every="20m")
    sync = saved(flow)
    assert (sync.pk, sync.name, sync.every_s) == (office.companies.pk, "Firms", 1200)
    assert sync.revision == 1
    flow = edited(admin_client, sync)
    flow.send("configure", then="limit", conflict="app", on=["on-0"])
    assert [f["hubspot"] for f in flow.draft.off] == ["domain"]
    rows = flow.see("configure").context["rows"]
    assert ("domain", False) in [(r["tree"]["hubspot"], r["on"]) for r in rows]
    flow.send("limit", then="review")
    sync = saved(flow)
    assert (sync.revision, sync.conflict) == (2, "app")
    assert [m.hubspot for m in sync.field_mappings.all()] == ["name"]
    # Who changed it is kept with what was changed.
    said = LogEntry.objects.latest("pk").change_message
    assert "revision 2." in said
    assert "conflict: — → app" in said or "conflict: hubspot → app" in said
    assert "fields: {hubspot: domain, app: domain} → —" in said
    assert "name: Companies → Firms" in LogEntry.objects.earliest("pk").change_message


def test_no_way_out_of_configure_loses_what_was_chosen_there(admin_client, office):
    flow = edited(admin_client, office.companies)
    for go in ("field:1", "keys", "link", "field"):
        flow.send("configure", go=go, conflict="app" if go == "keys" else "latest")
        assert flow.draft.tree["conflict"] == ("app" if go == "keys" else "latest"), go
    # The mapping that is edited is the same although one before it was taken off.
    answer = flow.send("configure", go="field:1", on=["on-1"])
    assert answer["Location"] == flow.url("field") + "?at=0"
    assert [f["hubspot"] for f in flow.draft.tree["fields"]] == ["domain"]
    answer = flow.send("configure", go="field:0", on=[])
    assert answer["Location"] == flow.url("configure") + "#fields"


def test_a_switch_asks_whose_values_a_later_field_begins_with(admin_client, office):
    office.companies.field_mappings.filter(hubspot="name").delete()
    flow = edited(admin_client, office.companies)
    page = flow.see("configure")
    rows = {row["tree"]["hubspot"]: row for row in page.context["rows"]}
    later = rows["name"]
    assert (later["on"], rows["domain"]["on"]) == (False, True)
    assert (bool(later["seeds"]), bool(rows["domain"]["seeds"])) == (True, False)
    assert "Whose values name begins with" in page.content.decode()
    chosen: dict[str, Any] = {f"seed-{later['key']}": "app"}
    chosen["on"] = ["on-0", later["key"]]
    flow.send("configure", then="limit", **chosen)
    assert flow.draft.tree["fields"][1]["seed"] == "app"
    # Not asked of a new sync, which has no pairs yet.
    flow = Flow(admin_client, office.app)
    flow.begin(app_object="firms", hubspot_object="companies")
    assert not any(row["seeds"] for row in flow.see("configure").context["rows"])


def test_a_draft_of_what_was_changed_elsewhere_is_not_saved_over_it(
    admin_client, office
):
    flow = edited(admin_client, office.companies)
    ObjectSync.objects.filter(pk=office.companies.pk).update(revision=2)
    answer = admin_client.post(flow.url("review"), {"go": "save"}, follow=True)
    assert "changed elsewhere" in answer.content.decode()
    assert SyncDraft.objects.filter(pk=flow.draft.pk).exists()


def test_only_who_may_set_up_syncs_gets_into_the_flow(
    client, django_user_model, admin_client, office
):
    flow = edited(admin_client, office.companies)
    user = django_user_model.objects.create_user("vera", is_staff=True)
    views = Permission.objects.filter(codename__startswith="view_")
    user.user_permissions.set(views)
    client.force_login(user)
    for page in ("select", "configure", "field", "keys", "limit", "review", "discard"):
        assert client.get(flow.url(page)).status_code == 403, page
    assert client.post(flow.url("review"), {"go": "save"}).status_code == 403
    other = reverse("admin:syncs_objectsync_set_up", args=[office.app.pk + 1])
    assert admin_client.get(other).status_code == 404


# Mistakes ----------------------------------------------------------------------------------


def test_a_mistake_is_named_beside_its_field_and_what_was_typed_stays(
    admin_client, office
):
    flow = edited(admin_client, office.companies)
    for change, where, text in (
        ({"app_cursor": "updated"}, "app_cursor", "valid choice"),
        ({"marker": "name"}, "marker", "valid choice"),
        ({"on_create_app": "nmae = x"}, "on_create_app", "'name'"),
        ({"on_create_app": "name"}, "on_create_app", "name = value"),
        ({"timezone": "Mars/Base"}, "timezone", "valid choice"),
        ({"every": "5"}, "every", "10m"),
        ({"limit_archive": "some"}, "limit_archive", "whole number"),
        ({"deletes": "ask"}, "deletes", "archive: {app:"),
        ({"archive_app": "no_such = 1", "deletes": "ask"}, "archive_app", "no field"),
    ):
        answer = flow.send("limit", **change)
        assert answer.status_code == 200, change
        assert text in " ".join(answer.context["form"].errors[where]), change
        typed = next(iter(change.values()))
        if "choice" not in text:
            assert typed in answer.content.decode()
    assert flow.send("configure", conflict="latest", app="").status_code == 302
    office.companies.refresh_from_db()
    assert office.companies.revision == 1
    answer = flow.send("select", name="Contacts")
    assert answer.context["form"].errors.keys() == {"name"}


def test_a_deletion_may_travel_once_there_is_a_way(admin_client, office):
    flow = edited(admin_client, office.companies)
    flow.send("limit", then="review", deletes="ask", archive_app="industry = gone")
    sync = saved(flow)
    assert (sync.deletes, sync.revision) == ("ask", 2)
    assert sync.archive == {"app": {"field": "industry", "value": "gone"}}


def test_a_mapping_offers_what_its_type_can_sync_with_and_says_what_is_wrong(
    admin_client, office
):
    flow = edited(admin_client, office.companies)
    chooser = flow.see("field").content.decode()
    assert "HubSpot's side then offers" in chooser
    page = flow.see("field", "?app=updated_at")
    offered = dict(page.context["form"].fields["hubspot"].choices)
    assert "createdate" in offered
    assert "read-only" in offered["createdate"]
    # Read-only: one way is left, and it is said why.
    answer = flow.send("field", "?app=updated_at", hubspot="createdate", go="options")
    (way,) = answer.context["form"].fields["direction"].choices
    assert way[0] == "to_app"
    assert "is read-only" in answer.content.decode()
    # Option values side by side.
    page = flow.send("field", "?app=industry", hubspot="industry", go="options")
    assert [f.label for f in page.context["form"].options] == ["SOFTWARE", "RETAIL"]
    flow.send(
        "field",
        "?app=industry",
        then="configure",
        hubspot="industry",
        **{"value-0": "Software", "value-1": "Shops"},
    )
    wrong = flow.send("field", "?at=1", hubspot="name")
    assert "written by two mappings" in str(wrong.context["form"].errors)
    flow.send("limit", then="review")
    sync = saved(flow)
    made = sync.field_mappings.get(app="industry")
    assert made.values == {"SOFTWARE": "Software", "RETAIL": "Shops"}
    flow = edited(admin_client, sync)
    assert "begin" not in flow.see("field", "?at=2").content.decode().lower()
    flow.send("field", "?at=2", go="remove")
    assert [f["app"] for f in flow.draft.off] == ["industry"]


def test_keys_are_chosen_in_order_and_a_half_one_is_named(admin_client, office):
    flow = edited(admin_client, office.companies)
    page = flow.see("keys")
    data = formset_data(page.context["formset"])
    assert data["key-0-hubspot"] == "domain"
    assert data["key-1-key"] == "2", "a blank row is the next key"
    half = admin_client.post(flow.url("keys"), data | {"key-1-app": "name"})
    errors = half.context["formset"].forms[1].errors
    assert "field on each side" in str(errors["hubspot"])
    both = {"key-1-app": "name", "key-1-hubspot": "name"}
    answer = admin_client.post(flow.url("keys"), data | both)
    assert answer["Location"].startswith(flow.url("configure"))
    flow.send("limit", then="review")
    sync = saved(flow)
    assert sync.match_keys.count() == 2
    assert sync.revision == 2
    none = formset_data(page.context["formset"])
    none |= {k: "" for k in none if k.endswith(("-app", "-hubspot"))}
    flow = edited(admin_client, sync)
    empty = admin_client.post(flow.url("keys"), none)
    assert "at least one pair" in empty.content.decode()
    flow.send("configure", then="limit", matching="default")
    assert "match" not in flow.draft.tree


# Association mappings ----------------------------------------------------------------------


def test_an_association_type_is_another_mapping_once_it_is_saved(admin_client, office):
    records(office, 8)
    flow = edited(admin_client, office.contacts)
    flow.send("link", "?at=0", then="configure", type=["default"])
    assert AssociationLink.objects.filter(mapping=office.mapping).exists()
    flow.send("limit", then="review")
    sync = saved(flow)
    mapping = AssociationMapping.objects.get(sync=sync)
    assert (mapping.category, mapping.type_id) == ("HUBSPOT_DEFINED", 279)
    # Its first sync must not take old links for its own.
    assert not AssociationLink.objects.filter(mapping=mapping).exists()
    assert sync.revision == 2


def test_a_type_that_cannot_be_asked_for_is_an_error_beside_it(admin_client, office):
    AssociationType.objects.all().delete()
    flow = edited(admin_client, office.contacts)
    answer = flow.send("link", "?at=0")
    assert "UNAVAILABLE" in str(answer.context["form"].errors["type"])
    review = flow.see("review")
    assert [p["step"] for p in review.context["problems"]] == ["Configure"]
    refused = admin_client.post(flow.url("review"), {"go": "save"}, follow=True)
    assert "UNAVAILABLE" in refused.content.decode()
    assert SyncDraft.objects.exists()


def test_a_label_is_offered_with_its_way_and_made_once_that_is_ticked(
    admin_client, office
):
    AssociationType.objects.all().delete()
    flow = edited(admin_client, office.contacts)
    with SandboxServer() as sandbox:
        office.account.base_url = sandbox.hubspot_url
        office.account.credentials = {"token": sandbox.token}
        office.account.save()
        page = flow.see("link", "?at=0").content.decode()
        assert "contacts → companies" in page
        asked: dict[str, Any] = {"type": ["primary"], "new_label": "Adviser"}
        answer = flow.send("link", "?at=0", **asked)
        assert "tick Make it in HubSpot" in answer.content.decode()
        flow.send("link", "?at=0", then="configure", **asked, make_label="on")
    flow.send("limit", then="review")
    mapping = AssociationMapping.objects.get(sync=saved(flow))
    assert mapping.type == ["primary", "Adviser"]
    made = AssociationType.objects.get(from_object="0-1", label="Adviser")
    assert mapping.also == [["USER_DEFINED", made.type_id]]


def test_a_join_table_is_mapped_with_its_labels_and_its_faults_stand_beside_them(
    admin_client, office, monkeypatch
):
    AssociationType.objects.create(
        account=office.account,
        from_object="0-1",
        to_object="0-2",
        category="USER_DEFINED",
        type_id=31,
        label="Decision maker",
    )
    fault = TableFault("from", "works has no column man.", Code.FIELD_MISSING)
    report = TableReport((fault,))
    monkeypatch.setattr(looking, "_look_at_table", lambda app, table: report)
    flow = edited(admin_client, office.contacts)
    table: dict[str, Any] = {
        "by": "join_table",
        "app_field": "works",
        "join_from": "man",
        "join_to": "firm",
        "join_label": "role",
        "labels": "dm = Decision maker\nboss = USER_DEFINED:31",
        "to": "Companies",
    }
    answer = flow.send("link", **table)
    assert answer.status_code == 200
    assert list(answer.context["form"].errors) == ["join_from"]
    assert 'value="works"' in answer.content.decode()
    report = TableReport()
    flow.send("link", "", "configure", **table)
    flow.send("link", "?at=0", go="remove")
    flow.send("limit", then="review")
    mapping = AssociationMapping.objects.get(sync=saved(flow))
    assert str(mapping) == "works (man, firm, role) → Companies"
    assert [t.type_id for t in mapping.label_types.values()] == [31, 31]
    # Its form sent as it is changes nothing.
    flow = edited(admin_client, office.contacts)
    flow.send("link", "?at=0", then="configure")
    flow.send("limit", then="review")
    assert saved(flow).revision == 2


def test_a_sync_is_turned_off_and_on_without_another_revision(admin_client, office):
    for name, on in (("turn-off", False), ("turn-on", True)):
        url = reverse("admin:syncs_objectsync_do", args=[office.companies.pk, name])
        admin_client.post(url)
        office.companies.refresh_from_db()
        assert (office.companies.enabled, office.companies.revision) == (on, 1)
