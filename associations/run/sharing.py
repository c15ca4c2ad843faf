"""Plan a chunk's records in shares, each with a bounded number of links.

A chunk has so many records; from the "one" side each of them may have hundreds of links, and
every far record is looked at as a row of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from syncs.models import RecordLink

LINKS_AT_ONCE = 20_000  # some 80 MB of far records


def shares(
    links: Iterable[RecordLink],
    count: Callable[[RecordLink], int],
    most: int | None = None,
) -> Iterator[list[RecordLink]]:
    """Some records at a time, in their order; one with more links than that alone.

    Args: count, how many links a record has on both sides; most, LINKS_AT_ONCE if left out.
    """
    most = LINKS_AT_ONCE if most is None else most
    share: list[RecordLink] = []
    held = 0
    for link in links:
        size = count(link)
        if share and held + size > most:
            yield share
            share, held = [], 0
        share.append(link)
        held += size
    if share:
        yield share
