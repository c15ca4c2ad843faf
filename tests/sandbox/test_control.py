"""Faults, latency and limits on demand; state that stays, and a reset that empties."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from connections.sandbox.hubspot.switches import TABLE
from connections.sandbox.server import SandboxServer
from tests.sandbox.calls import Http, inputs
from tests.test_sandbox_command import free_port, sandbox


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that PostgreSQL's own user gets into; pytest's are its owner's alone."""
    with tempfile.TemporaryDirectory(prefix="crosslink-sandbox-") as name:
        Path(name).chmod(0o755)
        yield Path(name)


def lever(http: Http, name: str, body: object = None) -> None:
    http.post(f"/_sandbox/{name}", body).ok()


# Faults


def set_faults(http: Http, *specs: str) -> None:
    lever(http, "faults", {"faults": list(specs)})


@pytest.mark.parametrize("spec", ["503", "status=503", "477", "423", "401"])
def test_a_status_is_answered_instead_of_the_effect(http, spec):
    set_faults(http, f"{spec},method=POST")
    got = http.create("contacts", {"email": "ann@x.example"})
    assert got.status == int(spec.removeprefix("status="))
    assert got.body["status"] == "error"
    set_faults(http)
    assert http.page("contacts").results == []


def test_a_status_may_say_when_to_come_back(http):
    """As an account does that moves between data-hosting regions."""
    set_faults(http, "477,retry_after=60")
    got = http.page("contacts")
    assert (got.status, got.headers["Retry-After"]) == (477, "60")
    set_faults(http, "477")
    assert "Retry-After" not in http.page("contacts").headers


def test_a_status_after_the_effect_hides_that_it_was_done(http):
    set_faults(http, "status=502,method=POST,when=after")
    assert http.create("contacts", {"email": "ann@x.example"}).status == 502
    assert len(http.page("contacts").results) == 1


@pytest.mark.parametrize(("when", "made"), [("before", 0), ("after", 1)])
def test_a_connection_is_dropped_before_or_after_the_effect(http, when, made):
    set_faults(http, f"drop,method=POST,when={when}")
    with pytest.raises(requests.exceptions.ConnectionError):
        http.create("contacts", {"email": "ann@x.example"})
    assert len(http.page("contacts").results) == made


def test_an_answer_is_held_back_and_then_dropped(http, server):
    set_faults(http, "timeout=30,method=GET,nth=1")
    with pytest.raises(requests.exceptions.ReadTimeout):
        requests.get(f"{server.hubspot_url}/crm/objects/2026-03/contacts", timeout=0.2)
    set_faults(http, "timeout=0.1,method=GET,nth=1")
    with pytest.raises(requests.exceptions.ConnectionError):
        http.page("contacts")
    assert http.page("contacts").status == 200


@pytest.mark.parametrize(("spec", "rows"), [("truncate", 0), ("truncate=2", 2)])
def test_a_list_loses_its_end_and_its_cursor(http, spec, rows):
    made = inputs([{"email": f"p{n}@x.example"} for n in range(12)])
    http.batch("contacts", "create", made).ok(201)
    set_faults(http, spec)
    got = http.page("contacts")
    assert (got.status, len(got.results)) == (200, rows)
    assert "paging" not in got.body


def test_a_list_lacks_rows_comes_again_or_the_other_way_round(http):
    made = inputs([{"email": f"p{n}@x.example"} for n in range(4)])
    http.batch("contacts", "create", made).ok(201)
    usual = [row["id"] for row in http.page("contacts").results]
    set_faults(http, "omit=3")
    assert [row["id"] for row in http.page("contacts").results] == [
        usual[0],
        usual[1],
        usual[3],
    ]
    set_faults(http, "shuffle")
    assert [row["id"] for row in http.page("contacts").results] == usual[::-1]
    set_faults(http, "repeat,nth=2")
    first = http.page("contacts", limit=2).body
    assert http.page("contacts", limit=2, after=usual[1]).body == first


def test_a_connection_is_cut_in_the_middle_of_an_answer(http):
    set_faults(http, "cut,nth=1")
    with pytest.raises(requests.exceptions.ChunkedEncodingError):
        http.page("contacts")
    assert http.page("contacts").status == 200


