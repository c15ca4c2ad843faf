"""Read records: by id, by change time, by value; 500 a call.

Times of change are whole minutes. So the clock that a page tells is two minutes behind: what
the caller takes up to it lies in minutes that were over, and all that is later is read again.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from connections.catalogue import Code
from connections.connectors.base import RejectedError, SchemaError, ScopeError
from connections.connectors.kintone.api import (
    PAGE_SIZE,
    Api,
    Json,
    any_of,
    quoted,
    text,
)
from connections.connectors.kintone.keys import KeyIndex
from connections.connectors.kintone.revisions import Revisions
from connections.connectors.kintone.values import from_wire, key_text, moment
from connections.connectors.parts import chunks
from connections.records import (
    Fetched,
    ObjectType,
    Page,
    Record,
    Reference,
    ValueType,
    Want,
    Window,
)

MINUTE = timedelta(minutes=1)
SETTLED = 2 * MINUTE  # how long ago a minute began that is surely over
SKEW = 2 * MINUTE
ID, REVISION = "$id", "$revision"
LOOKED_UP = ("SINGLE_LINE_TEXT", "NUMBER", "LINK")  # fields that can be asked with "in"


class Reader:
    """Reads records of one domain."""

    def __init__(self, api: Api, revisions: Revisions) -> None:
        self._api, self._revisions = api, revisions

    # Lists -----------------------------------------------------------------------------

    def pages(
        self, obj: ObjectType, want: Want, cursor: str | None = None, where: str = ""
    ) -> Iterator[Page]:
        """Read by id, in ascending order; `cursor` is the last id of a page."""
        last, keys = cursor or "0", KeyIndex(self._api)
        condition = f"({where}) and " if where else ""
        while True:
            query = f"{condition}$id > {last} order by $id asc limit {PAGE_SIZE}"
            page, left = self._page(obj, want, query, keys)
            if page.records:
                last = page.records[-1].id
            more = left > len(page.records)
            yield replace(page, cursor=last if more else None)
            if not more:
                return

    def changed(
        self, obj: ObjectType, want: Want, after: datetime, until: datetime | None
    ) -> Iterator[Page]:
        """Read by time of change and id: a record that moves on comes once more."""
        name = changed_name(obj, want)
        keys = KeyIndex(self._api)
        bound = f"{name} > {_time(after)}"
        end = f" and {name} <= {_time(until)}" if until is not None else ""
        order = f"order by {name} asc, $id asc limit {PAGE_SIZE}"
        while True:
            page, left = self._page(obj, want, f"({bound}){end} {order}", keys)
            yield page
            if left <= len(page.records) or not page.records:
                return
            last = page.records[-1]
            assert last.modified_at is not None, "the page was ordered by it"
            at = _time(last.modified_at)
            bound = f"{name} > {at} or ({name} = {at} and $id > {last.id})"

    def _page(
        self, obj: ObjectType, want: Want, query: str, keys: KeyIndex
    ) -> tuple[Page, int]:
        """One page, and how many records there are from its first on."""
        listed, total, answer = self._api.records(
            obj.id, query, asked(obj, want), f"read {obj.name}", count=True
        )
        if total is None:  # it was not told: a full page may be the last
            total = len(listed) + (len(listed) == PAGE_SIZE)
        records = self.records(obj, want, listed, keys)
        read_at = answer.at - SETTLED if answer.at else None
        return Page(tuple(records), read_at=read_at), total

    def records(
        self, obj: ObjectType, want: Want, listed: Sequence[Json], keys: KeyIndex
    ) -> list[Record]:
        """Records as answered, their lookups' keys looked up."""
        wanted = [r for n in want.references if (r := obj.reference(n)) is not None]
        lost = [n for n in want.references if obj.reference(n) is None]
        linked = keys.resolve(wanted, listed)
        unknown = {name: Reference((), complete=False) for name in lost}
        found = []
        for row, references in zip(listed, linked, strict=True):
            record = to_record(obj, want, row)
            self._revisions.saw(obj.id, row)
            found.append(replace(record, references=references | unknown))
        return found

    def window(
        self, obj: ObjectType, want: Want, after: datetime, until: datetime
    ) -> Window:
        """Count a window; its times are added up where one call shows them all."""
        name = changed_name(obj, want)
        query = (
            f"{name} > {_time(after)} and {name} <= {_time(until)} "
            f"order by {name} desc, $id desc limit {PAGE_SIZE}"
        )
        listed, total, _ = self._api.records(
            obj.id, query, (ID, name), f"count changes of {obj.name}", count=True
        )
        newest = {text(row[ID]["value"]): _moment(row, name) for row in listed}
        if total is None:
            total = len(listed) + (len(listed) == PAGE_SIZE)
        stamps = None
        if total == len(listed):
            stamps = sum(int(at.timestamp()) * 10**6 for at in newest.values() if at)
        return Window(total, stamps, newest)

    def created_since(
        self, obj: ObjectType, want: Want, since: datetime
    ) -> Iterator[Page]:
        """Read by time of creation; every record where the form keeps none."""
        name = code_of(obj, "CREATED_TIME")
        where = f"{name} >= {_time(since - SKEW)}" if name else ""
        return self.pages(obj, want, where=where)

    # By id and by value ----------------------------------------------------------------

    def fetch(self, obj: ObjectType, ids: Sequence[str], want: Want) -> Fetched:
        """Read records by id: 500 a call, and one more for each that is not shown."""
        asked_for = [i for i in dict.fromkeys(ids) if i.isdecimal()]
        records = self.listed(obj, asked_for, want)
        gone = {i for i in ids if not i.isdecimal()}
        gone |= {i for i in asked_for if i not in records and self._is_gone(obj, i)}
        return Fetched(records, frozenset(gone))

    def listed(
        self, obj: ObjectType, ids: Sequence[str], want: Want
    ) -> dict[str, Record]:
        """The records that are shown of some ids, 500 a call."""
        found: dict[str, Record] = {}
        keys = KeyIndex(self._api)
        for some in chunks(ids, PAGE_SIZE):
            query = f"{any_of(ID, some)} limit {PAGE_SIZE}"
            rows, _, _ = self._api.records(
                obj.id, query, asked(obj, want), f"read {obj.name}"
            )
            found |= {r.id: r for r in self.records(obj, want, rows, keys)}
        return found

    def _is_gone(self, obj: ObjectType, record_id: str) -> bool:
        """Whether Kintone says so for this id: a list leaves out what is not permitted."""
        query = {"app": obj.id, "id": record_id}
        try:
            self._api.read(f"read {obj.name} {record_id}", "record", query)
        except ScopeError:
            return False
        except RejectedError as exc:
            if exc.code != Code.RECORD_GONE:
                raise
            return True
        return False

    def lookup(
        self, obj: ObjectType, field_name: str, values: Sequence[str], want: Want
    ) -> Mapping[str, Record] | None:
        """Find records by a field whose values Kintone keeps unique; None for others."""
        field = obj.field(field_name)
        if field is None or not field.unique or field.native_type not in LOOKED_UP:
            return None
        wanted = {
            key_text({"type": field.native_type, "value": value}): value
            for value in values
            if value
        }
        found: dict[str, Record] = {}
        more = replace(want, fields=tuple(dict.fromkeys((*want.fields, field_name))))
        keys = KeyIndex(self._api)
        for some in chunks(list(wanted), PAGE_SIZE):
            query = f"{any_of(field_name, some)} limit {PAGE_SIZE}"
            listed, _, _ = self._api.records(
                obj.id, query, asked(obj, more), f"look up {obj.name}"
            )
            records = self.records(obj, want, listed, keys)
            for row, record in zip(listed, records, strict=True):
                if (value := wanted.get(key_text(row.get(field_name)))) is not None:
                    found[value] = record
        return found


