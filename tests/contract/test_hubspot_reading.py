"""HubSpot's own ways of reading: search, its wall and its lag; merges and archives."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from connections.records import Want
from connections.sandbox.hubspot import search
from tests.contract.harness import LONG_AGO, rows
from tests.contract.hubspot_system import HubSpotSystem

pytestmark = pytest.mark.contract
T = datetime(2026, 1, 31, 12, tzinfo=UTC)
MS = timedelta(milliseconds=1)
EMAIL = Want(("title", "email"))


def changed(
    system: HubSpotSystem, after: datetime = LONG_AGO, until: datetime | None = None
) -> list[str]:
    pages = system.connector.changed(system.obj, system.want, after=after, until=until)
    return [record.id for page in pages for record in page.records]


# Search --------------------------------------------------------------------------------


@pytest.mark.parametrize("same_time", [True, False])
def test_more_changes_than_search_shows_are_all_read(
    hubspot: HubSpotSystem, monkeypatch: pytest.MonkeyPatch, same_time: bool
):
    monkeypatch.setattr(search, "WALL", 400)
    ids = hubspot.plant(rows(1_005), at=T if same_time else None)
    body = {"filterGroups": [], "limit": 200, "after": "400"}
    wall = hubspot.api("POST", "/crm/objects/2026-03/contacts/search", body)
    assert wall.status_code == 400  # what would be hit by paging
    found = changed(hubspot)
    assert sorted(found) == sorted(ids)
    assert hubspot.count("search") == 6 + 1


def test_the_wall_as_it_is_does_not_stop_a_read(hubspot: HubSpotSystem):
    """10,000 results a query, and HubSpot has stamped more with one moment."""
    ids = hubspot.plant(rows(10_001), at=T)
    seen = hubspot.connector.window(hubspot.obj, hubspot.want, after=T - MS, until=T)
    assert seen.count == len(ids)
    assert len(seen.newest) == 200
    assert set(changed(hubspot, T - MS, T)) == set(ids)


def test_a_record_that_leaves_the_window_hides_no_other(hubspot: HubSpotSystem):
    ids = hubspot.plant(rows(450), at=T)
    until = T + MS
    pages = hubspot.connector.changed(
        hubspot.obj, hubspot.want, after=T - MS, until=until
    )
    first = next(pages)
    for record in first.records[:50]:
        hubspot.edit(record.id, "moved on")
    found = [record.id for page in pages for record in page.records]
    assert sorted([*(r.id for r in first.records), *found]) == sorted(ids)


def test_search_lags_and_shows_later_what_it_does_not_show_yet(
    hubspot: HubSpotSystem,
):
    control = hubspot.sandbox.control
    control.set_switches(search_lag_s=3600)
    ids = hubspot.plant(rows(3))
    want = hubspot.want
    now = datetime.now(UTC) + timedelta(seconds=5)
    assert changed(hubspot) == []
    seen = hubspot.connector.window(hubspot.obj, want, after=LONG_AGO, until=now)
    assert (seen.count, seen.newest) == (0, {})
    # What decides whether a record exists asks no index.
    listed = list(hubspot.connector.pages(hubspot.obj, want))
    assert {r.id for page in listed for r in page.records} == set(ids)
    assert set(hubspot.connector.fetch(hubspot.obj, ids, want).records) == set(ids)
    found = hubspot.connector.lookup(hubspot.obj, "code", ["c1"], want)
    assert found is not None
    assert set(found) == {"c1"}
    since = hubspot.connector.created_since(hubspot.obj, want, LONG_AGO)
    assert sum(len(page.records) for page in since) == 3
    control.settle()
    assert sorted(changed(hubspot)) == sorted(ids)
    seen = hubspot.connector.window(hubspot.obj, want, after=LONG_AGO, until=now)
    assert seen.count == 3
    assert set(seen.newest) == set(ids)


@pytest.mark.parametrize("name", ["contacts", "companies", "deals", "vessels"])
def test_each_object_is_searched_by_its_own_modified_date(
    hubspot: HubSpotSystem, name: str
):
    """The wrong property finds nothing and says nothing."""
    properties = {
        "contacts": {"email": "a@x.example"},
        "companies": {"name": "A"},
        "deals": {
            "dealname": "D",
            "pipeline": "default",
            "dealstage": "closedwon",
        },
        "vessels": {"vessel_name": "V"},
    }[name]
    obj = hubspot.discover(name)
    body = {"properties": properties, "associations": []}
    made = hubspot.api("POST", f"/crm/objects/2026-03/{obj.id}", body).json()
    (page,) = hubspot.connector.changed(obj, Want(), after=LONG_AGO)
    (record,) = page.records
    assert record.id == made["id"]
    assert record.modified_at == datetime.fromisoformat(made["updatedAt"])


def test_a_search_with_many_properties_is_kept_short_enough(hubspot: HubSpotSystem):
    """A search of over 3,000 characters is refused, a list's address of over 12,000."""
    ids = hubspot.plant([{"title": f"t{n}", "note": f"n{n}"} for n in range(3)])
    padding = tuple(f"no_such_property_{n:04d}" for n in range(600))
    want = Want((*padding, "title", "note"))
    for pages in (
        hubspot.connector.changed(hubspot.obj, want, after=LONG_AGO),
        hubspot.connector.pages(hubspot.obj, want),
    ):
        records = [record for page in pages for record in page.records]
        assert sorted(r.id for r in records) == sorted(ids)
        assert {(r.values["title"], r.values["note"]) for r in records} == {
            (f"t{n}", f"n{n}") for n in range(3)
        }
        assert not any(name in r.values for r in records for name in padding)


