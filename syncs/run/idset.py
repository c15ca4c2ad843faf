"""Row ids kept in memory by the million: a bit each, where they lie close together."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from django.db.models import QuerySet

SPAN = 4096  # ids a page: a full one takes some 600 bytes, 4096 in a set 270,000
ROWS_AT_ONCE = 5000


class IdSet:
    """A set of row ids whose size follows the table's, not Python's objects."""

    def __init__(self, ids: Iterable[int | None] = ()) -> None:
        self._pages: dict[int, int] = {}
        self.update(ids)

    def update(self, ids: Iterable[int | None]) -> None:
        """Add ids; None, a foreign key that points nowhere, is left out."""
        for number in ids:
            if number is not None:
                page, bit = divmod(number, SPAN)
                self._pages[page] = self._pages.get(page, 0) | 1 << bit

    def __contains__(self, number: object) -> bool:
        if not isinstance(number, int):
            return False
        page, bit = divmod(number, SPAN)
        return bool(self._pages.get(page, 0) >> bit & 1)

    def __iter__(self) -> Iterator[int]:
        """The ids in order."""
        for page in sorted(self._pages):
            bits = self._pages[page]
            while bits:
                lowest = bits & -bits
                yield page * SPAN + lowest.bit_length() - 1
                bits ^= lowest

    def __bool__(self) -> bool:
        return bool(self._pages)

    def __len__(self) -> int:
        return sum(bits.bit_count() for bits in self._pages.values())

    def chunks(self, size: int) -> Iterator[list[int]]:
        """The ids in order, some at a time."""
        some: list[int] = []
        for number in self:
            some.append(number)
            if len(some) == size:
                yield some
                some = []
        if some:
            yield some


def pages(
    rows: QuerySet[Any], *columns: str, size: int = ROWS_AT_ONCE
) -> Iterator[Sequence[tuple[Any, ...]]]:
    """Some columns of many rows, a page at a time in the order of their ids.

    A query that is simply gone through holds its whole answer in memory.
    """
    last = 0
    while True:
        some = list(
            rows.filter(pk__gt=last).order_by("pk").values_list("pk", *columns)[:size]
        )
        if some:
            yield [row[1:] for row in some]
            last = some[-1][0]
        if len(some) < size:
            return


def update_in_pieces(
    rows: QuerySet[Any], *, size: int = ROWS_AT_ONCE, **values: Any
) -> None:
    """Change many rows, some at a time: one statement over a million of them would keep
    every other writer of an SQLite database waiting longer than it is ready to."""
    for some in pages(rows, "pk", size=size):
        rows.model._default_manager.filter(pk__in=[pk for (pk,) in some]).update(
            **values
        )
