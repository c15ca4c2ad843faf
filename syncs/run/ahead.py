"""Ask for the next page of a long read while the present one is stored."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor

from django.db import connection

from connections.connectors.base import Meter
from connections.records import Page

LEAVES_S = 0.05  # what a call that need not wait for its budget takes to leave, at most


def one_ahead(
    pages: Iterator[Page], meter: Meter, *, enough: Callable[[], bool]
) -> Generator[Page, None, None]:
    """The pages as they come, each asked for when the one before it has come.

    A call takes its budget from our database, where SQLite has one writer at a time: a page
    is given out when the next call has left, lest that one waits until it is stored.

    Args: pages, whose calls nothing else depends on; meter, which counts them; enough,
        whether the caller is about to stop, so that no page is asked for in vain.
    Raises: what a page raises, once those before it were given out.
    """
    with ThreadPoolExecutor(max_workers=1, thread_name_prefix="ahead") as pool:
        due: Future[Page | None] | None = None
        try:
            while page := (due or pool.submit(next, pages, None)).result():
                due = None
                if page.cursor is not None and not enough():
                    before = meter.calls
                    due = pool.submit(next, pages, None)
                    meter.wait_beyond(before, LEAVES_S)
                yield page
                if page.cursor is None:
                    return
        finally:
            pool.submit(lambda: connection.close()).result()  # that thread's own
