"""The plain values that connectors and the engine exchange. No Django here.

A record's values arrive *raw* (as the system or its driver gives them) and leave
*canonical* (`Canon`, JSON-able, one form per `ValueType`):

========== ==============================================================
text       str, never ""
number     str, plain decimal without exponent or trailing zeros: "12.5"
boolean    bool
date       str, "2026-01-31"
datetime   str, UTC with milliseconds: "2026-01-31T12:00:00.000Z"
option     str, the option's value
options    list of str, sorted, without repeats
reference  str, the id of the other record
========== ==============================================================

A blank is None in every type.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum

Raw = None | str | int | float | bool | Decimal | date | datetime | list[str]
Canon = None | str | bool | list[str]


class Side(StrEnum):
    """The two ends of every sync; two-way has no source and no target."""

    HUBSPOT = "hubspot"
    APP = "app"

    @property
    def other(self) -> Side:
        return Side.APP if self is Side.HUBSPOT else Side.HUBSPOT


class ValueType(StrEnum):
    """The types that values are converted between."""

    TEXT = "text"
    NUMBER = "number"
    BOOLEAN = "boolean"
    DATE = "date"
    DATETIME = "datetime"
    OPTION = "option"
    OPTIONS = "options"
    REFERENCE = "reference"


@dataclass(frozen=True, slots=True)
class Option:
    """One choice of an option field: the value that travels, the label people see.

    `archived`: records hold it still, and none can be given it any more.
    """

    value: str
    label: str = ""
    archived: bool = False


@dataclass(frozen=True, slots=True)
class Field:
    """One field (property, column) of an object type.

    `max_length` counts characters; `scale` is the digits kept after the point
    (None: as many as given); `zoneless` marks a datetime stored without a zone;
    `people` marks an option field whose values are ids of users and whose labels are
    their e-mail addresses, which is what another system knows them by.
    """

    name: str
    type: ValueType
    label: str = ""
    native_type: str = ""
    read_only: bool = False
    read_only_reason: str = ""
    required: bool = False
    unique: bool = False
    options: tuple[Option, ...] = ()
    max_length: int | None = None
    scale: int | None = None
    minimum: str | None = None
    maximum: str | None = None
    zoneless: bool = False
    people: bool = False


@dataclass(frozen=True, slots=True)
class ReferenceField:
    """A field that points at records of another (or the same) object type.

    `columns` are written together (a composite foreign key has several);
    `target_columns` are the columns of `target` they hold, in the same order; `mirror` is
    the field of `target` that shows the same links from their other end, "" if none does.
    """

    name: str
    target: str
    many: bool = False
    nullable: bool = True
    columns: tuple[str, ...] = ()
    target_columns: tuple[str, ...] = ()
    on_delete: str = ""
    read_only: bool = False
    label: str = ""
    mirror: str = ""


@dataclass(frozen=True, slots=True)
class ObjectType:
    """An object type (HubSpot object, table, database, collection, app) as discovered.

    `name` is what a set-up file calls it, `id` what the API calls it.
    `refused` says why it cannot be synced (a table without a primary key); "" if it can.
    `read_only_reason` says why it is not `writable`, `undeletable` why its records cannot
    be deleted for good (where the system deletes at all), `unfed` why the system's change feed
    does not tell of it (also "" where the system has none); `key` names the fields that a
    record's id is made of, where it is made of fields; `changed_field` tells change time
    where the system itself keeps such a field.
    """

    name: str
    id: str
    label: str = ""
    fields: tuple[Field, ...] = ()
    references: tuple[ReferenceField, ...] = ()
    display_field: str = ""
    custom: bool = False
    writable: bool = True
    refused: str = ""
    read_only_reason: str = ""
    undeletable: str = ""
    unfed: str = ""
    key: tuple[str, ...] = ()
    changed_field: str = ""

    def field(self, name: str) -> Field | None:
        return next((f for f in self.fields if f.name == name), None)

    def reference(self, name: str) -> ReferenceField | None:
        return next((r for r in self.references if r.name == name), None)


@dataclass(frozen=True, slots=True)
class JoinTable:
    """A table whose rows are links: two reference fields, perhaps with other columns."""

    name: str
    references: tuple[ReferenceField, ReferenceField]
    columns: tuple[Field, ...] = ()


@dataclass(frozen=True, slots=True)
class LinkTable:
    """A table whose rows link records, as a set-up names it.

    `near` and `far` are ids of object types; `from_columns` and `to_columns` hold their
    keys, named as a reference field is (several columns with commas); `label` is the
    column that says what kind of link a row is, "" where there is none.
    """

    name: str
    near: str
    far: str
    from_columns: str
    to_columns: str
    label: str = ""


@dataclass(frozen=True, slots=True)
class TableFault:
    """What keeps a link table from working; `part` is name, from, to or label."""

    part: str
    text: str
    code: str
    writing: bool = False  # it matters only where rows are written


@dataclass(frozen=True, slots=True)
class TableReport:
    """What a link table can do: `single` if it holds one row a pair of records."""

    faults: tuple[TableFault, ...] = ()
    single: bool = False


@dataclass(frozen=True, slots=True)
class LinkRow:
    """One row of a link table, seen from its near record; `label` as it stands there."""

    to_id: str
    label: str | None = None


@dataclass(frozen=True, slots=True)
class LinkRows:
    """The rows of a record; `complete` is False where some far record is hidden."""

    rows: tuple[LinkRow, ...] = ()
    complete: bool = True


@dataclass(frozen=True, slots=True)
class RowsWrite:
    """What the rows of one pair of records are to become: their labels, each once."""

    from_id: str
    to_id: str
    before: tuple[str | None, ...]
    after: tuple[str | None, ...]


@dataclass(frozen=True, slots=True)
class Schema:
    """Everything that discovery found in one connected system."""

    objects: tuple[ObjectType, ...]
    join_tables: tuple[JoinTable, ...] = ()

    def object(self, name: str) -> ObjectType | None:
        """The object type with this name or id, letter case ignored last."""
        for o in self.objects:
            if name in (o.name, o.id):
                return o
        folded = name.casefold()
        return next((o for o in self.objects if o.name.casefold() == folded), None)


@dataclass(frozen=True, slots=True)
class AssociationTypeInfo:
    """One association type as a HubSpot account lists it, seen from one direction."""

    category: str
    type_id: int
    label: str | None
    from_object: str
    to_object: str


@dataclass(frozen=True, slots=True)
class Reference:
    """What a reference field held when it was read.

    `ids` are ids of target records; `complete` is False where the system showed only
    part of the list (truncated, hidden): what is missing is unknown, never empty.
    """

    ids: tuple[str, ...] = ()
    complete: bool = True


@dataclass(frozen=True, slots=True)
class Record:
    """One record as read.

    Raw `values` by field name; `keys` holds further values that count for matching
    (HubSpot's additional e-mails and domains) by field name; `modified_at` is aware
    UTC or None; `aliases` are ids that were merged into this record; `sparse` if the
    answer seems to leave out what is unset, where the system is to say that it is blank.
    """

    id: str
    values: Mapping[str, Raw] = field(default_factory=dict)
    references: Mapping[str, Reference] = field(default_factory=dict)
    keys: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    modified_at: datetime | None = None
    created_at: datetime | None = None
    aliases: tuple[str, ...] = ()
    sparse: bool = False


@dataclass(frozen=True, slots=True)
class Page:
    """Records of one page and where to go on; `cursor` None ends the read.

    `read_at` is the system's own clock when it answered (aware UTC), where it tells.
    """

    records: tuple[Record, ...]
    cursor: str | None = None
    read_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Window:
    """What one call tells of a window of change times without showing its records.

    `stamps` is the sum of their change times (microseconds since 1970), None where the
    system cannot add them up; `newest` the change times of the latest of them by id;
    `unstamped` how many records have no time of change at all, in or out of the window.
    """

    count: int
    stamps: int | None = None
    newest: Mapping[str, datetime | None] = field(default_factory=dict)
    unstamped: int = 0


@dataclass(frozen=True, slots=True)
class Fed:
    """Part of a change feed: ids of records that were written or deleted, each once.

    `place` is where the next read goes on, once these are dealt with.
    """

    ids: tuple[str, ...]
    place: str


@dataclass(frozen=True, slots=True)
class Fetched:
    """Records asked for by id.

    `records` by the id that was asked for (a merged record answers under its old id
    with its new `Record.id`); `gone` are ids the system says do not exist (archived or
    deleted); an id in neither could not be read and nothing is concluded.
    """

    records: Mapping[str, Record]
    gone: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class AssociationType:
    """An association type as the wire knows it: never known by its text."""

    category: str
    type_id: int


@dataclass(frozen=True, slots=True)
class AssociationLimit:
    """The most links that a record may have in one direction: of a type, as an
    administrator of HubSpot set it, or (`type` None) of any, as the account's plan has it."""

    most: int
    type: AssociationType | None = None


@dataclass(frozen=True, slots=True)
class Edge:
    """A link to write along with a create, or by itself, seen from its first record."""

    from_id: str
    to_id: str
    types: frozenset[AssociationType] = frozenset()


@dataclass(frozen=True, slots=True)
class Linked:
    """One record linked to another as read: its id and every type the pair carries."""

    to_id: str
    types: frozenset[AssociationType]


@dataclass(frozen=True, slots=True)
class Want:
    """What to read of each record.

    Args: `fields` and `references` by name; `changed_field` is the field that tells
    change time ("" where the object has none or the connector knows it by itself).
    """

    fields: tuple[str, ...] = ()
    references: tuple[str, ...] = ()
    changed_field: str = ""


@dataclass(frozen=True, slots=True)
class InlineEdge:
    """A link that a create carries: the far record's id and the complete set of types."""

    to_object: str
    to_id: str
    types: frozenset[AssociationType]


@dataclass(frozen=True, slots=True)
class Draft:
    """A record to create. `trace` is unique for ever: the intent's own id.

    `id` is a reserved id where the connector gave one (`Connector.reserve`); `marker`
    names the field whose value no other record holds: a system that merges on its type
    (`Capabilities.merges_on`) may be sent the draft again.
    """

    trace: str
    values: Mapping[str, Canon]
    references: Mapping[str, Reference] = field(default_factory=dict)
    edges: tuple[InlineEdge, ...] = ()
    id: str | None = None
    marker: str = ""


@dataclass(frozen=True, slots=True)
class Patch:
    """Values and references to write to one record; a None value clears.

    `expected` is what the references held when the write was planned: a system that
    replaces whole lists reads them again and writes only the difference.
    """

    id: str
    values: Mapping[str, Canon] = field(default_factory=dict)
    references: Mapping[str, Reference] = field(default_factory=dict)
    expected: Mapping[str, Reference] = field(default_factory=dict)
    trace: str = ""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one draft, patch, edge or id, by its position in the request.

    Exactly one of three: `ok` (then `record` is what the API answered, or None where it
    answers nothing), refused (`code`, `message`), or `uncertain` (nobody knows).
    `existing_id` names the record that already exists, where a refusal says so.
    """

    ok: bool
    record: Record | None = None
    code: str = ""
    message: str = ""
    field: str = ""
    uncertain: bool = False
    existing_id: str | None = None
    correlation_id: str = ""


@dataclass(frozen=True, slots=True)
class Report:
    """What a connection test found: who we are there, in words.

    `system` names what the ids of records belong to (a portal, a database's schema),
    whoever asks and by whichever address; "" where that cannot be known.
    """

    account: str
    details: Mapping[str, str] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    system: str = ""


def same_system(one: str, other: str) -> bool:
    """Whether two `Report.system` may be of one system; a part "?" is not known."""
    parts = one.split("/"), other.split("/")
    if not one or not other or len(parts[0]) != len(parts[1]):
        return not one or not other
    return all(a == b or "?" in (a, b) for a, b in zip(*parts, strict=True))


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a connector declares, so that the engine never asks which kind it is.

    Only what somebody asks for stands here; what the methods themselves show (an id that
    `reserve` gives, a list that is written whole) needs no word. Sizes are records a
    call; seconds where the name says so.
    """

    write_batch: int
    fetch_batch: int
    changes: bool  # `changed` exists for an object with a change-time field
    feeds: bool = False  # `fed` tells every change since a place, deletions included
    reads_ahead: bool = False  # `pages` may go on in a thread, beside other calls
    tells_total: bool = False  # `window` counts any number in one call
    search_lag_s: float = 0.0  # how long a change stays invisible to `changed`
    overlap_s: float = 300.0  # how far `changed` windows reach back
    tells_field_times: bool = False  # `changed_at` exists
    targets_need_sync: bool = False  # links only to objects with a sync of their own
    carries_labels: bool = False
    merges_on: tuple[str, ...] = ()  # native types of a marker that makes creates exact
    link_tables: bool = False  # rows of a table can be links (`TableConnector`)
    archives: bool = False  # `archive` exists, and people can take it back
    deletes: bool = False  # `delete` exists
    numeric_ids: bool = False  # an id is a whole number, and nothing else is one
    undo_create: str = ""  # why a create cannot be undone; "" where it can
