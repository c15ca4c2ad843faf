"""One handle for every connected system: what a contract test needs to know of it.

A `System` has one object type, `probes`, with a field of each type. Tests plant and look at
records behind the connector's back, so that what it says is held against what is there.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

import pytest

from connections.catalogue import Code
from connections.connectors.base import Connector, Context
from connections.records import Canon, Draft, ObjectType, Want
from syncs.engine.values import canonical

Values = Mapping[str, Canon]
FIELDS = ("title", "code", "amount", "flag", "day", "moment", "colour", "tags", "note")
COLOURS, TAGS = ("red", "green", "blue"), ("a", "b", "c d")
MS, NO_TIME = timedelta(milliseconds=1), timedelta(0)
LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)


@dataclass
class Naps:
    """Takes the place of time.sleep: keeps how long each pause would have been."""

    taken: list[float] = field(default_factory=list)

    def __call__(self, seconds: float) -> None:
        self.taken.append(seconds)


def new_context(**changes: Any) -> Context:
    """A context of a caller on this machine."""
    return Context(**({"allow_private_hosts": True, "timeout_s": 5.0} | changes))


class System(Protocol):
    """A connected system as a contract test sees it.

    `page` and `changed_page` are records of one page of `pages` and of `changed`; `bad`
    has, for each kind of refusal, values that cause it and the code it must give;
    `lacks` says of fields and values what the system cannot do with them, and of "unique"
    why it has no unique fields; `grain` is the smallest step of its times, `behind` how far
    the clock of its pages is back.
    """

    name: str
    grain: timedelta
    behind: timedelta
    page: int
    changed_page: int
    lacks: Mapping[object, str]
    bad: Mapping[str, tuple[Values, Code]]

    @property
    def connector(self) -> Connector: ...

    @property
    def context(self) -> Context: ...

    @property
    def obj(self) -> ObjectType: ...

    @property
    def want(self) -> Want: ...

    def use(self, context: Context) -> None: ...

    def plant(
        self, rows: Iterable[Values], *, at: datetime | None = None
    ) -> list[str]: ...

    def titles(self) -> dict[str, str]: ...

    def edit(self, record_id: str, title: str) -> None: ...

    def remove(self, record_id: str) -> None: ...

    def lose_field(self, name: str) -> None: ...


def until(condition: Callable[[], bool]) -> None:
    """Wait for what another thread or process is about to do."""
    end = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < end, "waited for too long"
        time.sleep(0.01)


def rows(count: int, start: int = 0) -> list[Values]:
    """Records told apart by title and code."""
    return [{"title": f"t{n}", "code": f"c{n}"} for n in range(start, start + count)]


def drafts(values: Sequence[Values]) -> list[Draft]:
    """One draft for each record's values."""
    return [Draft(trace=f"trace-{n}", values=v) for n, v in enumerate(values)]


def needs(system: System, *what: object) -> None:
    """Skip a test of what a system does not have, with the system's own reason."""
    for thing in what:
        if thing in system.lacks:
            pytest.skip(system.lacks[thing])


def read_values(system: System, record_id: str) -> dict[str, Canon]:
    """A record's canonical values, as the connector reads them."""
    fetched = system.connector.fetch(system.obj, [record_id], system.want)
    record = fetched.records[record_id]
    fields = {f.name: f for f in system.obj.fields}
    return {
        name: canonical(raw, fields[name], zone=UTC)
        for name, raw in record.values.items()
    }
