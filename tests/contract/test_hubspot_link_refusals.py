"""Links that HubSpot refuses fail alone; those without an answer may be repeated."""

from __future__ import annotations

import pytest

from connections.catalogue import Code
from connections.connectors.base import ConnectorError, LimitError
from connections.records import AssociationType
from tests.contract.linkable import PLAIN, PRIMARY, Linkable, edge

pytestmark = pytest.mark.contract
WRITE = "batch/create"


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