def code_of(obj: ObjectType, kind: str) -> str:
    """The code of an object's only field of a Kintone type; "" where it has none."""
    return next((f.name for f in obj.fields if f.native_type == kind), "")


def changed_name(obj: ObjectType, want: Want) -> str:
    """The field of the time of change, which nobody but Kintone writes.

    Raises: SchemaError.
    """
    own = code_of(obj, "UPDATED_TIME")
    if not own or want.changed_field not in ("", own):
        name = want.changed_field or "Updated time"
        raise SchemaError(
            f"{name} is not the field that tells when a record of {obj.name} changed"
            f"{f': that is {own}' if own else ''}.",
            code=Code.FIELD_MISSING,
        )
    return own


def asked(obj: ObjectType, want: Want) -> list[str]:
    """The field codes to read: what is wanted, and what every record needs beside."""
    references = [obj.reference(name) for name in want.references]
    columns = [r.columns[0] for r in references if r is not None]
    times = [code_of(obj, kind) for kind in ("UPDATED_TIME", "CREATED_TIME")]
    names = [ID, REVISION, *want.fields, *columns, *filter(None, times)]
    return list(dict.fromkeys(names))


def to_record(obj: ObjectType, want: Want, row: Json) -> Record:
    """One record as answered; a field that the form has no more is left out."""
    values = {}
    for name in want.fields:
        if name in row:
            field = obj.field(name)
            boolean = field is not None and field.type is ValueType.BOOLEAN
            cell = row[name]
            kind = str(cell.get("type"))
            values[name] = from_wire(cell.get("value"), kind, boolean=boolean)
    return Record(
        id=text(row[ID]["value"]),
        values=values,
        modified_at=_moment(row, code_of(obj, "UPDATED_TIME")),
        created_at=_moment(row, code_of(obj, "CREATED_TIME")),
    )


def _moment(row: Json, name: str) -> datetime | None:
    return moment((row.get(name) or {}).get("value"))


def _time(at: datetime) -> str:
    """A time as a query takes it, cut to the minute as those of records are."""
    return quoted(f"{at:%Y-%m-%dT%H:%M:00Z}")
