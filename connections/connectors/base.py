"""What every connector is and how it fails.

The error family::

    ConnectorError                  code, message, remedy (from the catalogue)
    ├── SetupError                  stop and tell the administrator
    │   ├── AuthError               CREDENTIALS_REFUSED
    │   ├── ScopeError              SCOPE_MISSING
    │   ├── SchemaError             SCHEMA_CHANGED, FIELD_MISSING, TYPE_UNKNOWN
    │   └── FeedLost                a change feed has a gap: read everything
    ├── TransientError              try again later: UNAVAILABLE, TIMED_OUT
    │   └── LimitError              RATE_LIMITED, QUOTA_SPENT (`retry_at`)
    ├── UncertainError              UNCERTAIN: a write whose effect nobody knows
    └── RejectedError               one request was refused for what it held

A write of many records never raises RejectedError: each record has its `Outcome`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from threading import Condition
from typing import Protocol

from connections.catalogue import Code, remedy_for
from connections.records import (
    AssociationLimit,
    AssociationTypeInfo,
    Capabilities,
    Draft,
    Edge,
    Fed,
    Fetched,
    Linked,
    LinkRows,
    LinkTable,
    ObjectType,
    Outcome,
    Page,
    Patch,
    Record,
    Report,
    RowsWrite,
    Schema,
    TableReport,
    Want,
    Window,
)


class ConnectorError(Exception):
    """A call that did not do what it should; `code` is one of the catalogue's."""

    code: Code = Code.INTERNAL

    def __init__(
        self,
        message: str,
        *,
        code: Code | None = None,
        correlation_id: str = "",
    ) -> None:
        super().__init__(message)
        self.message = message
        self.code = code or type(self).code
        self.correlation_id = correlation_id

    @property
    def remedy(self) -> str:
        return remedy_for(self.code)


class SetupError(ConnectorError):
    """Nothing will work until a person changes something."""

    code = Code.SCHEMA_CHANGED


class AuthError(SetupError):
    code = Code.CREDENTIALS_REFUSED


class ScopeError(SetupError):
    code = Code.SCOPE_MISSING


class SchemaError(SetupError):
    code = Code.SCHEMA_CHANGED


class FeedLost(SetupError):
    """A change feed may lack changes: only a complete read tells what there is."""


class TransientError(ConnectorError):
    """The same call may work later; it had no effect."""

    code = Code.UNAVAILABLE


class LimitError(TransientError):
    """A rate or quota is spent; `retry_at` (aware UTC) says until when, if known."""

    code = Code.RATE_LIMITED

    def __init__(
        self,
        message: str,
        *,
        code: Code | None = None,
        retry_at: datetime | None = None,
    ) -> None:
        super().__init__(message, code=code)
        self.retry_at = retry_at


class UncertainError(ConnectorError):
    """A write may or may not have taken effect."""

    code = Code.UNCERTAIN


class RejectedError(ConnectorError):
    """The system refused the request for what it held; sent again, it fails again."""

    code = Code.VALUE_INVALID


class Budget(Protocol):
    """Permission to call, shared by every process that uses the same credential."""

    def acquire(self, bucket: str) -> None:
        """Wait for one call's worth of `bucket` ("general", "search", "associations").

        Raises: LimitError where the wait would be longer than a run should stand still.
        """

    def penalise(self, bucket: str, seconds: float, *, daily: bool = False) -> None:
        """Let nobody call `bucket` for so many seconds: the system said so."""

    def count(self, bucket: str) -> None:
        """Add a call to a bucket that is only counted: its system limits nothing by it."""


def bucket_of(object_id: str) -> str:
    """The bucket that counts an object's calls, where a system counts them so."""
    return f"object {object_id}"


class UnlimitedBudget:
    """No limit at all: PostgreSQL, and tests."""

    def acquire(self, bucket: str) -> None:
        return None

    def penalise(self, bucket: str, seconds: float, *, daily: bool = False) -> None:
        return None

    def count(self, bucket: str) -> None:
        return None


