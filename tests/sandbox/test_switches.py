"""Every switch makes a difference that a client sees, in each of its values.

A probe does something that the switch decides, through the API alone, and returns what
came of it; `SEEN` says what that must be under each value. A switch without a probe, or
a value without an expectation, fails the last test.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import combinations
from typing import Any

import pytest

from connections.sandbox.hubspot.switches import TABLE, Value
from connections.sandbox.server import SandboxServer
from tests.sandbox.calls import HUBSPOT, PLAIN, PRIMARY, Http, pair, specs

ENDS = ("contacts", "companies")
BOTH = {PLAIN, PRIMARY}
USER = "USER_DEFINED"


class Scene:
    """Contacts ann and bob, companies a, b and c, a deal; no links."""

    def __init__(self, server: SandboxServer) -> None:
        self.server = server
        self.http = Http(server.hubspot_url, server.token)
        self.control: SandboxServer = server.control
        make = self.http.make
        self.ids = {n: make("contacts", email=f"{n}@x.example") for n in ("ann", "bob")}
        self.ids |= {name: make("companies", name=name) for name in "abc"}
        deal = {"dealname": "D", "dealstage": "closedwon", "pipeline": "default"}
        self.ids["deal"] = make("deals", **deal)

    def link(self, one: str, two: str, *types: int) -> None:
        """Link a contact and a company by their names here."""
        self.http.link(self.ids[one], self.ids[two], *types)

    def put(self, one: str, two: str, types: list[dict[str, object]]) -> Any:
        ends = self.ids[one], "companies", self.ids[two]
        return self.http.put_types("contacts", *ends, types)

    def links(self, one: str = "ann") -> dict[str, set[int]]:
        """Return a contact's companies by name, with their types."""
        names = {self.ids[name]: name for name in "abc"}
        found = self.http.types(self.ids[one])
        return {names[far]: types for far, types in found.items()}

    def label(self, name: str) -> int:
        body = {"label": name.title(), "name": name}
        made = self.http.create_label(*ENDS, body).ok()["results"]
        return int(made[0]["typeId"])

    def pairs(self, *names: str) -> list[dict[str, Any]]:
        """Return pairs for a batch: "ann a" and so on."""
        ends = [[self.ids[word] for word in name.split()] for name in names]
        return [pair(one, two, PLAIN) for one, two in ends]

    def next_version(self) -> Http:
        return Http(self.server.hubspot_url, self.server.token, "2026-09")


# Primary types


def second_primary(s: Scene) -> object:
    s.link("ann", "a")
    status = s.put("ann", "b", specs(PLAIN, PRIMARY)).status
    return status, s.links()


def labels_without_primary(s: Scene) -> object:
    s.link("ann", "a")
    wage = s.label("wage")
    s.put("ann", "a", specs(PLAIN) + specs(wage, category=USER)).ok(201)
    return s.links()["a"] - {wage}


def first_link_primary(s: Scene) -> object:
    s.link("ann", "a")
    s.link("bob", "a", PLAIN)
    return s.links("ann"), s.links("bob")


def moved_primary_reported(s: Scene) -> object:
    """By single and batch write; a primary that was asked for is named once."""
    one = s.put("ann", "a", specs(PLAIN)).ok(201)["labels"]
    rows = s.pairs("bob a")
    (two,) = s.http.link_batch(*ENDS, "create", rows).ok(201)["results"]
    asked = s.put("ann", "b", specs(PLAIN, PRIMARY)).ok(201)["labels"]
    assert asked == ["Primary"]
    return one, two["labels"]


# Labels


def label_write(s: Scene) -> object:
    s.link("ann", "c")
    names = {s.label(name): name for name in ("one", "two")}
    for type_id in names:
        s.put("ann", "a", specs(PLAIN) + specs(type_id, category=USER)).ok(201)
    return {names[t] for t in s.links()["a"] if t in names}


def primary_archive(s: Scene) -> object:
    s.link("ann", "a")
    rows = [pair(s.ids["ann"], s.ids["a"], PRIMARY)]
    status = s.http.link_batch(*ENDS, "labels/archive", rows).status
    return status, s.links()


# Limits


def limit_error(s: Scene) -> object:
    row = {"category": HUBSPOT, "typeId": PLAIN, "maxToObjectIds": 1}
    s.http.caps_batch(*ENDS, "create", [row]).ok(201)
    rows = s.pairs("ann a", "ann b", "bob b")
    status = s.http.link_batch(*ENDS, "create", rows).status
    return status, sorted(s.links("ann")), sorted(s.links("bob"))


