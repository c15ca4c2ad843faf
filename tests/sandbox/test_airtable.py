"""The fake Airtable: pyairtable works against it unchanged, and it hurts as Airtable does."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import requests
from pyairtable.formulas import EQ, Field

from connections.sandbox.airtable.tokens import MAIN_BASE
from tests.sandbox.airtable_base import AirtableBase

pytestmark = pytest.mark.contract
LOG = {"options": {"filters": {"dataTypes": ["tableData"]}}}


@pytest.fixture(scope="module")
def served() -> Iterator[AirtableBase]:
    found = AirtableBase()
    yield found
    found.host.stop()


@pytest.fixture
def base(served: AirtableBase) -> Iterator[AirtableBase]:
    served.host.reset()
    served.make()
    yield served
    served.fake.set_limits(enforced=False, monthly=0)
    served.fake.switches.update(
        {
            "penalty_s": 30,
            "failed_batch": "nothing",
            "gone_record": "ROW_DOES_NOT_EXIST",
        }
    )
    served.host.set_faults()
    served.host.set_clock(0)


def refusal(answer: requests.Response) -> tuple[int, Any]:
    error = answer.json()["error"]
    return answer.status_code, error if isinstance(error, str) else error["type"]


# pyairtable ----------------------------------------------------------------------------


def test_pyairtable_knows_who_it_is_and_what_there_is(base: AirtableBase):
    assert base.api.whoami() == {"id": "usrSandboxAdmin01"}
    assert {b.id for b in base.api.bases()} >= {MAIN_BASE}
    tables = {t.name: t for t in base.base.schema(force=True).tables}
    link = next(f for f in tables["People"].fields if f.name == "Company")
    back = next(f for f in tables["Companies"].fields if f.name == "People")
    assert link.options.linked_table_id == tables["Companies"].id
    assert link.options.inverse_link_field_id == back.id
    assert back.options.inverse_link_field_id == link.id
    assert tables["People"].primary_field_id == tables["People"].fields[0].id


def test_pyairtable_pages_through_all_records_and_finds_some(base: AirtableBase):
    base.companies.batch_create([{"Name": f"c{n}"} for n in range(205)])
    base.host.reset_counts()
    assert {r["fields"]["Name"] for r in base.companies.all()} == {
        f"c{n}" for n in range(205)
    }
    assert base.host.counts() == {"GET records": 3}
    (found,) = base.companies.all(formula=EQ(Field("Name"), "c7"))
    assert found["fields"] == {"Name": "c7"}
    assert base.companies.all(formula=EQ(Field("Name"), 'it\'s "c"')) == []
    assert len(base.companies.all(max_records=3, sort=["-Name"])) == 3


def test_pyairtable_writes_and_both_ends_of_a_link_follow(base: AirtableBase):
    one, two = base.companies.batch_create([{"Name": "one"}, {"Name": "two"}])
    ann = base.people.create({"Name": "Ann", "Company": [one["id"]]})
    assert base.companies.get(one["id"])["fields"]["People"] == [ann["id"]]
    base.people.update(ann["id"], {"Company": [two["id"]]})
    assert base.companies.get(one["id"])["fields"] == {"Name": "one"}
    base.companies.update(one["id"], {"People": [ann["id"]]})
    assert base.people.get(ann["id"])["fields"]["Company"] == [two["id"], one["id"]]
    base.companies.delete(two["id"])
    assert base.people.get(ann["id"])["fields"]["Company"] == [one["id"]]
    base.people.update(ann["id"], {"Company": []})
    assert base.people.get(ann["id"])["fields"] == {"Name": "Ann"}


def test_pyairtable_upserts_on_up_to_three_fields(base: AirtableBase):
    made = base.people.batch_upsert([{"fields": {"Name": "Ann"}}], ["Name"])
    again = base.people.batch_upsert(
        [{"fields": {"Name": "Ann", "Amount": 1.005}}, {"fields": {"Name": "Bob"}}],
        ["Name"],
    )
    assert again["updatedRecords"] == made["createdRecords"]
    assert len(again["createdRecords"]) == 1
    base.people.create({"Name": "Ann"})
    for fields, on in (({"Name": "Ann"}, "Name"), ({"Mail": "a@x"}, "Mail")):
        with pytest.raises(requests.HTTPError, match="422"):
            base.people.batch_upsert([{"fields": fields}], [on])


def test_pyairtable_reads_the_payload_log(base: AirtableBase):
    # Without an address: pyairtable always sends one, Airtable does not ask for it.
    made = base.call("POST", f"bases/{MAIN_BASE}/webhooks", {"specification": LOG})
    hook = base.base.webhook(made.json()["id"])
    assert hook.cursor_for_next_payload == 1
    (ann,) = base.fake.add("People", [{"Name": "Ann"}])
    one = base.companies.create({"Name": "one", "People": [ann]})
    base.people.delete(ann)
    first, second, third = hook.payloads()
    people, companies = base.people.id, base.companies.id
    assert first.action_metadata.source == "client"
    assert set(first.changed_tables_by_id[people].created_records_by_id) == {ann}
    assert second.action_metadata.source == "publicApi"
    assert set(second.changed_tables_by_id[people].changed_records_by_id) == {ann}
    assert set(second.changed_tables_by_id[companies].created_records_by_id) == {
        one["id"]
    }
    assert third.changed_tables_by_id[people].destroyed_record_ids == [ann]
    assert [p.cursor for p in hook.payloads(cursor=3)] == [3]
    hook.delete()
    assert base.base.webhooks() == []


# Refusals ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "path", "body", "token", "expected"),
    [
        ("GET", "meta/whoami", None, None, (401, "AUTHENTICATION_REQUIRED")),
        ("GET", "meta/bases/{b}/tables", None, "no base", (403, "MODEL")),
        ("GET", "meta/bases/{b}/tables", None, "no schema", (403, "MODEL")),
        ("GET", "{b}/tblNoSuchTable0000", None, "everything", (403, "MODEL")),
        ("GET", "{b}/People", None, "no records", (403, "MODEL")),
        ("POST", "{b}/People", {"fields": {}}, "reads only", (403, "MODEL")),
        (
            "POST",
            "{b}/People",
            {"fields": {}},
            "commenter",
            (403, "INVALID_PERMISSIONS"),
        ),
        ("POST", "bases/{b}/webhooks", {}, "editor", (403, "INVALID_PERMISSIONS")),
        ("GET", "{b}/People/recNoSuchRecord00", None, "everything", (404, "NOT_FOUND")),
        ("GET", "nowhere", None, "everything", (404, "NOT_FOUND")),
        (
            "POST",
            "{b}/People",
            {"fields": {"Nope": 1}},
            "everything",
            (422, "UNKNOWN_FIELD_NAME"),
        ),
        (
            "POST",
            "{b}/People",
            {"fields": {"Amount": "1"}},
            "everything",
            (422, "INVALID_VALUE_FOR_COLUMN"),
        ),
        (
            "POST",
            "{b}/People",
            {"fields": {"Colour": "blue"}},
            "everything",
            (422, "INVALID_MULTIPLE_CHOICE_OPTIONS"),
        ),
        (
            "POST",
            "{b}/People",
            {"fields": {"Company": ["recNoSuchRecord00"]}},
            "everything",
            (422, "ROW_DOES_NOT_EXIST"),
        ),
        (
            "POST",
            "{b}/People",
            {"records": [{"fields": {}}] * 11},
            "everything",
            (422, "INVALID_RECORDS"),
        ),
        (
            "PATCH",
            "{b}/People",
            {"records": [{"id": "recNoSuchRecord00", "fields": {}}] * 2},
            "everything",
            (422, "INVALID_RECORDS"),
        ),
        (
            "POST",
            "{b}/People",
            {"Name": "not under fields"},
            "everything",
            (422, "INVALID_REQUEST_UNKNOWN"),
        ),
        (
            "POST",
            "{b}/People/listRecords",
            {"filterByFormula": "NOPE("},
            "everything",
            (422, "INVALID_FILTER_BY_FORMULA"),
        ),
        (
            "POST",
            "{b}/People/listRecords",
            {"offset": "itrNoSuchListing/100"},
            "everything",
            (422, "LIST_RECORDS_ITERATOR_NOT_AVAILABLE"),
        ),
    ],
)
def test_what_is_refused_has_airtables_status_and_type(
    base: AirtableBase, method, path, body, token, expected
):
    headers: dict[str, str] | None = {} if token is None else None
    answer = base.call(
        method,
        path.replace("{b}", MAIN_BASE),
        body,
        token=token or "everything",
        headers=headers,
    )
    status, kind = expected
    names = {"MODEL": "INVALID_PERMISSIONS_OR_MODEL_NOT_FOUND"}
    assert refusal(answer) == (status, names.get(kind, kind))


def test_a_refused_batch_stores_nothing_or_what_stood_before(base: AirtableBase):
    body = {"records": [{"fields": {"Name": "a"}}, {"fields": {"Amount": "x"}}]}
    assert base.call("POST", f"{MAIN_BASE}/People", body).status_code == 422
    assert base.fake.cells("People") == {}
    base.fake.switches.update({"failed_batch": "before"})
    assert base.call("POST", f"{MAIN_BASE}/People", body).status_code == 422
    assert list(base.fake.cells("People").values()) == [{"Name": "a"}]


def test_a_sixth_call_in_a_second_is_punished_for_half_a_minute(base: AirtableBase):
    base.fake.set_limits(enforced=True)
    base.fake.clock.now = lambda: 1000.0  # type: ignore[method-assign]
    try:
        path = f"{MAIN_BASE}/People"
        assert [base.call("GET", path).status_code for _ in range(5)] == [200] * 5
        assert refusal(base.call("GET", path)) == (429, "RATE_LIMIT_REACHED")
        base.fake.clock.now = lambda: 1029.0  # type: ignore[method-assign]
        assert base.call("GET", path).status_code == 429
        assert base.call("GET", "meta/whoami").status_code == 200  # of no base
        base.fake.clock.now = lambda: 1031.0  # type: ignore[method-assign]
        assert base.call("GET", path).status_code == 200
        base.fake.set_limits(monthly=base.fake.limits()["spent"])
        assert base.call("GET", path).status_code == 429
    finally:
        del base.fake.clock.now


def test_order_stays_as_it_was_at_the_first_page_and_values_are_current(
    base: AirtableBase,
):
    ids = base.fake.add("Companies", [{"Name": f"c{n}"} for n in range(150)])
    path = f"{MAIN_BASE}/Companies/listRecords"
    first = base.call("POST", path, {"pageSize": 100}).json()
    shown = {r["id"] for r in first["records"]}
    unseen = [i for i in ids if i not in shown]
    base.fake.remove("Companies", unseen[0])
    base.fake.edit("Companies", unseen[1], {"Name": "edited"})
    base.fake.add("Companies", [{"Name": "late"}])
    rest = base.call("POST", path, {"offset": first["offset"]}).json()
    assert "offset" not in rest
    names = {r["id"]: r["fields"]["Name"] for r in rest["records"]}
    assert set(names) == set(unseen[1:])
    assert names[unseen[1]] == "edited"
    base.host.set_clock(3600)
    stale = base.call("POST", path, {"offset": first["offset"]})
    assert refusal(stale) == (422, "LIST_RECORDS_ITERATOR_NOT_AVAILABLE")


def test_what_the_base_holds_outlives_the_server(tmp_path):
    path = tmp_path / "airtable.sqlite3"
    first = AirtableBase(path=path)
    first.make()
    (ann,) = first.fake.add("People", [{"Name": "Ann"}])
    first.host.stop()
    second = AirtableBase(path=path)
    assert second.people.get(ann)["fields"] == {"Name": "Ann"}
    second.host.stop()


def test_a_fault_is_worded_as_airtable_words_errors(base: AirtableBase):
    base.host.set_faults("status=503,retry_after=2")
    answer = base.call("GET", "meta/whoami")
    assert refusal(answer) == (503, "RETRIABLE_ERROR")
    assert answer.headers["Retry-After"] == "2"