def test_garbage_is_a_200_that_is_no_json(http):
    set_faults(http, "garbage")
    with pytest.raises(requests.exceptions.JSONDecodeError):
        http.page("contacts")


def test_a_hollow_answer_is_an_object_without_anything(http):
    set_faults(http, "hollow")
    answer = http.page("contacts")
    assert (answer.status, answer.body) == (200, {})


@pytest.mark.parametrize(
    ("spec", "statuses"),
    [
        ("503,nth=2", [200, 503, 200, 200]),
        ("503,times=2", [503, 503, 200, 200]),
        ("503,nth=2,times=2", [200, 503, 503, 200]),
        ("503,path=/companies", [200, 200, 200, 200]),
        ("503,path=/contacts", [503, 503, 503, 503]),
        ("503,method=post", [200, 200, 200, 200]),
    ],
)
def test_a_fault_strikes_the_calls_that_it_names(http, spec, statuses):
    set_faults(http, spec)
    assert [http.page("contacts").status for _ in range(4)] == statuses


def test_faults_tell_how_often_they_struck_and_are_lifted(http):
    set_faults(http, "503,nth=2")
    for _ in range(3):
        http.page("contacts")
    found = http.get("/_sandbox/faults").ok()
    assert found == [{"spec": "503,nth=2", "seen": 3, "fired": 1}]
    set_faults(http)
    assert http.get("/_sandbox/faults").ok() == []


@pytest.mark.parametrize(
    "spec",
    ["explode", "status", "503,nth=soon", "503,when=never", "503,colour=red", "omit=0"],
)
def test_a_fault_that_can_not_be_understood_changes_nothing(http, spec):
    set_faults(http, "503,nth=9")
    refused = http.post("/_sandbox/faults", {"faults": ["drop", spec]})
    assert refused.status == 400
    assert [row["spec"] for row in http.get("/_sandbox/faults").ok()] == ["503,nth=9"]


# Latency, limits, clock


def test_latency_is_added_to_every_call(http):
    def took() -> float:
        start = time.monotonic()
        http.page("contacts").ok()
        return time.monotonic() - start

    lever(http, "latency", {"ms": 150})
    assert took() >= 0.15
    lever(http, "latency", {"ms": 0})
    assert min(took() for _ in range(3)) < 0.15


def test_limits_are_switched_on_and_off_while_it_runs(http):
    lever(http, "limits", {"enforced": True, "general_per_10s": 1})
    assert [http.page("contacts").status for _ in range(2)] == [200, 429]
    lever(http, "limits", {"enforced": False})
    assert http.page("contacts").status == 200
    assert http.post("/_sandbox/limits", {"nonsense": 1}).status == 400


def test_the_clock_can_be_put_forward(http):
    lever(http, "clock", {"offset_s": 86_400 * 365})
    made = http.create("contacts", {"email": "ann@x.example"}).ok(201)
    lever(http, "clock", {"offset_s": 0})
    later = http.create("contacts", {"email": "bob@x.example"}).ok(201)
    assert made["createdAt"] > later["createdAt"]


def test_switches_tell_their_values_and_meaning_and_refuse_others(http):
    found = http.get("/_sandbox/switches").ok()
    assert list(found) == [switch.name for switch in TABLE]
    assert all(row["meaning"].endswith(".") for row in found.values())
    lever(http, "switches", {"first_link_primary": "never", "retry_after": True})
    found = http.get("/_sandbox/switches").ok()
    assert found["first_link_primary"]["value"] == "never"
    for wrong in ({"nonsense": 1}, {"first_link_primary": "perhaps"}):
        refused = http.post("/_sandbox/switches", {"retry_after": False} | wrong)
        assert refused.status == 400
    assert http.get("/_sandbox/switches").ok()["retry_after"]["value"] is True


# Counts


def test_calls_are_counted_by_kind_whatever_the_path_family(http, server, control):
    made = http.make("contacts", email="ann@x.example")
    old = requests.get(
        f"{server.hubspot_url}/crm/v3/objects/0-1/{made}",
        headers={"Authorization": f"Bearer {server.token}"},
        timeout=30,
    )
    assert old.status_code == 200
    http.read("contacts", "99")
    assert control.counts() == {
        "GET objects/contacts/{record}": 2,
        "POST objects/contacts": 1,
    }
    assert control.statuses() == {200: 1, 201: 1, 404: 1}
    control.reset_counts()
    assert control.counts() == {}
    assert http.read("contacts", made).status == 200, "records stay"