def technical_cap(s: Scene) -> object:
    rows = s.pairs("ann a", "ann b", "ann c")
    status = s.http.link_batch(*ENDS, "create", rows).status
    told = s.http.get("/crm/limits/2026-03/associations/records/0-1/0-2").ok()
    return status, len(s.links()), told["limit"]


# Modified dates


def link_moves_date(s: Scene) -> object:
    """Of a contact and a company, which have roll-ups, and of a contact and a deal."""
    kinds = {"ann": "contacts", "a": "companies", "bob": "contacts", "deal": "deals"}

    def dates() -> dict[str, str]:
        return {
            name: s.http.read(kind, s.ids[name]).ok()["updatedAt"]
            for name, kind in kinds.items()
        }

    before = dates()
    s.control.set_clock(60)
    s.link("ann", "a")
    s.http.put_default("contacts", s.ids["bob"], "deals", s.ids["deal"]).ok()
    after = dates()
    return {name for name in kinds if after[name] != before[name]}


def equal_write_moves_date(s: Scene) -> object:
    before = s.http.read("contacts", s.ids["ann"]).ok()["updatedAt"]
    same = {"email": "ann@x.example"}
    after = s.http.update("contacts", s.ids["ann"], same).ok()["updatedAt"]
    return after != before


# Versions


def single_read_2026_09(s: Scene) -> object:
    ends = ("contacts", s.ids["ann"], "companies")
    assert s.http.read_links(*ends).status == 200
    return s.next_version().read_links(*ends).status


def partial_status_2026_09(s: Scene) -> object:
    asked = {"properties": [], "inputs": [{"id": s.ids["ann"]}, {"id": "99"}]}
    assert s.http.batch("contacts", "read", asked).status == 207
    got = s.next_version().batch("contacts", "read", asked)
    assert len(got.body["errors"]) == 1
    return got.status


# Sizes


def association_page(s: Scene) -> object:
    for name in "abc":
        s.link("ann", name)
    (row,) = s.http.link_batch(*ENDS, "read", [{"id": s.ids["ann"]}]).results
    return len(row["to"]), "paging" in row


def archive_from_cap(s: Scene) -> object:
    rows = [
        {"from": {"id": s.ids[name]}, "to": [{"id": s.ids["a"]}]}
        for name in ("ann", "bob")
    ]
    return s.http.link_batch(*ENDS, "archive", rows).status


def pair_batch_cap(s: Scene) -> object:
    rows = s.pairs("ann a", "bob a")
    plain = [{"from": row["from"], "to": row["to"]} for row in rows]
    made = s.http.link_batch(*ENDS, "associate/default", plain).status
    return made, s.http.link_batch(*ENDS, "labels/archive", rows).status


# Scopes, archived records, the rest


def association_scopes(s: Scene) -> object:
    one_end = Http(s.server.hubspot_url, s.server.tokens["Contacts only"])
    return one_end.read_links("contacts", s.ids["ann"], "companies").status


def archive_hides_links(s: Scene) -> object:
    """Of an archived far record, and of the archived record itself."""
    s.link("ann", "a")
    s.link("bob", "b")
    s.http.archive("companies", s.ids["a"])
    s.http.archive("contacts", s.ids["bob"])
    return sorted(s.links("ann")), sorted(s.links("bob"))


def restore_brings_links(s: Scene) -> object:
    s.link("ann", "a")
    s.http.archive("companies", s.ids["a"])
    s.control.restore("companies", s.ids["a"])
    return s.links()


def archived_read(s: Scene) -> object:
    s.http.archive("contacts", s.ids["ann"])
    got = s.http.read("contacts", s.ids["ann"])
    assert s.http.read("contacts", s.ids["ann"], archived=True).status == 200
    assert s.http.update("contacts", s.ids["ann"], {"city": "Oslo"}).status == 404
    return got.status, got.body.get("archived")


def domain_unique(s: Scene) -> object:
    s.http.make("companies", domain="a.example")
    return s.http.create("companies", {"domain": "a.example"}).status


def retry_after(s: Scene) -> object:
    s.control.set_limits(enforced=True, general_per_10s=1, search_per_second=1)
    s.control.reset_counts()
    s.http.page("contacts").ok()
    refused = s.http.page("contacts")
    assert refused.status == 429
    wait = refused.headers.get("Retry-After")
    return wait is not None and 1 <= int(wait) <= 10


def association_bucket(s: Scene) -> object:
    s.control.set_limits(enforced=True, general_per_10s=1)
    s.control.reset_counts()
    s.http.labels(*ENDS).ok()
    return s.http.page("contacts").status


