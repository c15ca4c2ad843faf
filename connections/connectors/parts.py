"""Parts of lists: those that an answer holds, and those that a request takes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, TypeVar

Item = TypeVar("Item")


def rows(body: Any, name: str) -> list[dict[str, Any]]:
    """The JSON objects of a list in an answer."""
    found = body.get(name) if isinstance(body, dict) else None
    return [row for row in found or () if isinstance(row, dict)]


def chunks(items: Sequence[Item], size: int) -> Iterator[Sequence[Item]]:
    """The items, at most `size` at a time."""
    for start in range(0, len(items), size):
        yield items[start : start + size]
