"""Pairing, untying, keeping apart, trying again and choosing values in the admin."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from django.contrib.auth.models import Permission
from django.contrib.messages import get_messages
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from associations.models import AssociationLink
from syncs.models import Change, RecordKey, RecordLink, SyncRun
from syncs.run.lease import Lease
from tests.office import open_office

pytestmark = [pytest.mark.admin, pytest.mark.django_db]
AMBIGUOUS = "admin:syncs_recordlink_ambiguous"
SAME = "same@example.com"


@pytest.fixture
def office():
    return open_office()


def one_side(office, side: str, remote_id: str, **more) -> RecordLink:
    values = {"email": SAME, "firstname" if side == "hubspot" else "first_name": "Al"}
    link = RecordLink.objects.create(
        sync=office.contacts,
        **{f"{side}_id": remote_id, f"{side}_values": values},
        **{"state": "failing", "error_code": "MATCH_AMBIGUOUS", "dirty": False} | more,
    )
    RecordKey.objects.create(
        link=link, sync=office.contacts, side=side, rank=0, value=SAME
    )
    return link


@pytest.fixture
def three(office):
    """One HubSpot record and two rows of one address."""
    named = {"hubspot:9": "hubspot", "app:<b>1": "app", "app:2": "app"}
    return {
        name: one_side(
            office,
            side,
            name.partition(":")[2],
            candidates=[other for other in named if other != name],
        )
        for name, side in named.items()
    }


def pair_url(link: RecordLink) -> str:
    return reverse("admin:syncs_recordlink_pair", args=[link.pk])


def press(client, obj, name, **more):
    opts = obj._meta
    url = reverse(f"admin:{opts.app_label}_{opts.model_name}_do", args=[obj.pk, name])
    return client.post(url, more)


def said(answer) -> str:
    return " ".join(str(m) for m in get_messages(answer.wsgi_request))


# Ambiguous matches ---------------------------------------------------------------------


def test_ambiguous_records_stand_with_their_candidates_and_a_button_for_each_free_one(
    admin_client, three
):
    text = admin_client.get(reverse(AMBIGUOUS)).content.decode()
    here = three["hubspot:9"]
    assert f'{pair_url(here)}?other=2"' in text
    assert f'{pair_url(here)}?other=%3Cb%3E1"' in text
    assert f"{pair_url(three['app:2'])}?other=9" in text
    assert "<b>1" not in text
    assert text.count("same side: it has the same key") == 2
    assert text.count(SAME) == 12


def test_the_page_goes_on_where_it_is_long_and_costs_no_query_per_record(
    admin_client, office, three
):
    def cost(url: str) -> int:
        with CaptureQueriesContext(connection) as caught:
            assert admin_client.get(url).status_code == 200
        return len(caught)

    few = cost(reverse(AMBIGUOUS))
    for n in range(25):
        one_side(office, "app", f"more{n}", candidates=["hubspot:9", "app:2"])
    assert cost(reverse(AMBIGUOUS)) <= few
    first = admin_client.get(reverse(AMBIGUOUS))
    rest = admin_client.get(f"{reverse(AMBIGUOUS)}?{first.context['next']}")
    assert (len(first.context["records"]), len(rest.context["records"])) == (20, 8)
    assert rest.context["next"] == ""
    other = admin_client.get(reverse(AMBIGUOUS), {"app": office.app.pk + 1})
    assert other.context["records"] == []
    assert "No match is ambiguous" in other.content.decode()


def test_two_are_looked_at_and_then_paired(admin_client, three):
    here, there = three["hubspot:9"], three["app:2"]
    asked = admin_client.get(pair_url(here), {"other": "2"})
    text = asked.content.decode()
    assert "Pair HubSpot 9 with app 2?" in text
    assert text.count("<td>Al</td>") == 2
    assert not RecordLink.objects.get(pk=here.pk).paired
    done = admin_client.post(pair_url(here), {"other": "2"})
    paired = RecordLink.objects.get(pk=here.pk)
    assert (paired.app_id, paired.state, paired.dirty) == ("2", "new", True)
    assert not RecordLink.objects.filter(pk=there.pk).exists()
    assert done["Location"].endswith(f"/recordlink/{here.pk}/change/")
    assert "9 ↔ 2 are paired" in said(done)


def test_from_the_app_s_side_it_goes_as_well(admin_client, three):
    admin_client.post(pair_url(three["app:2"]), {"other": "9"})
    assert RecordLink.objects.get(pk=three["hubspot:9"].pk).app_id == "2"


@pytest.mark.parametrize("method", ["get", "post"])
def test_an_id_that_cannot_be_is_said_and_pairs_nothing(
    admin_client, office, method, three
):
    here = three["hubspot:9"]
    one_side(office, "app", "3", hubspot_id="8", state="in_sync")
    for other, words in (
        ("nobody", "has read a record nobody"),
        ("3", "paired already"),
    ):
        answer = getattr(admin_client, method)(pair_url(here), {"other": other})
        assert words in said(answer)
    assert not RecordLink.objects.get(pk=here.pk).paired


def test_nothing_is_paired_while_a_run_is_going_on(admin_client, office, three):
    with Lease(office.contacts):
        answer = admin_client.post(pair_url(three["hubspot:9"]), {"other": "2"})
        kept = press(admin_client, three["app:2"], "keep-apart")
    assert "RUN_OPEN" in said(answer)
    assert "RUN_OPEN" in said(kept)
    assert RecordLink.objects.filter(error_code="MATCH_AMBIGUOUS").count() == 3


def test_one_is_kept_apart_and_matched_again(admin_client, three):
    link = three["app:2"]
    press(admin_client, link, "keep-apart")
    link.refresh_from_db()
    assert (link.keep_apart, link.state, link.error_code) == (True, "unmatched", "")
    assert link.candidates == []
    press(admin_client, link, "match-again")
    link.refresh_from_db()
    assert (link.keep_apart, link.state, link.dirty) == (False, "new", True)


def test_a_pair_is_untied(admin_client, office):
    link = one_side(office, "app", "3", hubspot_id="8", state="in_sync", error_code="")
    press(admin_client, link, "unpair")
    rows = RecordLink.objects.filter(sync=office.contacts)
    assert {(r.hubspot_id, r.app_id, r.keep_apart) for r in rows} == {
        ("8", None, True),
        (None, "3", True),
    }


@pytest.mark.parametrize("name", ["keep-pair", "pair-anew"])
def test_a_held_pair_is_kept_or_paired_anew(admin_client, office, name):
    mark = {"side": "app", "was": [[0, "old@example.com"]], "text": "given away"}
    link = one_side(
        office,
        "app",
        "3",
        hubspot_id="8",
        error_code="ID_REUSED",
        stage_state={"reissued": mark},
    )
    page = admin_client.get(
        reverse("admin:syncs_recordlink_change", args=[link.pk])
    ).content.decode()
    assert "Keep this pair" in page
    assert "Pair anew by key" in page
    press(admin_client, link, name)
    link.refresh_from_db()
    assert (link.paired, link.state, link.error_code) == (
        name == "keep-pair",
        "new",
        "",
    )
    assert "reissued" not in link.stage_state
    assert not RecordLink.objects.filter(keep_apart=True).exists()


# Trying again --------------------------------------------------------------------------


def failing(office) -> RecordLink:
    return one_side(
        office,
        "app",
        "3",
        hubspot_id="8",
        error_code="VALUE_INVALID",
        attempts=6,
        retry_at=datetime.now(UTC) + timedelta(hours=5),
        stage_state={"refused": {"app": {"email": [SAME, "VALUE_INVALID", "no"]}}},
    )


def test_a_failing_record_is_tried_again_at_once(admin_client, office):
    link = failing(office)
    answer = press(admin_client, link, "resync")
    link.refresh_from_db()
    assert (link.dirty, link.retry_at, link.attempts) == (True, None, 0)
    assert "refused" not in link.stage_state
    run = SyncRun.objects.get(parent=None)
    assert answer["Location"] == reverse("admin:syncs_syncrun_change", args=[run.pk])
    assert [child.sync for child in run.children.all()] == [office.contacts]


def test_whatever_fails_in_a_sync_is_tried_again(admin_client, office):
    failing(office)
    company = RecordLink.objects.create(sync=office.companies, hubspot_id="5")
    fine = RecordLink.objects.create(
        sync=office.contacts, hubspot_id="7", app_id="7", state="in_sync", dirty=False
    )
    AssociationLink.objects.create(
        mapping=office.mapping, link=fine, other=company, state="failing"
    )
    press(admin_client, office.contacts, "resync-failing")
    rows = RecordLink.objects.filter(sync=office.contacts)
    assert {row.dirty for row in rows} == {True}
    assert SyncRun.objects.filter(parent=None).count() == 1


def test_a_record_that_does_not_fail_has_nothing_to_resync(admin_client, office):
    link = one_side(office, "app", "3", hubspot_id="8", state="in_sync", error_code="")
    assert "not possible" in said(press(admin_client, link, "resync"))
    assert SyncRun.objects.count() == 0


# Conflicts -----------------------------------------------------------------------------


@pytest.fixture
def conflict(office):
    link = one_side(office, "app", "3", hubspot_id="8", state="in_sync")
    run = SyncRun.objects.create(sync=office.contacts, status="succeeded")
    common = {
        "run": run,
        "sync": office.contacts,
        "link": link,
        "kind": "update",
        "outcome": "held",
        "awaiting": "conflicts",
        "mapping_key": "firstname=first_name",
    }
    return {
        side: Change.objects.create(
            side=side,
            before={name: old},
            after={name: new},
            origin={other: new},
            **common,
        )
        for side, name, other, old, new in (
            ("app", "first_name", "firstname", "A", "H"),
            ("hubspot", "firstname", "first_name", "H", "A"),
        )
    }


@pytest.mark.parametrize(("take", "wins"), [("hubspot", "app"), ("app", "hubspot")])
def test_one_side_s_value_is_taken_whichever_rows_were_ticked(
    admin_client, conflict, take, wins
):
    for ticked in (["app"], ["app", "hubspot"]):
        Change.objects.update(outcome="held", awaiting="conflicts")
        answer = admin_client.post(
            reverse("admin:syncs_approval_changelist"),
            {
                "action": f"take-{take}",
                "confirmed": "yes",
                "_selected_action": [conflict[side].pk for side in ticked],
            },
        )
        assert "is queued" in said(answer), said(answer)
        other = "app" if wins == "hubspot" else "hubspot"
        assert Change.objects.get(pk=conflict[wins].pk).outcome == "planned"
        assert Change.objects.get(pk=conflict[other].pk).outcome == "dropped"


def test_a_dropped_conflict_leaves_both_values_and_asks_no_more(admin_client, conflict):
    admin_client.post(
        reverse("admin:syncs_approval_changelist"),
        {
            "action": "drop",
            "confirmed": "yes",
            "_selected_action": [conflict["hubspot"].pk],
        },
    )
    assert set(Change.objects.values_list("outcome", flat=True)) == {"dropped"}
    link = RecordLink.objects.get()
    assert link.baseline == {"firstname=first_name": ["H", "A"]}


# Who may -------------------------------------------------------------------------------


def test_who_may_only_look_sees_candidates_and_pairs_nothing(
    client, django_user_model, three
):
    user = django_user_model.objects.create_user("vera", password="x", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__startswith="view_"))
    client.force_login(user)
    text = client.get(reverse(AMBIGUOUS)).content.decode()
    assert SAME in text
    assert "/pair/" not in text
    here = three["hubspot:9"]
    assert client.get(pair_url(here)).status_code == 403
    assert client.post(pair_url(here), {"other": "2"}).status_code == 403
    for name in ("keep-apart", "resync"):
        assert press(client, here, name).status_code == 403
    assert RecordLink.objects.filter(error_code="MATCH_AMBIGUOUS").count() == 3
    user.user_permissions.clear()
    assert client.get(reverse(AMBIGUOUS)).status_code == 403