def id_form(s: Scene) -> object:
    """In reads of both kinds and in the answer to a write."""
    put = s.put("ann", "a", specs(PLAIN)).ok(201)
    single = s.http.read_links("contacts", s.ids["ann"], "companies").results[0]
    batch = s.http.link_batch(*ENDS, "read", [{"id": s.ids["ann"]}]).results[0]
    found = [single["toObjectId"], batch["to"][0]["toObjectId"], put["toObjectId"]]
    assert {str(record_id) for record_id in found} == {s.ids["a"]}
    return {type(record_id) for record_id in [*found, put["fromObjectId"]]}


def unset_values(s: Scene) -> object:
    """In a list, a read, a batch read, a search and the answer to a write."""
    s.control.set_switches(search_lag_s=0)
    batch = {"properties": ["lastname"], "inputs": [{"id": s.ids["ann"]}]}
    rows = [
        s.http.page("contacts", properties="lastname").results[0],
        s.http.read("contacts", s.ids["ann"], properties="lastname").ok(),
        s.http.batch("contacts", "read", batch | {"propertiesWithHistory": []}).results[
            0
        ],
        s.http.search("contacts", {"properties": ["lastname"]}).results[0],
        s.http.update("contacts", s.ids["ann"], {"lastname": ""}).ok(),
    ]
    return {row["properties"].get("lastname", "left out") for row in rows}


def search_lag_s(s: Scene) -> object:
    return s.http.search("contacts", {}).ok()["total"]


Probe = Callable[[Scene], object]
SEEN: dict[Probe, dict[Value, object]] = {
    second_primary: {
        "demote": (201, {"a": {PLAIN}, "b": BOTH}),
        "refuse": (400, {"a": BOTH}),
    },
    labels_without_primary: {"drop": {PLAIN}, "keep": BOTH},
    first_link_primary: {
        "every_path": ({"a": BOTH}, {"a": BOTH}),
        "default_writes": ({"a": BOTH}, {"a": {PLAIN}}),
        "never": ({"a": {PLAIN}}, {"a": {PLAIN}}),
    },
    moved_primary_reported: {True: (["Primary"], ["Primary"]), False: ([], [])},
    label_write: {"replace": {"two"}, "add": {"one", "two"}},
    primary_archive: {
        "leaves_plain": (200, {"a": {PLAIN}}),
        "removes_pair": (200, {}),
        "refused": (207, {"a": BOTH}),
    },
    limit_error: {
        "errors_entry": (207, ["a"], ["b"]),
        "status_400": (400, [], []),
    },
    technical_cap: {50_000: (201, 3, 50_000), 2: (207, 2, 2)},
    link_moves_date: {
        "never": set(),
        "with_roll_up": {"ann", "a"},
        "always": {"ann", "a", "bob", "deal"},
    },
    equal_write_moves_date: {True: True, False: False},
    single_read_2026_09: {True: 200, False: 404},
    partial_status_2026_09: {207: 207, 200: 200},
    association_page: {500: (3, False), 2: (2, True)},
    archive_from_cap: {100: 200, 1: 400},
    pair_batch_cap: {1_000: (200, 200), 1: (400, 400)},
    association_scopes: {"one_end": 200, "both_ends": 403},
    archive_hides_links: {True: ([], []), False: (["a"], ["b"])},
    restore_brings_links: {True: {"a": BOTH}, False: {}},
    archived_read: {"hidden": (404, None), "shown": (200, True)},
    domain_unique: {False: 201, True: 409},
    retry_after: {False: False, True: True},
    association_bucket: {"separate": 200, "inside": 429},
    id_form: {"strings": {str}, "numbers": {int}},
    unset_values: {"null": {None}, "left_out": {"left out"}},
    search_lag_s: {1.5: 0, 0: 2},
}
CASES = [
    pytest.param(probe, value, seen, id=f"{probe.__name__}={value}")
    for probe, values in SEEN.items()
    for value, seen in values.items()
]


@pytest.mark.parametrize(("probe", "value", "seen"), CASES)
def test_a_switch_shows_in_what_a_client_sees(server, probe, value, seen):
    server.control.set_switches(**{probe.__name__: value})
    assert probe(Scene(server)) == seen


@pytest.mark.parametrize("probe", SEEN, ids=lambda probe: probe.__name__)
def test_a_switch_left_alone_is_at_its_default(server, probe):
    (switch,) = [s for s in TABLE if s.name == probe.__name__]
    assert probe(Scene(server)) == SEEN[probe][switch.default]


def test_every_value_of_every_switch_is_seen_and_differs_from_the_others():
    seen = {probe.__name__: values for probe, values in SEEN.items()}
    assert set(seen) == {switch.name for switch in TABLE}
    for switch in TABLE:
        values = seen[switch.name]
        assert set(switch.values) <= set(values), switch.name
        assert len(values) > 1, f"{switch.name}: one value shows no difference"
        for one, other in combinations(values.values(), 2):
            assert one != other, switch.name