def test_a_page_that_lost_its_end_does_not_make_a_record_gone(hubspot: HubSpotSystem):
    ids = hubspot.plant(rows(50))
    hubspot.sandbox.control.set_faults("truncate=7,path=/batch/read")
    fetched = hubspot.connector.fetch(hubspot.obj, ids, hubspot.want)
    assert 7 <= len(fetched.records) < 50
    assert fetched.gone == frozenset()


# Archived and merged -------------------------------------------------------------------


def test_an_archived_record_is_in_no_read_and_is_gone(hubspot: HubSpotSystem):
    kept, archived = hubspot.plant(rows(2))
    hubspot.remove(archived)
    (page,) = hubspot.connector.pages(hubspot.obj, hubspot.want)
    assert [r.id for r in page.records] == [kept]
    assert changed(hubspot) == [kept]
    fetched = hubspot.connector.fetch(hubspot.obj, [kept, archived], hubspot.want)
    assert (set(fetched.records), fetched.gone) == (
        {kept},
        frozenset({archived}),
    )
    found = hubspot.connector.lookup(hubspot.obj, "code", ["c0", "c1"], hubspot.want)
    assert found is not None
    assert set(found) == {"c0"}


@pytest.mark.parametrize("archived_read", ["hidden", "shown"])
def test_gone_is_the_same_however_single_reads_show_archived_records(
    hubspot: HubSpotSystem, archived_read: str
):
    hubspot.sandbox.control.set_switches(archived_read=archived_read)
    kept, archived = hubspot.plant(rows(2))
    hubspot.remove(archived)
    fetched = hubspot.connector.fetch(
        hubspot.obj, [archived, kept, "404404"], hubspot.want
    )
    assert (set(fetched.records), fetched.gone) == (
        {kept},
        frozenset({archived, "404404"}),
    )


def test_an_id_that_is_no_number_is_gone_without_a_call(hubspot: HubSpotSystem):
    assert hubspot.obj.id == "0-1"
    hubspot.sandbox.control.reset_counts()
    odd = ["", "abc", "12a", "١٢", "1/2", "-1"]
    fetched = hubspot.connector.fetch(hubspot.obj, odd, hubspot.want)
    assert fetched.gone == set(odd)
    assert hubspot.count("") == 0


def merge(system: HubSpotSystem, keep: str, away: str) -> str:
    body = {"primaryObjectId": keep, "objectIdToMerge": away}
    answer = system.api("POST", "/crm/objects/2026-03/contacts/merge", body)
    answer.raise_for_status()
    return str(answer.json()["id"])


