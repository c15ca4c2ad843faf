"""A key value that very many records hold costs no more memory than any other."""

from __future__ import annotations

import random
from types import SimpleNamespace
from typing import Any

import pytest

from syncs.models import RecordKey, RecordLink
from syncs.models.choices import RecordState
from syncs.run import holders, match
from tests.office import open_office

pytestmark = [pytest.mark.integration, pytest.mark.django_db]
MANY = 10**6


@pytest.fixture(autouse=True)
def _no_system_to_ask(monkeypatch) -> None:
    monkeypatch.setattr(match, "some_rival_is_gone", lambda *_: False)


def session_of(sync: Any, keys: int) -> Any:
    """As much of a session as matching asks for."""
    run = SimpleNamespace(place={}, save=lambda **_: None)
    return SimpleNamespace(
        run=run,
        sync=sync,
        keys=range(keys),
        stages=(),
        advance=lambda *_: None,
        breathe=lambda: None,
        lease=SimpleNamespace(check=lambda: None),
    )


def plant(sync: Any, records: list[tuple[str, str, str]]) -> None:
    """Make unpaired records of (side, first key, second key); "" is no value."""
    for at, (side, *values) in enumerate(records, start=1):
        link = RecordLink.objects.create(sync=sync, **{f"{side}_id": str(at)})
        for rank, value in enumerate(values):
            if value:
                RecordKey.objects.create(
                    link=link, sync=sync, side=side, rank=rank, value=value
                )


def outcome(sync: Any, keys: int) -> tuple[set[Any], set[Any]]:
    """Match: the pairs, and which records are ambiguous."""
    match.match(session_of(sync, keys), lambda absorbed: None)
    links = RecordLink.objects.filter(sync=sync)
    paired = links.filter(hubspot_id__isnull=False, app_id__isnull=False)
    unclear = links.filter(state=RecordState.FAILING, error_code="MATCH_AMBIGUOUS")
    ids = ("hubspot_id", "app_id")
    return set(paired.values_list(*ids)), set(unclear.values_list(*ids))


@pytest.mark.parametrize("seed", range(12))
def test_a_crowd_is_judged_as_a_few_would_be(seed, monkeypatch) -> None:
    chance = random.Random(seed)
    records = [
        (
            chance.choice(["hubspot", "app"]),
            chance.choice(["", f"d{chance.randrange(25)}"]),
            chance.choice(["", "n/a", "n/a", f"n{chance.randrange(12)}"]),
        )
        for _ in range(60)
    ]
    monkeypatch.setattr(match, "LINKS_AT_ONCE", 7)
    found: list[Any] = []
    for crowd in (MANY, 4):
        monkeypatch.setattr(holders, "CROWD", crowd)
        sync = open_office_once(found)
        plant(sync, records)
        found.append(outcome(sync, 2))
    assert found[0] == found[1]


def open_office_once(found: list[Any]) -> Any:
    if not found:
        return open_office().contacts
    RecordLink.objects.all().delete()
    from syncs.models import ObjectSync

    return ObjectSync.objects.get(name="Contacts")


def test_all_of_a_crowd_are_ambiguous_and_never_looked_at_together(monkeypatch) -> None:
    monkeypatch.setattr(match, "LINKS_AT_ONCE", 10)
    monkeypatch.setattr(holders, "CROWD", 30)
    sizes = []
    real = holders.holders_of

    def watched(*args: Any) -> Any:
        answer = real(*args)
        sizes.append(len(answer[0]))
        return answer

    monkeypatch.setattr(match, "holders_of", watched)
    sync = open_office().contacts
    sides = ["hubspot", "app"]
    plant(sync, [(sides[at % 2], "n/a", "") for at in range(120)])
    pairs, unclear = outcome(sync, 1)
    assert (len(pairs), len(unclear)) == (0, 120)
    assert max(sizes) <= 10 + holders.MAX_CANDIDATES + 2
    link = RecordLink.objects.filter(sync=sync).latest("pk")
    assert len(link.candidates) == holders.MAX_CANDIDATES
    assert "more than" in link.error_text
