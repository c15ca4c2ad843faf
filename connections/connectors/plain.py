"""What a connector answers that a system has no part for: begin a new one from here.

Each answer is one that the caller can live with: nothing is told of times and unique
values, so it reads more; nothing is archived or deleted, so a plan with it is refused.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime

from connections.catalogue import Code
from connections.records import ObjectType, Outcome, Page, Record, Want


class PlainConnector:
    """The methods of `Connector` that not every system can do; see there."""

    no_archive = "they could only be deleted"  # why `archive` refuses

    def close(self) -> None:
        """Nothing is held open."""

    def unstamped(self, obj: ObjectType, want: Want) -> Iterator[Page]:
        """Nothing: every record has a time of change, or none is asked for."""
        return iter(())

    def changed_at(
        self, obj: ObjectType, ids: Sequence[str], names: Sequence[str]
    ) -> Mapping[str, Mapping[str, datetime]]:
        """Nothing: a record has one time of change at most."""
        return {}

    def lookup(
        self, obj: ObjectType, field_name: str, values: Sequence[str], want: Want
    ) -> Mapping[str, Record] | None:
        """None: no field is held unique."""
        return None

    def reserve(self, obj: ObjectType, count: int) -> list[str] | None:
        """None: no ids are given ahead."""
        return None

    def archive(self, obj: ObjectType, ids: Sequence[str]) -> list[Outcome]:
        return _refused(
            f"Records of {obj.name} are not archived: {self.no_archive}.", ids
        )

    def delete(self, obj: ObjectType, ids: Sequence[str]) -> list[Outcome]:
        return _refused(f"Records of {obj.name} are not deleted from here.", ids)


def _refused(text: str, ids: Sequence[str]) -> list[Outcome]:
    return [Outcome(False, code=Code.DIRECTION_FORBIDS, message=text) for _ in ids]