def test_merged_ids_lead_to_the_record_they_became(hubspot: HubSpotSystem):
    one, two, three = hubspot.plant(rows(3))
    new = merge(hubspot, one, two)
    fetched = hubspot.connector.fetch(hubspot.obj, [one, two, three], hubspot.want)
    assert {i: r.id for i, r in fetched.records.items()} == {
        one: new,
        two: new,
        three: three,
    }
    assert fetched.gone == frozenset()
    assert set(fetched.records[one].aliases) == {one, two}
    (page,) = hubspot.connector.pages(hubspot.obj, hubspot.want)
    aliases = {r.id: set(r.aliases) for r in page.records}
    assert aliases == {new: {one, two}, three: set()}


def test_a_record_merged_twice_has_all_its_ids(hubspot: HubSpotSystem):
    one, two, three = hubspot.plant(rows(3))
    middle = merge(hubspot, one, two)
    new = merge(hubspot, middle, three)
    ids = [one, two, three, middle, new]
    fetched = hubspot.connector.fetch(hubspot.obj, ids, hubspot.want)
    assert {r.id for r in fetched.records.values()} == {new}
    assert set(fetched.records) == set(ids)


def test_a_merge_into_a_record_that_is_archived_then_is_gone(hubspot: HubSpotSystem):
    one, two = hubspot.plant(rows(2))
    new = merge(hubspot, one, two)
    hubspot.remove(new)
    fetched = hubspot.connector.fetch(hubspot.obj, [one, two, new], hubspot.want)
    assert dict(fetched.records) == {}
    assert fetched.gone == {one, two, new}


# By e-mail -----------------------------------------------------------------------------


def test_an_email_is_looked_up_whatever_its_case(hubspot: HubSpotSystem):
    (record_id,) = hubspot.plant([{"email": "Ann@X.Example", "title": "ann"}])
    asked = ["ann@x.example", "ANN@X.EXAMPLE", " ann@x.example ", "bob@x.example", ""]
    found = hubspot.connector.lookup(hubspot.obj, "email", asked, EMAIL)
    assert found is not None
    assert {value: r.id for value, r in found.items()} == dict.fromkeys(
        asked[:3], record_id
    )


def test_a_further_email_leads_to_its_contact(hubspot: HubSpotSystem):
    one, two = hubspot.plant([{"email": "a@x.example"}, {"email": "b@x.example"}])
    new = merge(hubspot, one, two)
    asked = ["a@x.example", "B@x.example"]
    found = hubspot.connector.lookup(hubspot.obj, "email", asked, EMAIL)
    assert found is not None
    assert {value: r.id for value, r in found.items()} == dict.fromkeys(asked, new)
    assert found["B@x.example"].keys == {"email": ("b@x.example",)}
    assert found["B@x.example"].values["email"] == "a@x.example"


def test_many_emails_are_looked_up_a_hundred_a_call(hubspot: HubSpotSystem):
    emails = [f"p{n}@x.example" for n in range(150)]
    hubspot.plant({"email": email} for email in emails)
    hubspot.sandbox.control.reset_counts()
    asked = [*emails, *(f"q{n}@x.example" for n in range(60)), *emails[:5]]
    found = hubspot.connector.lookup(hubspot.obj, "email", asked, EMAIL)
    assert found is not None
    assert set(found) == set(emails)
    assert hubspot.count("batch/read") == 3
    assert hubspot.count("") == 3


def test_company_domains_are_keys_but_nothing_to_look_up_by(hubspot: HubSpotSystem):
    """HubSpot does not hold domains unique, so absence could not be told."""
    companies = hubspot.discover("companies")
    body = {
        "properties": {
            "domain": "a.example",
            "hs_additional_domains": "b.example;c.example",
        },
        "associations": [],
    }
    hubspot.api("POST", "/crm/objects/2026-03/companies", body).raise_for_status()
    want = Want(("domain",))
    assert hubspot.connector.lookup(companies, "domain", ["a.example"], want) is None
    (page,) = hubspot.connector.pages(companies, want)
    assert page.records[0].keys == {"domain": ("b.example", "c.example")}
