"""What a link becomes by itself: primaries, the plain type, replaced labels."""

from __future__ import annotations

import pytest

from tests.sandbox.calls import PLAIN, PRIMARY, Http, pair, spec, specs

FIRST = {"contacts": (279, 1), "deals": (341, 5), "tickets": (339, 26)}
NEEDED = {
    "contacts": {"email": "ann@x.example"},
    "deals": {"dealname": "D", "dealstage": "closedwon", "pipeline": "default"},
    "tickets": {"subject": "T", "hs_pipeline": "0", "hs_pipeline_stage": "1"},
}
USER = "USER_DEFINED"


@pytest.fixture
def world(http: Http) -> dict[str, str]:
    """Ann, and companies a, b and c; no links."""
    made = {n: http.make("companies", name=n) for n in "abc"}
    return made | {"ann": http.make("contacts", email="ann@x.example")}


def label(
    http: Http, name: str, ends: tuple[str, str] = ("contacts", "companies")
) -> int:
    made = http.create_label(*ends, {"label": name.title(), "name": name}).ok()
    return int(made["results"][0]["typeId"])


def put(
    http: Http, one: str, two: str, plain: bool, *labels: int, primary: bool = False
) -> None:
    types = specs(*([PLAIN] if plain else []), *([PRIMARY] if primary else []))
    types += specs(*labels, category=USER)
    http.put_types("contacts", one, "companies", two, types).ok(201)


# The first primary


def by_default_put(http, kind, one, far):
    http.put_default(kind, one, "companies", far).ok()
    return one


def by_default_batch(http, kind, one, far):
    http.link_batch(kind, "companies", "associate/default", [pair(one, far)]).ok()
    return one


def by_labelled_put(http, kind, one, far):
    plain = specs(FIRST[kind][0])
    http.put_types(kind, one, "companies", far, plain).ok(201)
    return one


def by_labelled_batch(http, kind, one, far):
    rows = [pair(one, far, FIRST[kind][0])]
    http.link_batch(kind, "companies", "create", rows).ok(201)
    return one


def from_the_company(http, kind, one, far):
    http.put_default("companies", far, kind, one).ok()
    return one


def while_created(http, kind, one, far):
    link = {"to": {"id": far}, "types": [spec(FIRST[kind][0])]}
    http.archive(kind, one)
    made = http.create(kind, NEEDED[kind], [link]).ok(201)
    return made["id"]


DEFAULT_WRITES = (by_default_put, by_default_batch, from_the_company)
WRITES = (*DEFAULT_WRITES, by_labelled_put, by_labelled_batch, while_created)


@pytest.mark.parametrize("write", WRITES)
@pytest.mark.parametrize("rule", ["every_path", "default_writes", "never"])
def test_the_first_company_becomes_primary_as_the_switch_says(
    http, control, world, rule, write
):
    control.set_switches(first_link_primary=rule)
    one = write(http, "contacts", world["ann"], world["a"])
    first = rule == "every_path" or (
        rule == "default_writes" and write in DEFAULT_WRITES
    )
    assert http.types(one) == {world["a"]: {PLAIN, PRIMARY} if first else {PLAIN}}


@pytest.mark.parametrize("kind", FIRST)
def test_contacts_deals_and_tickets_have_a_first_primary(http, world, kind):
    one = world["ann"] if kind == "contacts" else http.make(kind, **NEEDED[kind])
    http.put_default(kind, one, "companies", world["a"]).ok()
    assert http.types(one, kind) == {world["a"]: set(FIRST[kind])}


def test_a_second_company_does_not_become_primary(http, world):
    for name in "ab":
        http.link(world["ann"], world[name])
    assert http.types(world["ann"])[world["b"]] == {PLAIN}


def test_one_company_may_be_the_primary_of_many(http, world):
    bob = http.make("contacts", email="bob@x.example")
    for one in (world["ann"], bob):
        http.link(one, world["a"])
    back = http.types(world["a"], "companies", "contacts")
    assert back == {world["ann"]: {280, 2}, bob: {280, 2}}


def test_a_primary_that_is_unlinked_has_no_successor(http, world):
    for name in "ab":
        http.link(world["ann"], world[name])
    http.remove_pair("contacts", world["ann"], "companies", world["a"])
    assert http.types(world["ann"]) == {world["b"]: {PLAIN}}


# Demotion


def test_a_hidden_primary_is_no_reason_to_refuse_a_plain_link(http, control, world):
    control.set_switches(second_primary="refuse")
    put(http, world["ann"], world["a"], plain=True, primary=True)
    http.archive("companies", world["a"])
    http.put_default("contacts", world["ann"], "companies", world["b"]).ok()
    assert http.types(world["ann"]) == {world["b"]: {PLAIN}}


def test_a_second_primary_demotes_the_former_to_a_plain_link(http, world):
    http.link(world["ann"], world["a"])
    http.link(world["ann"], world["b"], PLAIN, PRIMARY)
    assert http.types(world["ann"]) == {
        world["a"]: {PLAIN},
        world["b"]: {PLAIN, PRIMARY},
    }
    assert http.types(world["a"], "companies", "contacts") == {world["ann"]: {280}}


def test_a_primary_written_from_the_company_demotes_as_well(http, world):
    http.link(world["ann"], world["a"])
    http.put_types("companies", world["b"], "contacts", world["ann"], specs(2)).ok(201)
    assert http.types(world["ann"]) == {
        world["a"]: {PLAIN},
        world["b"]: {PLAIN, PRIMARY},
    }


