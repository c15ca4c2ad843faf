"""HubSpot's links are read to their end and written whole."""

from __future__ import annotations

import pytest

from connections.records import AssociationType, Linked
from tests.contract.linkable import PLAIN, PRIMARY, Linkable, edge

pytestmark = pytest.mark.contract
READ, WRITE = "associations/contacts/companies/batch/read", "batch/create"


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


def test_pairs_are_removed_a_hundred_records_a_call_from_the_end_with_fewer(
    linkable: Linkable,
):
    ids, firms = linkable.make("contacts", 101), linkable.make("companies", 101)
    one, two = firms[:2]
    edges = [edge(i, far) for far in (one, two) for i in ids]
    linkable.link(edges)
    outcomes = linkable.connector.dissociate("0-1", "0-2", edges)
    assert [o.ok for o in outcomes] == [True] * 202
    assert linkable.control.count("associations/companies/contacts/batch/archive") == 1
    assert linkable.pairs(ids) == {}
    edges = [edge(i, far) for i, far in zip(ids, firms, strict=True)]
    linkable.link(edges)
    outcomes = linkable.connector.dissociate("0-1", "0-2", edges)
    assert [o.ok for o in outcomes] == [True] * 101
    assert linkable.control.count("associations/contacts/companies/batch/archive") == 2
    assert linkable.pairs(ids) == {}


def test_types_are_taken_off_a_hundred_records_a_call(linkable: Linkable):
    ids, (one,) = linkable.make("contacts", 101), linkable.make("companies", 1)
    edges = [edge(i, one, PLAIN, PRIMARY) for i in ids]
    linkable.link(edges)
    off = [edge(i, one, PRIMARY) for i in ids]
    outcomes = linkable.connector.unlabel("0-1", "0-2", off)
    assert [o.ok for o in outcomes] == [True] * 101
    assert linkable.control.count("labels/archive") == 2
    assert set(map(frozenset, linkable.pairs(ids).values())) == {frozenset({279})}


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
