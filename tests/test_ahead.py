"""Reading a page ahead: nothing lost, nothing asked in vain, nothing out of order."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from connections.connectors.base import Meter, TransientError
from connections.records import Page
from syncs.run.ahead import one_ahead

pytestmark = pytest.mark.django_db(transaction=True)


class System:
    """Pages of nothing; `log` tells in which order they were asked for and stored."""

    def __init__(self, count: int, *, broken: int = 0) -> None:
        self.meter = Meter()
        self.log: list[str] = []
        self._count, self._broken = count, broken

    def pages(self) -> Iterator[Page]:
        for number in range(1, self._count + 1):
            self.meter.count()
            self.log.append(f"ask {number}")
            if number == self._broken:
                raise TransientError("It is away.")
            yield Page((), str(number) if number < self._count else None)

    def read(self, *, enough: int = 99) -> list[str]:
        """Store every page; after so many say that the next is the last one wanted."""

        def stored() -> int:
            return sum(entry.startswith("store") for entry in self.log)

        for _ in one_ahead(self.pages(), self.meter, enough=lambda: stored() >= enough):
            self.log.append(f"store {stored() + 1}")
        return self.log


def test_each_page_is_asked_for_before_the_one_at_hand_is_stored():
    log = System(3).read()
    assert log == ["ask 1", "ask 2", "store 1", "ask 3", "store 2", "store 3"]


def test_an_empty_read_and_one_page_take_one_call_each():
    assert System(1).read() == ["ask 1", "store 1"]
    assert System(0).read() == []


def test_pages_before_one_that_fails_are_given_out():
    system = System(4, broken=3)
    with pytest.raises(TransientError):
        system.read()
    assert system.log[-1] == "store 2"


def test_nothing_is_asked_in_vain_by_who_is_about_to_stop():
    system = System(4)
    pages = one_ahead(system.pages(), system.meter, enough=lambda: True)
    next(pages)
    pages.close()
    assert system.log == ["ask 1"]
    assert System(3).read(enough=1)[-1] == "store 3", "who goes on gets the rest"


def test_who_stops_leaves_no_thread_behind():
    before = threading.active_count()
    pages = one_ahead(System(5).pages(), Meter(), enough=lambda: False)
    next(pages)
    pages.close()
    assert threading.active_count() == before


def test_a_call_that_waits_for_its_budget_does_not_hold_up_storing():
    free = threading.Event()
    stored: list[Page] = []
    meter = Meter()

    def pages() -> Iterator[Page]:
        meter.count()
        yield Page((), "1")
        assert free.wait(10), "the first page was not given out meanwhile"
        meter.count()
        yield Page((), None)

    for page in one_ahead(pages(), meter, enough=lambda: False):
        stored.append(page)
        free.set()
    assert len(stored) == 2