@dataclass
class Meter:
    """Counts the calls of one run and side, whichever thread makes them.

    `told` is the system's clock as it last answered, and when by `time.monotonic` that was.
    """

    calls: int = 0
    told: tuple[datetime, float] | None = None
    _counted: Condition = field(default_factory=Condition, repr=False, compare=False)

    def count(self, calls: int = 1) -> None:
        with self._counted:
            self.calls += calls
            self._counted.notify_all()

    def wait_beyond(self, calls: int, seconds: float) -> None:
        """Wait until more than so many calls have left, so many seconds at most."""
        with self._counted:
            self._counted.wait_for(lambda: self.calls > calls, seconds)

    def hear(self, at: datetime | None) -> None:
        """Take the system's clock from an answer; None where it does not tell."""
        if at is not None:
            self.told = at, time.monotonic()

    def ahead_s(self, ours: datetime) -> float:
        """How far our clock is ahead of the system's; 0 if it is not, or not known."""
        if self.told is None:
            return 0.0
        at, heard = self.told
        theirs = at + timedelta(seconds=time.monotonic() - heard)
        return max((ours - theirs).total_seconds(), 0.0)


def _allow() -> None:
    return None


@dataclass
class Context:
    """What a connector is lent by its caller.

    `before_write` is called right before each request that changes the other system;
    it raises if the caller has lost the right to write (its lease was taken over).
    `origin` marks what this caller writes, where a change feed can tell of that.
    `system` is what the caller's ids belong to (`Report.system`; "": any): a connector
    that finds another one there without a call of its own refuses.
    """

    budget: Budget = field(default_factory=UnlimitedBudget)
    meter: Meter = field(default_factory=Meter)
    before_write: Callable[[], None] = _allow
    allow_private_hosts: bool = False
    timeout_s: float = 30.0
    origin: str = ""
    system: str = ""


class Connector(Protocol):
    """One connected system. Object types and fields are those that `discover` gave."""

    kind: str
    capabilities: Capabilities

    def close(self) -> None:
        """Give sockets and connections back."""

    def test(self) -> Report:
        """Make the cheapest call that proves the credentials.

        Raises: AuthError, ScopeError, TransientError.
        """

    def discover(self) -> Schema:
        """Read object types, fields and references."""

    def describe(
        self, obj: ObjectType, names: Collection[str] = ()
    ) -> ObjectType | None:
        """Read one object type again, in as few calls as that takes; None if it is gone.

        Args: names, the fields that matter; what takes calls of its own and is not about
            them may be as `obj` has it. None given: all fields.
        """

    def pages(
        self, obj: ObjectType, want: Want, cursor: str | None = None
    ) -> Iterator[Page]:
        """Read every record, a page at a time, going on after `cursor` (a `Page.cursor`)."""

    def changed(
        self,
        obj: ObjectType,
        want: Want,
        *,
        after: datetime,
        until: datetime | None = None,
    ) -> Iterator[Page]:
        """Read records whose change time is > `after` and <= `until` (None: no end).

        A record that changes during the read may come twice. Order is not promised.
        """

    def window(
        self, obj: ObjectType, want: Want, *, after: datetime, until: datetime
    ) -> Window:
        """Tell of the records that `changed` would give for a window: one call."""

    def unstamped(self, obj: ObjectType, want: Want) -> Iterator[Page]:
        """Read the records without a time of change, which `changed` never shows."""

    def fetch(self, obj: ObjectType, ids: Sequence[str], want: Want) -> Fetched:
        """Read records by id, in as few calls as `Capabilities.fetch_batch` allows."""

    def changed_at(
        self, obj: ObjectType, ids: Sequence[str], names: Sequence[str]
    ) -> Mapping[str, Mapping[str, datetime]]:
        """When fields of records last changed, where `Capabilities.tells_field_times`.

        Returns: aware UTC by record id and field name; what is not known is absent.
        """

    def lookup(
        self, obj: ObjectType, field_name: str, values: Sequence[str], want: Want
    ) -> Mapping[str, Record] | None:
        """Find records by a field the system holds unique; None if it cannot.

        Returns: records by the value asked for; an absent value has no record, surely.
        """

    def created_since(
        self, obj: ObjectType, want: Want, since: datetime
    ) -> Iterator[Page]:
        """Read, without any index lag, the records created at or after `since`."""

    def reserve(self, obj: ObjectType, count: int) -> list[str] | None:
        """Ids for records that do not exist yet; None where the system gives none."""

    def create(
        self, obj: ObjectType, drafts: Sequence[Draft], want: Want
    ) -> list[Outcome]:
        """Create records; outcomes in the order of `drafts`.

        An `ok` outcome's record has its id, the written values as the system now holds
        them and `modified_at`. Never sent a second time by itself.
        """

    def update(
        self, obj: ObjectType, patches: Sequence[Patch], want: Want
    ) -> list[Outcome]:
        """Write values and references; outcomes in the order of `patches`."""

    def archive(self, obj: ObjectType, ids: Sequence[str]) -> list[Outcome]:
        """Archive records reversibly; outcomes in the order of `ids`."""

    def delete(self, obj: ObjectType, ids: Sequence[str]) -> list[Outcome]:
        """Delete records for good, and nothing with them; outcomes in that order.

        One that is not there any more is RECORD_GONE.
        """