def test_writes_are_logged_and_reads_are_not(http, control):
    http.create("contacts", {"email": "ann@x.example"}).ok(201)
    http.page("contacts").ok()
    http.search("contacts", {}).ok()
    http.link_batch("contacts", "companies", "read", [{"id": "1"}])
    (row,) = control.writes()
    assert (row["method"], row["status"]) == ("POST", 201)
    assert row["body"]["properties"] == {"email": "ann@x.example"}


# State


def test_state_survives_a_restart_and_a_reset_empties_it(tmp_path):
    file = tmp_path / "hubspot.sqlite3"
    with SandboxServer(file) as server:
        http = Http(server.hubspot_url, server.token)
        ann = http.make("contacts", email="ann@x.example")
        far = http.make("companies", name="A")
        gone = http.make("companies", name="B")
        http.archive("companies", gone)
        http.link(ann, far)
        label = {"label": "Wage", "name": "wage"}
        http.create_label("contacts", "companies", label).ok()
        body = {"name": "shoe", "label": "Shoe", "groupName": "information"}
        body |= {"type": "string", "fieldType": "text"}
        http.create_property("contacts", body).ok(201)
    with SandboxServer(file) as server:
        http = Http(server.hubspot_url, server.token)
        assert http.types(ann) == {far: {279, 1}}
        assert http.page("companies", archived=True).ids == [gone]
        assert "Wage" in {r["label"] for r in http.labels("0-1", "0-2").results}
        assert http.create("contacts", {"email": "ann@x.example"}).status == 409
        assert http.update("contacts", ann, {"shoe": "42"}).status == 200
        new = http.make("contacts", email="bob@x.example")
        assert new != ann
        server.control.settle()
        assert http.search("contacts", {}).ok()["total"] == 2
        server.control.reset()
        assert http.page("contacts").results == []
        assert http.page("companies", archived=True).results == []
        assert "Wage" not in {r["label"] for r in http.labels("0-1", "0-2").results}
        assert http.property("contacts", "shoe").status == 404
        assert http.search("contacts", {}).ok()["total"] == 0
        assert server.control.writes() == []
        assert [row["name"] for row in http.schemas().results] == ["vessels"]


# The command


@pytest.mark.slow
def test_the_command_takes_faults_switches_latency_and_a_reset(folder):
    """Three starts: with everything on demand, plain on the same state, reset."""
    common = ("--port-base", str(free_port()), "--seed", "empty", "--rate-limits")
    given = (
        *("--fault", "503,path=/companies,nth=2", "--fault", "garbage,path=/deals"),
        *("--switch", "first_link_primary=never", "--switch", "technical_cap=7"),
        *("--latency-ms", "50"),
    )
    with sandbox(folder, *common, "real", *given) as where:
        http = Http(where["hubspot"], where["token"])
        assert [http.page("companies").status for _ in range(3)] == [200, 503, 200]
        with pytest.raises(requests.exceptions.JSONDecodeError):
            http.page("deals")
        ann = http.make("contacts", email="ann@x.example")
        far = http.make("companies", name="A")
        http.link(ann, far)
        assert http.types(ann) == {far: {279}}
        found = http.get("/_sandbox/state").ok()
        assert found["switches"]["technical_cap"] == 7
        assert found["limits"]["enforced"] is True
        start = time.monotonic()
        http.page("contacts").ok()
        assert time.monotonic() - start >= 0.05
    with sandbox(folder, *common, "off") as where:
        http = Http(where["hubspot"], where["token"])
        assert http.types(ann) == {far: {279}}
        found = http.get("/_sandbox/state").ok()
        assert found["faults"] == []
        assert found["switches"]["first_link_primary"] == "every_path"
        assert found["limits"]["enforced"] is False
    with sandbox(folder, *common, "off", "--reset") as where:
        http = Http(where["hubspot"], where["token"])
        assert http.page("contacts").results == []
        assert http.page("companies").results == []
