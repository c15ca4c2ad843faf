"""The campaign's oracle allows what it must, and nothing beside that."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import pytest

from tests.campaign.oracle import (
    COMPANIES,
    CONTACTS,
    LINK,
    ON,
    A,
    Edit,
    H,
    Oracle,
    Record,
    Rules,
    Seen,
    Violation,
    adviser,
)

pytestmark = pytest.mark.unit
ANN, ACME, AWAY = (CONTACTS, "ann"), (COMPANIES, "acme"), (COMPANIES, "away")
LABEL = adviser("acme")


def oracle(field: str = LINK, value: str | None = "acme", **rules: Any) -> Oracle:
    """Both sides have Ann and Acme, paired, and agree on how Ann is linked to it."""
    found = Oracle(Rules("two_way", H, **rules))
    found.lives = {ANN: {H, A}, ACME: {H, A}}
    for side in (H, A):
        found.edit(Edit((*ANN, field), side, value), at_work=False)
    found.ran(seen(value, value, field), set(), clean=True)
    return found


def seen(
    h: str | None,
    a: str | None,
    field: str = LINK,
    *,
    gone: tuple[str, Record] | None = None,
) -> Seen:
    """What stands, but for a record that is gone from a side."""
    values: dict[str, dict[Record, dict[str, str | None]]] = {
        side: {ANN: {field: value}, ACME: {}} for side, value in ((H, h), (A, a))
    }
    if gone is not None:
        del values[gone[0]][gone[1]]
    return Seen(values, {})


def test_a_company_made_again_has_no_link_of_the_one_that_was_archived():
    people = oracle()
    people.removed(ACME, H)
    people.ran(seen("acme", "acme", gone=(H, ACME)), set(), clean=False)
    people.ran(seen(None, "acme"), set(), clean=False)


def test_a_link_does_not_vanish_from_companies_that_stayed():
    with pytest.raises(Violation, match="ann"):
        oracle().ran(seen(None, "acme"), set(), clean=False)


def test_a_primary_out_of_scope_does_not_count_against_the_app_s():
    people = oracle(value=None, filters=(H,))
    people.lives[AWAY] = {H, A}
    people.edit(Edit((*ANN, LINK), H, "away"), at_work=False)
    people.edit(Edit((*ANN, LINK), A, "acme"), at_work=False)
    stands = seen("acme", "acme")
    for side in (H, A):
        stands.values[side][AWAY] = {}
    in_scope = deepcopy(people)
    with pytest.raises(Violation, match="ann"):
        in_scope.ran(stands, set(), clean=True)
    people.turn(H, AWAY, out=True, at_work=False)
    people.ran(stands, set(), clean=True)


@pytest.mark.parametrize("moved", [True, False])
def test_what_was_moved_to_a_company_that_vanished_has_left_the_former_one(moved):
    people = oracle()
    people.lives[AWAY] = {A}  # what a run made in HubSpot was taken back
    people.gone.add(AWAY)
    if moved:
        people.edit(Edit((*ANN, LINK), H, "away"), at_work=False)
    first, later = (seen(value, value) for value in ("acme", None))
    first.values[H][ANN][LINK] = None if moved else "acme"
    for stands in (first, later):
        stands.values[A][AWAY] = {}
    people.ran(first, set(), clean=False)
    if moved:
        people.ran(later, set(), clean=False)
    else:
        with pytest.raises(Violation, match="ann"):
            people.ran(later, set(), clean=False)


@pytest.mark.parametrize("hurt", [False, True])
def test_a_label_that_was_put_on_stays_behind_in_a_run_that_was_hurt_alone(hurt):
    people = oracle(LABEL, None)
    people.edit(Edit((*ANN, LABEL), A, ON), at_work=False)
    arrived = deepcopy(people)
    arrived.ran(seen(ON, ON, LABEL), set(), clean=not hurt)
    if hurt:
        people.ran(seen(None, ON, LABEL), set(), clean=False)
    else:
        with pytest.raises(Violation, match="adviser"):
            people.ran(seen(None, ON, LABEL), set(), clean=True)


@pytest.mark.parametrize("by_a_person", [True, False])
def test_a_label_that_went_with_its_company_is_taken_off_by_nobody(by_a_person):
    people = oracle(LABEL, ON)
    if by_a_person:
        people.parted.add((*ANN, LABEL))
    people.removed(ACME, A)
    people.edit(Edit((*ANN, LABEL), A, None), at_work=False)
    lost = seen(None, None, LABEL, gone=(A, ACME))
    if by_a_person:
        people.ran(lost, set(), clean=False)
    else:
        with pytest.raises(Violation, match="adviser"):
            people.ran(lost, set(), clean=False)


@pytest.mark.parametrize("labelled", [True, False])
def test_a_first_label_may_make_its_company_the_primary_one(labelled):
    people = oracle(value=None)
    stands = seen("acme", "acme")
    if labelled:
        people.edit(Edit((*ANN, LABEL), A, ON), at_work=False)
        for side in (H, A):
            stands.values[side][ANN][LABEL] = ON
        people.ran(stands, set(), clean=True)
    else:
        with pytest.raises(Violation, match="company"):
            people.ran(stands, set(), clean=True)
