"""The fake Kintone, called raw: what its documentation says of codes, shapes and limits."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from connections.sandbox.kintone.domain import App
from connections.sandbox.kintone.server import KintoneServer

pytestmark = pytest.mark.integration
Json = dict[str, Any]
COMPANIES = {
    "name": {"type": "SINGLE_LINE_TEXT", "required": True, "maxLength": "20"},
    "code": {"type": "SINGLE_LINE_TEXT", "unique": True},
    "city": {"type": "SINGLE_LINE_TEXT"},
    "size": {"type": "DROP_DOWN", "options": ["small", "large"]},
    "staff": {"type": "NUMBER", "maxValue": "1000"},
    "seen": {"type": "DATETIME"},
    "site": {"type": "LINK", "protocol": "WEB"},
}


def people(companies: App) -> Json:
    lookup = {
        "relatedApp": {"app": str(companies.id), "code": ""},
        "relatedKeyField": "code",
        "fieldMappings": [{"field": "town", "relatedField": "city"}],
        "lookupPickerFields": [],
        "filterCond": "",
        "sort": "",
    }
    return {
        "name": {"type": "SINGLE_LINE_TEXT"},
        "company": {"type": "SINGLE_LINE_TEXT", "lookup": lookup},
        "town": {"type": "SINGLE_LINE_TEXT"},
        "tags": {"type": "CHECK_BOX", "options": ["a", "b"]},
        "lines": {
            "type": "SUBTABLE",
            "fields": {
                "firm": {
                    "type": "SINGLE_LINE_TEXT",
                    "lookup": lookup | {"fieldMappings": []},
                },
                "count": {"type": "NUMBER"},
            },
        },
    }


class Raw:
    """Calls without any client."""

    def __init__(self, server: KintoneServer) -> None:
        self.server = server
        self.companies = server.domain.add_app("Companies", COMPANIES, code="COM")
        self.people = server.domain.add_app("People", people(self.companies))
        self.tokens = ",".join(map(server.token, (self.companies, self.people)))

    def __call__(
        self, method: str, name: str, body: Json | None = None, **headers: str
    ) -> requests.Response:
        sent = {"X-Cybozu-API-Token": self.tokens} | {
            key.replace("_", "-"): value for key, value in headers.items()
        }
        url = f"{self.server.url}/k/v1/{name}"
        kept = {key: value for key, value in sent.items() if value}
        if method == "GET":
            return requests.get(url, params=body, headers=kept, timeout=10)
        return requests.request(method, url, json=body, headers=kept, timeout=10)

    def add(self, app: App, *rows: Json) -> list[str]:
        records = [{k: {"value": v} for k, v in row.items()} for row in rows]
        made = self("POST", "records.json", {"app": app.id, "records": records})
        assert made.status_code == 200, made.text
        return list(made.json()["ids"])

    def query(self, app: App, text: str, **more: Any) -> list[Json]:
        found = self("GET", "records.json", {"app": app.id, "query": text, **more})
        assert found.status_code == 200, found.text
        return list(found.json()["records"])

    def refused(
        self, method: str, name: str, body: Json | None = None, **headers: str
    ) -> tuple[int, str, Json]:
        found = self(method, name, body, **headers)
        told = found.json()
        assert {"code", "id", "message"} <= told.keys()
        return found.status_code, told["code"], told.get("errors", {})


@pytest.fixture(scope="module")
def _server() -> Iterator[KintoneServer]:
    with KintoneServer() as server:
        yield server


@pytest.fixture
def raw(_server: KintoneServer) -> Iterator[Raw]:
    yield Raw(_server)
    _server.set_faults()
    _server.set_switches(update_errors_nested=False, unknown_token_status=520)
    _server.kintone.set_limits(enforced=False, at_once=100)
    _server.reset()


def test_who_calls_without_a_right_is_told_by_a_code(raw: Raw):
    app, server = {"app": raw.companies.id}, raw.server
    rows = ("GET", "records.json", app)
    assert raw.refused(*rows, X_Cybozu_API_Token="")[:2] == (401, "CB_AU01")
    assert raw.refused(*rows, X_Cybozu_API_Token="no")[:2] == (520, "GAIA_IA02")
    server.set_switches(unknown_token_status=400)
    assert raw.refused(*rows, X_Cybozu_API_Token="no")[:2] == (400, "GAIA_IA02")
    foreign = server.token(raw.people)
    assert raw.refused(*rows, X_Cybozu_API_Token=foreign)[:2] == (400, "GAIA_AP15")
    many = ",".join([server.token(raw.companies)] * 10)
    assert raw.refused(*rows, X_Cybozu_API_Token=many)[:2] == (400, "CB_VA01")
    viewer = server.token(raw.companies, "view")
    assert raw(*rows, X_Cybozu_API_Token=viewer).status_code == 200
    write = ("POST", "record.json", app | {"record": {"name": {"value": "x"}}})
    assert raw.refused(*write, X_Cybozu_API_Token=viewer)[:2] == (403, "CB_NO02")
    password = base64.b64encode(":".join(server.password).encode()).decode()
    user = {"X_Cybozu_API_Token": "", "X_Cybozu_Authorization": password}
    assert len(raw("GET", "apps.json", None, **user).json()["apps"]) == 2
    wrong = user | {"X_Cybozu_Authorization": base64.b64encode(b"a:b").decode()}
    assert raw.refused("GET", "apps.json", None, **wrong)[:2] == (401, "CB_WA01")
    assert raw.refused("GET", "apps.json")[0] == 403  # a token lists none


def test_what_is_not_there_is_404(raw: Raw):
    app = raw.companies.id
    for body, name, code in (
        ({"app": 99}, "records.json", "GAIA_AP01"),
        ({"app": app, "id": 99}, "record.json", "GAIA_RE01"),
    ):
        assert raw.refused("GET", name, body)[:2] == (404, code)
    gone = {"app": app, "ids": [99]}
    assert raw.refused("DELETE", "records.json", gone)[:2] == (404, "GAIA_RE01")


BAD_VALUES = [
    ({"name": "x" * 21}, "name"),
    ({"name": ""}, "name"),
    ({"name": "n", "staff": "many"}, "staff"),
    ({"name": "n", "staff": "1001"}, "staff"),
    ({"name": "n", "size": "huge"}, "size"),
    ({"name": "n", "code": "taken"}, "code"),
    ({"name": "n", "seen": "yesterday"}, "seen"),
    ({"name": "n", "site": "not an address"}, "site"),
]


@pytest.mark.parametrize("nested", [False, True])
def test_a_value_that_is_refused_is_named_by_its_place_and_nothing_is_written(
    raw: Raw, nested: bool
):
    raw.server.set_switches(update_errors_nested=nested)
    raw.add(raw.companies, {"name": "first", "code": "taken"})
    app = raw.companies.id
    (spare,) = raw.add(raw.companies, {"name": "spare"})
    for values, field in BAD_VALUES:
        record = {k: {"value": v} for k, v in values.items()}
        good = {"name": {"value": "good"}}
        body = {"app": app, "records": [good, record, good]}
        status, code, errors = raw.refused("POST", "records.json", body)
        assert (status, code) == (400, "CB_VA01")
        assert [*errors] == [f"records[1].{field}.value"]
        assert errors[f"records[1].{field}.value"]["messages"]
        one = {"app": app, "record": record}
        assert [*raw.refused("POST", "record.json", one)[2]] == [
            f"record.{field}.value"
        ]
        entry = {"app": app, "records": [{"id": spare, "record": record}]}
        errors = raw.refused("PUT", "records.json", entry)[2]
        inner = "record." if nested else ""
        assert [*errors] == [f"records[0].{inner}{field}.value"]
    assert len(raw.query(raw.companies, "")) == 2


def test_a_field_there_is_not_is_not_looked_at(raw: Raw):
    (made,) = raw.add(raw.companies, {"name": "n", "no_such": "x"})
    (record,) = raw.query(raw.companies, f"$id = {made}")
    assert "no_such" not in record
    assert record["name"] == {"type": "SINGLE_LINE_TEXT", "value": "n"}
    assert record["$id"] == {"type": "__ID__", "value": made}
    assert record["$revision"] == {"type": "__REVISION__", "value": "1"}
    assert record["Record_number"]["value"] == f"COM-{made}"
    assert record["Updated_datetime"]["value"].endswith(":00Z")


def test_a_revision_locks_and_each_update_adds_one(raw: Raw):
    (made,) = raw.add(raw.companies, {"name": "n"})
    entry: Json = {"id": made, "revision": 1, "record": {"city": {"value": "Bern"}}}
    body = {"app": raw.companies.id, "records": [entry]}
    told = raw("PUT", "records.json", body).json()
    assert told == {"records": [{"id": made, "revision": "2"}]}
    assert raw.refused("PUT", "records.json", body)[:2] == (409, "GAIA_CO02")
    entry["revision"] = -1
    assert raw("PUT", "records.json", body).json()["records"][0]["revision"] == "3"


def test_an_upsert_says_what_it_did(raw: Raw):
    key = {"field": "code", "value": "k1"}
    entry = {"updateKey": key, "record": {"name": {"value": "n"}}}
    body = {"app": raw.companies.id, "upsert": True, "records": [entry]}
    done = [raw("PUT", "records.json", body).json()["records"][0] for _ in range(2)]
    assert [d["operation"] for d in done] == ["INSERT", "UPDATE"]
    assert done[0]["id"] == done[1]["id"]
    wrong = entry | {"updateKey": {"field": "city", "value": "x"}}
    body = {"app": raw.companies.id, "upsert": True, "records": [wrong]}
    assert raw.refused("PUT", "records.json", body)[:2] == (400, "CB_VA01")


def test_batches_have_their_limit(raw: Raw):
    app = raw.companies.id
    many = {"app": app, "records": [{"name": {"value": "n"}}] * 101}
    assert raw.refused("POST", "records.json", many)[:2] == (400, "CB_VA01")
    part = {"method": "POST", "api": "/k/v1/records.json", "payload": many}
    bulk = {"requests": [part] * 21}
    assert raw.refused("POST", "bulkRequest.json", bulk)[:2] == (400, "CB_VA01")


def test_a_bulk_request_is_whole_or_nothing_and_names_the_culprit(raw: Raw):
    app = raw.companies.id

    def part(name: str) -> Json:
        payload = {"app": app, "records": [{"name": {"value": name}}] * 100}
        return {"method": "POST", "api": "/k/v1/records.json", "payload": payload}

    bad = raw(
        "POST", "bulkRequest.json", {"requests": [part("a"), part(""), part("b")]}
    )
    assert bad.status_code == 400
    first, culprit, last = bad.json()["results"]
    assert (first, last) == ({}, {})
    assert culprit["code"] == "CB_VA01"
    assert "records[0].name.value" in culprit["errors"]
    assert raw.query(raw.companies, "") == []
    good = raw("POST", "bulkRequest.json", {"requests": [part("a")] * 20}).json()
    ids = [i for result in good["results"] for i in result["ids"]]
    assert len(set(ids)) == 2_000


def test_a_lookup_holds_the_key_and_copies_what_stands_there_now(raw: Raw):
    raw.add(raw.companies, {"name": "n", "code": "C1", "city": "Bern"})
    values = {"company": "C1", "town": "ignored"}
    (made,) = raw.add(raw.people, values)
    (record,) = raw.query(raw.people, f"$id = {made}")
    assert (record["company"]["value"], record["town"]["value"]) == ("C1", "Bern")
    app = raw.companies.id
    renamed: Json = {
        "id": 1,
        "record": {"code": {"value": "C9"}, "city": {"value": "Basel"}},
    }
    raw("PUT", "records.json", {"app": app, "records": [renamed]})
    (record,) = raw.query(raw.people, f"$id = {made}")
    assert (record["company"]["value"], record["town"]["value"]) == ("C1", "Bern")
    people = raw.people.id
    again: Json = {"app": people, "id": made, "record": {"company": {"value": "C1"}}}
    status, code, errors = raw.refused("PUT", "record.json", again)
    assert (status, code, errors) == (400, "GAIA_LO04", {})
    for value, town in (("C9", "Basel"), ("", "")):
        again["record"]["company"]["value"] = value
        assert raw("PUT", "record.json", again).status_code == 200
        (record,) = raw.query(raw.people, f"$id = {made}")
        assert record["town"]["value"] == town


def test_a_lookup_needs_the_token_of_its_source(raw: Raw):
    raw.add(raw.companies, {"name": "n", "code": "C1"})
    alone = raw.server.token(raw.people)
    form = raw(
        "GET", "app/form/fields.json", {"app": raw.people.id}, X_Cybozu_API_Token=alone
    ).json()["properties"]
    assert form["company"]["lookup"] is None
    body = {"app": raw.people.id, "record": {"company": {"value": "C1"}}}
    refused = raw.refused("POST", "record.json", body, X_Cybozu_API_Token=alone)
    assert refused == (400, "GAIA_LO04", {})
    assert raw("POST", "record.json", body).status_code == 200


def test_rows_of_a_subtable_are_a_full_set(raw: Raw):
    raw.add(raw.companies, {"name": "n", "code": "C1"}, {"name": "m", "code": "C2"})
    cells = [{"firm": "C1", "count": "1"}, {"firm": "C2", "count": "no number"}]
    rows = [{"value": {k: {"value": v} for k, v in c.items()}} for c in cells]
    (made,) = raw.add(raw.people, {"lines": rows})
    (record,) = raw.query(raw.people, f"$id = {made}")
    one, two = record["lines"]["value"]
    assert [r["value"]["count"]["value"] for r in (one, two)] == ["1", ""]
    left = [{"id": one["id"], "value": {"count": {"value": "5"}}}, {"value": {}}]
    body = {"app": raw.people.id, "id": made, "record": {"lines": {"value": left}}}
    assert raw("PUT", "record.json", body).status_code == 200
    (record,) = raw.query(raw.people, f"$id = {made}")
    kept, new = record["lines"]["value"]
    assert (kept["id"], kept["value"]["firm"]["value"]) == (one["id"], "C1")
    assert kept["value"]["count"]["value"] == "5"
    assert new["id"] not in (one["id"], two["id"])
    assert raw.query(raw.people, 'firm in ("C1")') != []
    bad = {"app": raw.people.id, "query": 'firm = "C1"'}
    assert raw.refused("GET", "records.json", bad)[1] == "GAIA_IQ07"


def test_queries_seek_and_refuse_what_they_cannot(raw: Raw):
    raw.add(raw.companies, *({"name": f"n{n}", "code": f"c{n}"} for n in range(9)))
    ids = [r["$id"]["value"] for r in raw.query(raw.companies, "limit 3")]
    assert ids == ["9", "8", "7"]  # the newest first, unless told otherwise
    page = raw.query(raw.companies, "$id > 3 order by $id asc limit 2")
    assert [r["code"]["value"] for r in page] == ["c3", "c4"]
    quoted = 'code in ("c1", "no\\"pe") or (name = "n8" and city is empty)'
    assert len(raw.query(raw.companies, quoted)) == 2
    fields = raw.query(raw.companies, "limit 1", **{"fields[0]": "$id"})
    assert fields == [{"$id": {"type": "__ID__", "value": "9"}}]
    counted = {
        "app": raw.companies.id,
        "query": "$id > 2 limit 1",
        "totalCount": "true",
    }
    assert raw("GET", "records.json", counted).json()["totalCount"] == "7"
    for text, code in (
        ("limit 501", "GAIA_QU01"),
        ("offset 10001", "GAIA_QU02"),
        ('no_such = "1"', "GAIA_IQ11"),
        ('size = "small"', "GAIA_IQ07"),
        ("name = ", "GAIA_IQ03"),
    ):
        body = {"app": raw.companies.id, "query": text}
        assert raw.refused("GET", "records.json", body)[:2] == (400, code), text
    override = {"X_HTTP_Method_Override": "GET"}
    long = {"app": raw.companies.id, "query": f"$id in ({', '.join(['1'] * 9000)})"}
    assert raw("GET", "records.json", long).status_code == 414
    found = raw("POST", "records.json", long, **override).json()["records"]
    assert len(found) == 1
    odd = {"app": raw.companies.id}
    assert raw.refused("GET", "records.json", odd, Content_Type="application/json")[
        :2
    ] == (400, "CB_IL02")


def test_too_many_calls_at_once_are_refused(raw: Raw):
    server = raw.server
    server.kintone.set_limits(enforced=True, at_once=2)
    server.set_latency(300)
    answers: list[requests.Response] = []
    body = {"app": raw.companies.id}
    threads = [
        threading.Thread(
            target=lambda: answers.append(raw("GET", "records.json", body))
        )
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    server.set_latency(0)
    refused = [a for a in answers if a.status_code == 429]
    assert refused
    assert refused[0].json()["code"] == "GAIA_TO04"
    assert refused[0].headers["X-ConcurrencyLimit-Limit"] == "2"
    assert int(refused[0].headers["X-ConcurrencyLimit-Running"]) > 2


def test_what_it_holds_outlives_it(tmp_path: Path):
    path = tmp_path / "kintone.sqlite3"
    with KintoneServer(path) as server:
        raw = Raw(server)
        raw.add(raw.companies, {"name": "n", "code": "C1"})
        raw.add(raw.people, {"company": "C1"})
    with KintoneServer(path) as server:
        url = f"{server.url}/k/v1/records.json?app={raw.people.id}"
        headers = {"X-Cybozu-API-Token": raw.tokens}
        record = requests.get(url, headers=headers, timeout=10).json()["records"][0]
        assert record["company"]["value"] == "C1"
        again: Json = {"app": raw.companies.id, "record": {"name": {"value": "m"}}}
        again["record"]["code"] = {"value": "C1"}
        url = f"{server.url}/k/v1/record.json"
        twice = requests.post(url, json=again, headers=headers, timeout=10)
        assert "record.code.value" in twice.json()["errors"]
        state = f"{server.url}/_sandbox/state"
        held = json.loads(requests.get(state, timeout=10).text)["apps"]
        assert held["Companies"]["records"] == 1


def test_an_app_deleted_with_a_record_of_it_changed_leaves_the_others_in_order(raw):
    made = raw("POST", "record.json", {"app": raw.people.id, "record": {}})
    record = raw.people.records[int(made.json()["id"])]
    domain = raw.server.domain
    with domain.change():
        domain.put(raw.people, record)
        domain.drop_app(raw.people)
    again = raw("GET", "records.json", {"app": raw.companies.id})
    assert again.json()["code"] == "GAIA_IA02", "its token went with it"
    raw.tokens = raw.server.token(raw.companies)
    row = {"name": {"value": "A"}, "code": {"value": "a"}}
    assert raw("POST", "record.json", {"app": raw.companies.id, "record": row}).ok
