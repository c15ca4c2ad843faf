"""Rows of a link table whose records are changed one by one: what becomes of each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeVar

from connections.records import RowsWrite


class Labelled(Protocol):
    """A row as it stands there."""

    @property
    def label(self) -> str | None: ...


Line = TypeVar("Line", bound=Labelled)


@dataclass
class Work(Generic[Line]):
    """The rows to change, delete and make; each with the place of the pair it is for."""

    changed: list[tuple[int, Line, str | None]] = field(default_factory=list)
    deleted: list[tuple[int, Line]] = field(default_factory=list)
    made: list[tuple[int, str | None]] = field(default_factory=list)

    def plan(self, at: int, held: Sequence[Line], write: RowsWrite) -> bool:
        """Make a pair's rows what they are to be: one that changes its label stays the
        row, and a label that stands twice is kept so.

        Returns: False, and nothing is done, where they are not what they were before.
        """
        labels = {line.label for line in held}
        if labels != set(write.before):
            return False
        wanted = [label for label in write.after if label not in labels]
        spare = [line for line in held if line.label not in write.after]
        for line, label in zip(spare, wanted, strict=False):
            self.changed.append((at, line, label))
        self.deleted += [(at, line) for line in spare[len(wanted) :]]
        self.made += [(at, label) for label in wanted[len(spare) :]]
        return True
