"""HubSpot's own association types, pair by pair and both ways."""

from __future__ import annotations

from itertools import product

import pytest

from associations.engine import types as engine
from connections.records import AssociationType, AssociationTypeInfo
from tests.sandbox.calls import pair
from tests.sandbox.type_ids import (
    OBJECT_TYPE_IDS,
    labelled_types,
    plain_types,
    primary_types,
)

PLAIN, PRIMARY, LABELLED = plain_types(), primary_types(), labelled_types()
NAMES = {type_id: name for name, type_id in OBJECT_TYPE_IDS.items()}


def documented(ends: tuple[str, str]) -> dict[int, bool]:
    """Return a direction's types: {id: whether it has a label}."""
    found = dict.fromkeys(LABELLED.get(ends, {}), True)
    if ends in PRIMARY:
        found[PRIMARY[ends]] = True
    if ends in PLAIN:
        found[PLAIN[ends]] = False
    return found


@pytest.mark.parametrize("one", OBJECT_TYPE_IDS)
def test_labels_list_exactly_the_documented_types_of_every_pair(http, one):
    for other in OBJECT_TYPE_IDS:
        got = http.labels(OBJECT_TYPE_IDS[one], OBJECT_TYPE_IDS[other]).ok()["results"]
        assert {row["category"] for row in got} <= {"HUBSPOT_DEFINED"}
        listed = {row["typeId"]: row["label"] is not None for row in got}
        assert listed == documented((one, other)), (one, other)


NEEDED = {
    "companies": {"name": "A"},
    "deals": {"dealname": "D", "dealstage": "closedwon", "pipeline": "default"},
    "tickets": {"subject": "T", "hs_pipeline": "0", "hs_pipeline_stage": "1"},
}


@pytest.mark.parametrize("one", OBJECT_TYPE_IDS)
def test_every_type_written_from_one_end_reads_as_its_inverse_from_the_other(http, one):
    for other in OBJECT_TYPE_IDS:
        inverses = dict(LABELLED.get((one, other), {}))
        for table in (PLAIN, PRIMARY):
            if (one, other) in table and (other, one) in table:
                inverses[table[one, other]] = table[other, one]
        for there, back in inverses.items():
            ends = OBJECT_TYPE_IDS[one], OBJECT_TYPE_IDS[other]
            first = http.make(ends[0], **NEEDED.get(one, {}))
            second = http.make(ends[1], **NEEDED.get(other, {}))
            rows = [pair(first, second, there)]
            http.link_batch(*ends, "create", rows).ok(201)
            assert there in http.types(first, *ends)[second]
            assert back in http.types(second, *ends[::-1])[first], (one, other)


def test_no_id_stands_for_two_things_in_the_documentation():
    """The table checks itself: an id belongs to one direction, or to both of a pair."""
    owners: dict[int, set[frozenset[str]]] = {}
    for ends in product(OBJECT_TYPE_IDS, OBJECT_TYPE_IDS):
        for type_id in documented(ends):
            owners.setdefault(type_id, set()).add(frozenset(ends))
    assert {i: pairs for i, pairs in owners.items() if len(pairs) > 1} == {}


@pytest.mark.parametrize(("one", "other"), sorted(PRIMARY))
def test_the_engine_knows_each_documented_primary(one, other):
    ends = OBJECT_TYPE_IDS[one], OBJECT_TYPE_IDS[other]
    known = engine.primary_type(*ends)
    assert known == AssociationType("HUBSPOT_DEFINED", PRIMARY[one, other])
    assert known in engine.PRIMARIES


def test_the_engine_knows_no_other_primary():
    assert {(NAMES[one], NAMES[two]) for one, two in engine.PRIMARY} == set(PRIMARY)


def test_the_engine_s_plain_types_are_documented():
    known = {(NAMES[a], NAMES[b]): type_id for (a, b), type_id in engine.PLAIN.items()}
    assert known == {ends: PLAIN[ends] for ends in known}
    assert set(known) >= set(PRIMARY)


def test_the_engine_finds_the_plain_type_among_what_labels_list(http):
    """Also for the pairs that it does not know by heart."""
    for (one, other), plain in PLAIN.items():
        ends = OBJECT_TYPE_IDS[one], OBJECT_TYPE_IDS[other]
        listed = [
            AssociationTypeInfo(row["category"], row["typeId"], row["label"], *ends)
            for row in http.labels(*ends).ok()["results"]
        ]
        found = engine.plain_type(*ends, listed)
        assert found == AssociationType("HUBSPOT_DEFINED", plain), (one, other)
