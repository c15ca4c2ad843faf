"""HubSpot's links: read to their end, written whole, refused one by one."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from connections.catalogue import Code
from connections.connectors.base import ConnectorError, LimitError
from connections.records import AssociationType, Edge, Linked, Outcome
from tests.contract.harness import HubSpotSystem

pytestmark = pytest.mark.contract
PLAIN = AssociationType("HUBSPOT_DEFINED", 279)
PRIMARY = AssociationType("HUBSPOT_DEFINED", 1)
READ, WRITE = "associations/contacts/companies/batch/read", "batch/create"


class Linkable:
    """Contacts and companies to link; the sandbox links nothing by itself."""

    def __init__(self, system: HubSpotSystem) -> None:
        self.system = system
        self.connector = system.connector
        self.control = system.sandbox.control
        self.control.set_switches(first_link_primary="never")

    def make(self, kind: str, count: int) -> list[str]:
        account = self.system.sandbox.hubspot.main
        with account.store.transaction():
            found = account.catalogue.kind(kind)
            name = "name" if kind == "companies" else "firstname"
            return [
                str(account.records.create(found, {name: f"r{n}"}).id)
                for n in range(count)
            ]

    def read(self, ids: Sequence[str]) -> dict[str, tuple[Linked, ...]]:
        return dict(self.connector.associations("0-1", "0-2", ids))

    def pairs(self, ids: Sequence[str]) -> dict[tuple[str, str], set[int]]:
        return {
            (record_id, link.to_id): {t.type_id for t in link.types}
            for record_id, links in self.read(ids).items()
            for link in links
        }

    def link(self, edges: Sequence[Edge]) -> list[Outcome]:
        return self.connector.associate("0-1", "0-2", edges)

    def cap(self, most: int) -> None:
        """Let a contact have so many companies."""
        item = {"category": "HUBSPOT_DEFINED", "typeId": 279, "maxToObjectIds": most}
        path = "/crm/associations/2026-03/definitions/configurations/0-1/0-2"
        made = self.system.api("POST", f"{path}/batch/create", {"inputs": [item]})
        assert made.status_code == 201, made.text


def edge(near: str, far: str, *types: AssociationType) -> Edge:
    return Edge(near, far, frozenset(types or (PLAIN,)))


@pytest.fixture
def linkable(hubspot: HubSpotSystem) -> Linkable:
    return Linkable(hubspot)


# Reading -------------------------------------------------------------------------------


def test_a_record_without_links_has_none_surely(linkable: Linkable):
    """HubSpot says so by an error of a 207, for one that does not exist alike."""
    (ann,) = linkable.make("contacts", 1)
    assert linkable.read([ann, "404404"]) == {ann: (), "404404": ()}
    assert linkable.read([]) == {}


@pytest.mark.parametrize("id_form", ["strings", "numbers"])
def test_every_type_of_a_pair_is_read(linkable: Linkable, id_form: str):
    linkable.control.set_switches(id_form=id_form)
    (ann,) = linkable.make("contacts", 1)
    one, two = linkable.make("companies", 2)
    linkable.link([edge(ann, one, PLAIN, PRIMARY), edge(ann, two)])
    found = linkable.read([ann])[ann]
    assert {link.to_id: link.types for link in found} == {
        one: frozenset({PLAIN, PRIMARY}),
        two: frozenset({PLAIN}),
    }
    assert len(found) == 2


@pytest.mark.parametrize("count", [0, 1, 2, 3, 4, 6, 7])
def test_a_records_list_is_read_to_its_end_by_its_own_pages(
    linkable: Linkable, count: int
):
    linkable.control.set_switches(association_page=3)
    ann, bob, cid = linkable.make("contacts", 3)
    companies = linkable.make("companies", 7)
    linkable.link([edge(ann, far, PLAIN) for far in companies[:count]])
    linkable.link([edge(bob, companies[0])])
    found = linkable.read([ann, bob, cid])
    assert [link.to_id for link in found[ann]] == companies[:count]
    assert [link.to_id for link in found[bob]] == companies[:1]
    assert found[cid] == ()


def test_reading_takes_a_call_for_a_thousand_records_and_one_for_each_page(
    linkable: Linkable,
):
    ids = linkable.make("contacts", 2_001)
    (company,) = linkable.make("companies", 1)
    linkable.link([edge(i, company) for i in ids[:1_500]])
    linkable.control.reset_counts()
    found = linkable.read([*ids, *ids[:5]])
    assert set(found) == set(ids)
    assert sum(len(links) for links in found.values()) == 1_500
    assert linkable.control.count(READ) == 3
    assert linkable.control.count("") == 3


def test_a_batch_that_lost_its_end_leaves_records_unknown(linkable: Linkable):
    """What is not in an answer is neither linked nor unlinked."""
    ids = linkable.make("contacts", 5)
    (company,) = linkable.make("companies", 1)
    linkable.link([edge(i, company) for i in ids])
    linkable.control.set_faults("truncate=2,path=batch/read")
    found = linkable.read(ids)
    assert len(found) == 2
    assert all(len(links) == 1 for links in found.values())


def test_links_to_a_custom_object_are_read_by_its_own_types(linkable: Linkable):
    vessels = linkable.system.discover("vessels")
    (plain,) = linkable.connector.association_types(vessels.id, "0-1")
    made = linkable.system.api(
        "POST",
        f"/crm/objects/2026-03/{vessels.id}",
        {"properties": {"vessel_name": "Anna"}, "associations": []},
    ).json()
    (ann,) = linkable.make("contacts", 1)
    kind = AssociationType(plain.category, plain.type_id)
    (outcome,) = linkable.connector.associate(
        vessels.id, "0-1", [edge(made["id"], ann, kind)]
    )
    assert outcome.ok
    found = linkable.connector.associations(vessels.id, "0-1", [made["id"]])
    assert found == {made["id"]: (Linked(ann, frozenset({kind})),)}


# Writing -------------------------------------------------------------------------------


def test_links_are_written_two_thousand_a_call(linkable: Linkable):
    ids = linkable.make("contacts", 2_001)
    (company,) = linkable.make("companies", 1)
    outcomes = linkable.link([edge(i, company) for i in ids])
    assert [o.ok for o in outcomes] == [True] * 2_001
    assert linkable.control.count(WRITE) == 2
    assert len(linkable.pairs(ids)) == 2_001


def test_nothing_to_write_makes_no_call(linkable: Linkable):
    linkable.control.reset_counts()
    assert linkable.link([]) == []
    assert linkable.connector.dissociate("0-1", "0-2", []) == []
    assert linkable.connector.unlabel("0-1", "0-2", []) == []
    assert linkable.control.count("") == 0


def test_the_set_of_types_that_is_written_stands_then(linkable: Linkable):
    (ann,) = linkable.make("contacts", 1)
    (acme,) = linkable.make("companies", 1)
    for types in ((PLAIN,), (PLAIN, PRIMARY), (PLAIN,), (PRIMARY, PLAIN)):
        (outcome,) = linkable.link([edge(ann, acme, *types)])
        assert outcome.ok
        assert linkable.pairs([ann]) == {(ann, acme): {t.type_id for t in types}}


def test_removing_a_pair_takes_every_type_and_no_other_pair(linkable: Linkable):
    ann, bob = linkable.make("contacts", 2)
    one, two = linkable.make("companies", 2)
    linkable.link(
        [edge(ann, one, PLAIN, PRIMARY), edge(ann, two), edge(bob, one), edge(bob, two)]
    )
    gone = [edge(ann, one), edge(bob, two)]
    for _ in range(2):  # one that is not there is gone too
        outcomes = linkable.connector.dissociate("0-1", "0-2", gone)
        assert [o.ok for o in outcomes] == [True, True]
        assert linkable.pairs([ann, bob]) == {(ann, two): {279}, (bob, one): {279}}


def test_pairs_are_removed_a_hundred_records_a_call(linkable: Linkable):
    ids = linkable.make("contacts", 101)
    one, two = linkable.make("companies", 2)
    edges = [edge(i, far) for far in (one, two) for i in ids]
    linkable.link(edges)
    outcomes = linkable.connector.dissociate("0-1", "0-2", edges)
    assert [o.ok for o in outcomes] == [True] * 202
    assert linkable.control.count("batch/archive") == 2
    assert linkable.pairs(ids) == {}


def test_taking_types_off_leaves_the_plain_link(linkable: Linkable):
    made = linkable.system.api(
        "POST",
        "/crm/associations/2026-03/contacts/companies/labels",
        {"label": "Advises", "name": "advises"},
    ).json()["results"]
    label = AssociationType("USER_DEFINED", made[0]["typeId"])
    (ann,) = linkable.make("contacts", 1)
    one, two = linkable.make("companies", 2)
    linkable.link([edge(ann, one, PLAIN, PRIMARY, label), edge(ann, two, PLAIN, label)])
    outcomes = linkable.connector.unlabel(
        "0-1", "0-2", [edge(ann, one, PRIMARY), edge(ann, two, label)]
    )
    assert [o.ok for o in outcomes] == [True, True]
    assert linkable.pairs([ann]) == {
        (ann, one): {279, label.type_id},
        (ann, two): {279},
    }


@pytest.mark.parametrize("verb", ["associate", "unlabel"])
@pytest.mark.parametrize("place", [0, 1, 2])
def test_a_pair_whose_record_is_gone_fails_alone(
    linkable: Linkable, verb: str, place: int
):
    ids = linkable.make("contacts", 3)
    (acme,) = linkable.make("companies", 1)
    linkable.link([edge(i, acme, PLAIN, PRIMARY) for i in ids])
    linkable.system.remove(ids[place])
    write = getattr(linkable.connector, verb)
    outcomes = write("0-1", "0-2", [edge(i, acme, PRIMARY) for i in ids])
    refused = outcomes.pop(place)
    assert (refused.ok, refused.uncertain, refused.code) == (
        False,
        False,
        Code.RECORD_GONE,
    )
    assert [o.ok for o in outcomes] == [True, True]


def test_a_type_there_is_not_is_told_of_every_pair_in_one_call(linkable: Linkable):
    ids = linkable.make("contacts", 50)
    (acme,) = linkable.make("companies", 1)
    odd = AssociationType("USER_DEFINED", 987_654)
    linkable.control.reset_counts()
    outcomes = linkable.link([edge(i, acme, odd) for i in ids])
    assert {o.code for o in outcomes} == {Code.TYPE_UNKNOWN}
    assert linkable.control.count(WRITE) == 1
    mixed = [edge(ids[0], acme), edge(ids[1], acme, odd), edge(ids[2], acme)]
    assert [o.ok for o in linkable.link(mixed)] == [True, False, True]


LIMIT_ERRORS = ["errors_entry", "status_400"]


@pytest.mark.parametrize("limit_error", LIMIT_ERRORS)
@pytest.mark.parametrize("place", [0, 4, 9])
def test_a_pair_over_the_limit_fails_alone(
    linkable: Linkable, limit_error: str, place: int
):
    linkable.control.set_switches(limit_error=limit_error)
    linkable.cap(1)
    ids = linkable.make("contacts", 10)
    one, two = linkable.make("companies", 2)
    linkable.link([edge(ids[place], one)])
    outcomes = linkable.link([edge(i, two) for i in ids])
    refused = outcomes.pop(place)
    assert (refused.ok, refused.uncertain, refused.code) == (
        False,
        False,
        Code.LIMIT_REACHED,
    )
    assert [o.ok for o in outcomes] == [True] * 9
    found = linkable.pairs(ids)
    assert (ids[place], two) not in found
    assert len(found) == 10


@pytest.mark.parametrize("limit_error", LIMIT_ERRORS)
def test_several_pairs_over_the_limit_each_fail_alone(
    linkable: Linkable, limit_error: str
):
    linkable.control.set_switches(limit_error=limit_error)
    linkable.cap(2)
    ann, bob = linkable.make("contacts", 2)
    companies = linkable.make("companies", 4)
    outcomes = linkable.link([edge(i, far) for i in (ann, bob) for far in companies])
    assert [o.ok for o in outcomes] == [True, True, False, False] * 2
    assert {o.code for o in outcomes if not o.ok} == {Code.LIMIT_REACHED}
    assert len(linkable.pairs([ann, bob])) == 4


def test_a_second_primary_that_is_refused_fails_alone(linkable: Linkable):
    linkable.control.set_switches(second_primary="refuse")
    ann, bob = linkable.make("contacts", 2)
    one, two = linkable.make("companies", 2)
    linkable.link([edge(ann, one, PLAIN, PRIMARY)])
    outcomes = linkable.link(
        [edge(ann, two, PLAIN, PRIMARY), edge(bob, two, PLAIN, PRIMARY)]
    )
    assert [o.ok for o in outcomes] == [False, True]
    assert not outcomes[0].uncertain


# Faults --------------------------------------------------------------------------------


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("fault", ["status=503", "drop", "garbage", "status=429"])
@pytest.mark.parametrize("verb", ["associate", "dissociate", "unlabel"])
def test_every_write_of_links_may_be_repeated(
    linkable: Linkable, verb: str, fault: str, when: str
):
    ids = linkable.make("contacts", 3)
    (acme,) = linkable.make("companies", 1)
    if verb != "associate":
        linkable.link([edge(i, acme, PLAIN, PRIMARY) for i in ids])
    linkable.control.set_faults(f"{fault},nth=1,when={when},path=/associations/")
    write = getattr(linkable.connector, verb)
    outcomes = write("0-1", "0-2", [edge(i, acme, PRIMARY) for i in ids])
    assert [o.ok for o in outcomes] == [True] * 3
    types = {"associate": {1, 279}, "unlabel": {279}}.get(verb)
    expected = {} if types is None else dict.fromkeys(((i, acme) for i in ids), types)
    assert linkable.pairs(ids) == expected


def test_a_write_of_links_that_never_has_an_answer_is_uncertain(linkable: Linkable):
    ids = linkable.make("contacts", 2)
    (acme,) = linkable.make("companies", 1)
    linkable.control.set_faults("status=503,when=after,path=/associations/")
    outcomes = linkable.link([edge(i, acme) for i in ids])
    assert [(o.ok, o.uncertain, o.code) for o in outcomes] == [
        (False, True, Code.UNCERTAIN)
    ] * 2


def test_a_limit_before_any_link_was_written_is_an_error(linkable: Linkable):
    ids = linkable.make("contacts", 2)
    (acme,) = linkable.make("companies", 1)
    linkable.control.set_limits(enforced=True, association_per_10s=0)
    with pytest.raises(LimitError):
        linkable.link([edge(i, acme) for i in ids])
    with pytest.raises(LimitError):
        linkable.read(ids)


def test_a_limit_after_some_links_were_written_is_the_rests_outcome(
    linkable: Linkable,
):
    ids = linkable.make("contacts", 2_001)
    (acme,) = linkable.make("companies", 1)
    linkable.control.set_limits(enforced=True, association_per_10s=1)
    outcomes = linkable.link([edge(i, acme) for i in ids])
    assert [o.ok for o in outcomes] == [True] * 2_000 + [False]
    assert (outcomes[-1].code, outcomes[-1].uncertain) == (Code.RATE_LIMITED, False)


def test_an_error_in_the_midst_of_a_split_batch_loses_no_outcome(linkable: Linkable):
    """Half of it stands by then: that is told, and the rest is told apart."""
    linkable.control.set_switches(limit_error="status_400")
    linkable.cap(1)
    ids = linkable.make("contacts", 8)
    one, two = linkable.make("companies", 2)
    linkable.link([edge(ids[7], one)])
    # The whole is refused, its first half goes through, then the day is over.
    linkable.control.set_faults("status=401,path=/associations/,nth=3,times=99")
    outcomes = linkable.link([edge(i, two) for i in ids])
    linkable.control.set_faults()
    done = {near for near, far in linkable.pairs(ids) if far == two}
    assert done == set(ids[:4])
    assert [o.ok for o in outcomes] == [True] * 4 + [False] * 4
    assert {o.code for o in outcomes[4:]} == {Code.CREDENTIALS_REFUSED}


@pytest.mark.parametrize("verb", ["associate", "dissociate", "unlabel"])
def test_object_types_that_cannot_be_linked_are_refused(linkable: Linkable, verb: str):
    write = getattr(linkable.connector, verb)
    for ends in (("0-1", "2-999"), ("2-999", "0-1")):
        with pytest.raises(ConnectorError) as caught:
            write(*ends, [edge("1", "2"), edge("3", "4")])
        assert caught.value.code == Code.SCHEMA_CHANGED