def test_demotion_keeps_the_labels_of_the_former_primary(http, world):
    wage = label(http, "wage")
    put(http, world["ann"], world["a"], True, wage, primary=True)
    http.link(world["ann"], world["b"], PLAIN, PRIMARY)
    assert http.types(world["ann"])[world["a"]] == {PLAIN, wage}


def test_a_default_write_moves_no_primary(http, world):
    http.link(world["ann"], world["a"])
    http.link(world["ann"], world["b"], PLAIN, PRIMARY)
    http.link(world["ann"], world["a"])
    http.link(world["ann"], world["b"])
    assert http.types(world["ann"]) == {
        world["a"]: {PLAIN},
        world["b"]: {PLAIN, PRIMARY},
    }


# The plain type, and labels


def test_the_plain_type_stands_beside_every_other(http, world):
    wage = label(http, "wage")
    put(http, world["ann"], world["a"], False, primary=True)
    put(http, world["ann"], world["b"], False, wage)
    assert http.types(world["ann"]) == {
        world["a"]: {PLAIN, PRIMARY},
        world["b"]: {PLAIN, wage},
    }


def test_a_new_label_replaces_the_one_that_stood(http, world):
    http.link(world["ann"], world["c"])  # so that a is not the first
    one, two = label(http, "one"), label(http, "two")
    put(http, world["ann"], world["a"], True, one)
    put(http, world["ann"], world["a"], True, two)
    assert http.types(world["ann"])[world["a"]] == {PLAIN, two}
    put(http, world["ann"], world["a"], True, one, two)
    assert http.types(world["ann"])[world["a"]] == {PLAIN, one, two}


def test_removing_the_plain_type_removes_labels_and_primary(http, world):
    wage = label(http, "wage")
    put(http, world["ann"], world["a"], True, wage, primary=True)
    assert http.types(world["ann"])[world["a"]] == {PLAIN, PRIMARY, wage}
    rows = [pair(world["ann"], world["a"], PLAIN)]
    http.link_batch("contacts", "companies", "labels/archive", rows).ok()
    assert http.types(world["ann"]) == {}


def test_archiving_one_label_leaves_the_others(http, world):
    one, two = label(http, "one"), label(http, "two")
    put(http, world["ann"], world["a"], True, one, two, primary=True)
    rows = [pair(world["ann"], world["a"], one, category=USER)]
    http.link_batch("contacts", "companies", "labels/archive", rows).ok()
    assert http.types(world["ann"])[world["a"]] == {PLAIN, PRIMARY, two}


def test_a_paired_label_reads_as_its_inverse_from_the_other_end(http, world):
    body = {"label": "Boss", "name": "boss", "inverseLabel": "Staff"}
    there, back = http.create_label("contacts", "companies", body).ok()["results"]
    put(http, world["ann"], world["a"], True, there["typeId"])
    found = http.types(world["a"], "companies", "contacts")[world["ann"]]
    assert back["typeId"] in found
    assert there["typeId"] != back["typeId"]


def test_parent_and_child_companies_are_each_others_inverse(http, world):
    http.put_types("companies", world["a"], "companies", world["b"], specs(13)).ok(201)
    assert http.types(world["a"], "companies") == {world["b"]: {450, 13}}
    assert http.types(world["b"], "companies") == {world["a"]: {450, 14}}


def test_a_symmetric_label_between_two_contacts_reads_the_same(http, world):
    bob = http.make("contacts", email="bob@x.example")
    pals = label(http, "pals", ("contacts", "contacts"))
    types = specs(pals, category=USER)
    http.put_types("contacts", world["ann"], "contacts", bob, types).ok(201)
    assert http.types(world["ann"], other="contacts") == {bob: {449, pals}}
    assert http.types(bob, other="contacts") == {world["ann"]: {449, pals}}


# What links do not do


def test_links_move_no_modified_date(http, control, world):
    names = ("lastmodifieddate", "hs_lastmodifieddate")
    before = [
        http.shown("contacts", world["ann"], names[0]),
        http.shown("companies", world["a"], names[1]),
    ]
    control.set_clock(60)
    http.link(world["ann"], world["a"])
    put(http, world["ann"], world["a"], True, label(http, "wage"))
    http.remove_pair("contacts", world["ann"], "companies", world["a"])
    after = [
        http.shown("contacts", world["ann"], names[0]),
        http.shown("companies", world["a"], names[1]),
    ]
    assert after == before
    http.update("contacts", world["ann"], {"city": "Oslo"}).ok()
    assert http.shown("contacts", world["ann"], names[0]) != before[0]


def test_the_mirrored_company_id_follows_the_primary_and_is_read_only(http, world):
    def mirrored():
        return http.shown("contacts", world["ann"], "associatedcompanyid")

    assert mirrored() == {"associatedcompanyid": None}
    http.link(world["ann"], world["a"])
    http.link(world["ann"], world["b"], PLAIN, PRIMARY)
    assert mirrored() == {"associatedcompanyid": world["b"]}
    written = {"associatedcompanyid": world["a"]}
    assert http.update("contacts", world["ann"], written).status == 400
    count = "num_associated_contacts"
    assert http.shown("companies", world["a"], count) == {count: "1"}