class FeedConnector(Connector, Protocol):
    """A system that keeps a log of changes (`Capabilities.feeds`)."""

    def feed_place(self, obj: ObjectType) -> str:
        """Where the log stands: a complete read that begins now misses nothing later.

        Raises: FeedLost where the log does not tell of this object.
        """

    def fed(self, obj: ObjectType, place: str, *, own: bool) -> Iterator[Fed]:
        """Read which records changed since `place`; the last part may be empty.

        Args: own, also what was written under `Context.origin`.
        Raises: FeedLost where the log may lack something since then.
        """

    def feed_setup(self, names: Sequence[str], *, remove: bool = False) -> str:
        """What an administrator of the system runs to make it log objects, or stop."""


class TableConnector(Connector, Protocol):
    """A system in which rows of a table are links (`Capabilities.link_tables`)."""

    def link_table(self, table: LinkTable) -> TableReport:
        """Look whether a table's rows can be read and written as links."""

    def link_rows(self, table: LinkTable, ids: Sequence[str]) -> Mapping[str, LinkRows]:
        """Read the rows of near records, 1,000 records a statement, by record id."""

    def write_link_rows(
        self, table: LinkTable, writes: Sequence[RowsWrite]
    ) -> list[Outcome]:
        """Make pairs' rows what they are to be; outcomes in the order of `writes`.

        A row that changes its label stays the same row. CHANGED_SINCE_PLAN where a row
        is not what it was before.
        """


class AssociationConnector(Connector, Protocol):
    """HubSpot: records whose links stand beside them and carry types."""

    def association_types(
        self, from_object: str, to_object: str
    ) -> tuple[AssociationTypeInfo, ...]:
        """The types a link from one object type to the other can carry.

        Args: both, object type ids ("0-1", "2-123").
        """

    def shows_all_links(self, from_object: str, to_object: str) -> bool:
        """Whether `associations` shows every link from one object type to the other.

        Where it does not, nothing is concluded from what it lacks.
        """

    def association_limits(
        self, from_object: str, to_object: str
    ) -> tuple[AssociationLimit, ...]:
        """The limits of links in one direction, as far as the account tells them."""

    def label_room(self, from_object: str, to_object: str) -> int | None:
        """How many labels more a pair of objects may have; None where it is not told."""

    def create_label(
        self,
        from_object: str,
        to_object: str,
        *,
        label: str,
        name: str,
        inverse: str = "",
    ) -> tuple[AssociationTypeInfo, ...]:
        """Make a label, never sent twice by itself. Returns: what is told of it.

        Args: name, a word of letters, digits and "_" that stays; inverse, its text seen
            from the other end where that is another.
        """

    def associations(
        self, from_object: str, to_object: str, ids: Sequence[str]
    ) -> Mapping[str, tuple[Linked, ...]]:
        """Read the links of records: 1,000 records a call, paged per record.

        Returns: links by record id; () where HubSpot says there are none (true also of a
        record that does not exist); an id that could not be read is absent.
        """

    def associate(
        self, from_object: str, to_object: str, edges: Sequence[Edge]
    ) -> list[Outcome]:
        """Set each pair's complete set of types; outcomes in the order of `edges`."""

    def dissociate(
        self, from_object: str, to_object: str, edges: Sequence[Edge]
    ) -> list[Outcome]:
        """Remove each pair, whatever types it carries (`Edge.types` is not looked at)."""

    def unlabel(
        self, from_object: str, to_object: str, edges: Sequence[Edge]
    ) -> list[Outcome]:
        """Take only the edges' types off their pairs; the plain link stays."""
