"""The campaign's oracle allows what it must, and nothing beside that."""

from __future__ import annotations

import pytest

from tests.campaign.oracle import (
    COMPANIES,
    CONTACTS,
    LINK,
    A,
    Edit,
    H,
    Oracle,
    Record,
    Rules,
    Seen,
    Violation,
)

pytestmark = pytest.mark.unit
ANN, ACME = (CONTACTS, "ann"), (COMPANIES, "acme")


def oracle(**rules: str) -> Oracle:
    """Ann is at Acme in HubSpot, and both sides have both, paired and at rest."""
    found = Oracle(Rules("two_way", H, **rules))  # type: ignore[arg-type]
    found.lives = {ANN: {H, A}, ACME: {H, A}}
    for side in (H, A):
        found.edit(Edit((*ANN, LINK), side, "acme"), at_work=False)
    found.ran(seen("acme", "acme"), set(), clean=True)
    return found


def seen(
    h: str | None, a: str | None, *, gone: tuple[str, Record] | None = None
) -> Seen:
    values = {s: {ANN: {LINK: v}, ACME: {}} for s, v in ((H, h), (A, a))}
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
