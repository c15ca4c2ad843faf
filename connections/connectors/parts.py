"""Parts of lists: those that an answer holds, and those that a request takes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, TypeVar

from connections.connectors.base import TransientError

Item = TypeVar("Item")


def rows(body: Any, name: str) -> list[dict[str, Any]]:
    """The JSON objects of a list in an answer."""
    found = body.get(name) if isinstance(body, dict) else None
    return [row for row in found or () if isinstance(row, dict)]


def listed(
    body: Any, name: str, doing: str, *, each: str = "", form: type = str
) -> list[dict[str, Any]]:
    """The JSON objects of a list that an answer must hold.

    Args: doing, what the call is for, such as "list webhooks"; each, a key that all of
        them have, with a value of the type `form`.
    Raises: TransientError for an answer without the list, or with other parts. Taken for
        a shorter list, it would say that what it leaves out does not exist.
    """
    held = body.get(name) if isinstance(body, dict) else None
    found = rows(body, name) if isinstance(held, list) else []
    if (
        not isinstance(held, list)
        or len(found) < len(held)
        or (each and not all(isinstance(row.get(each), form) for row in found))
    ):
        raise TransientError(f"The answer to {doing} has not the form it should have.")
    return found


def chunks(items: Sequence[Item], size: int) -> Iterator[Sequence[Item]]:
    """The items, at most `size` at a time."""
    for start in range(0, len(items), size):
        yield items[start : start + size]
