"""The window before the cursor, added up in our own database."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any, cast

import pytest

from connections.records import Side, Window
from syncs.models import ObjectSync, RecordLink
from syncs.run.session import Session
from syncs.run.windows import WINDOWS, known_well, note_of
from tests.office import open_office

pytestmark = [pytest.mark.integration, pytest.mark.django_db]
T = datetime(2026, 1, 31, 12, tzinfo=UTC)
EPOCH, US = datetime(1970, 1, 1, tzinfo=UTC), timedelta(microseconds=1)
OFFSETS = (1, 2, 999_999, 1_000_000, 59_000_000, 299_999_999, 300_000_000)


@pytest.fixture
def session() -> Session:
    office = open_office()
    RecordLink.objects.bulk_create(
        RecordLink(sync=office.companies, app_id=str(n), app_modified_at=T + n * US)
        for n in (0, *OFFSETS, 300_000_001)
    )
    sync = ObjectSync.objects.get(pk=office.companies.pk)
    return cast(Session, SimpleNamespace(sync=sync))


def window(*offsets: int, **changes: Any) -> Window:
    stamps = sum((T + n * US - EPOCH) // US for n in offsets)
    return Window(**{"count": len(offsets), "stamps": stamps} | changes)


def agrees(session: Session, shown: Window) -> bool:
    until = T + timedelta(seconds=300)
    return known_well(session, Side.APP, shown, after=T, until=until)


def test_times_are_added_up_to_the_microsecond(session: Session) -> None:
    assert agrees(session, window(*OFFSETS))
    assert not agrees(session, window(*OFFSETS[:-1]))
    assert not agrees(session, window(*(n + (n == 2) for n in OFFSETS)))
    RecordLink.objects.filter(app_id="2").update(app_gone_at=T)
    assert not agrees(session, window(*OFFSETS))
    assert agrees(session, window(*(n for n in OFFSETS if n != 2)))


def test_an_empty_window_agrees_with_no_rows(session: Session) -> None:
    RecordLink.objects.all().delete()
    assert agrees(session, window())
    assert not agrees(session, window(1))


def test_a_window_as_it_was_when_it_agreed_is_not_added_up_again(
    session: Session, django_assert_num_queries: Any
) -> None:
    until = T + timedelta(seconds=300)
    shown = window(*OFFSETS)
    session.sync.read_state = {WINDOWS: {"app": note_of(session, shown, T, until)}}
    with django_assert_num_queries(0):
        assert agrees(session, shown)
    with django_assert_num_queries(1):
        assert not agrees(session, window(*OFFSETS, 5))
    session.sync.revision += 1
    RecordLink.objects.filter(app_id="2").delete()
    assert not agrees(session, shown)
