"""Read records: all, what changed, by id, those made since a moment.

Source: https://airtable.com/developers/web/api/list-records
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from connections.connectors.airtable import formulas
from connections.connectors.airtable.api import Api, Json, Table, checked
from connections.connectors.airtable.errors import (
    NOT_FOUND,
    RESTART,
    error_of,
    type_of,
)
from connections.connectors.airtable.types import Unreadable, to_raw
from connections.connectors.base import SchemaError, TransientError
from connections.connectors.dialect import Answer
from connections.connectors.parts import chunks, listed
from connections.records import (
    Fetched,
    ObjectType,
    Page,
    Raw,
    Record,
    Reference,
    Want,
    Window,
)

PAGE_SIZE = 100  # records of one page, and ids of one formula
RESTARTS = 3  # of a listing whose place was forgotten
NEWEST = 200  # records of a window that are told one by one
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
WATCHED = "lastModifiedTime"


class Reader:
    """Reads the records of one base."""

    def __init__(self, api: Api) -> None:
        self._api = api

    # Listings ---------------------------------------------------------------------------

    def pages(
        self,
        obj: ObjectType,
        want: Want,
        cursor: str | None = None,
        formula: str = "",
    ) -> Iterator[Page]:
        """Read records; a cursor that was forgotten begins the listing again.

        Airtable keeps a listing's place for some minutes only, and what it showed
        before does no harm when it comes again.
        """
        restarts = 0
        while True:
            answer = self._list(obj, want, cursor, formula)
            if type_of(answer) in RESTART and cursor and restarts < RESTARTS:
                cursor, restarts = None, restarts + 1
                continue
            body = self._checked(answer, obj).body
            table = self._api.table(obj)
            following = body.get("offset")
            yield Page(
                tuple(to_record(table, r, want) for r in records_of(body, obj)),
                str(following) if following else None,
                answer.at,
            )
            if not following:
                return
            if following == cursor:
                raise TransientError("Airtable's listing of records does not move on.")
            cursor = str(following)

    def _list(
        self, obj: ObjectType, want: Want, cursor: str | None, formula: str
    ) -> Answer:
        table = self._api.table(obj)
        body: Json = {
            "pageSize": PAGE_SIZE,
            "returnFieldsByFieldId": True,
            "fields": wanted_ids(table, want) or [table.primary],
        }
        if formula:
            body["filterByFormula"] = formula
        if cursor:
            body["offset"] = cursor
        doing = f"list {obj.name}"
        return self._api.of_table(obj, doing, "POST", "listRecords", body=body)

    def _checked(self, answer: Answer, obj: ObjectType) -> Answer:
        try:
            return checked(answer, f"list {obj.name}")
        except SchemaError:
            self._api.forget()
            raise

    # What changed -----------------------------------------------------------------------

    def changed(
        self,
        obj: ObjectType,
        want: Want,
        after: datetime,
        until: datetime | None,
    ) -> Iterator[Page]:
        field_id = self._watched(obj, want)
        formula = formulas.between(field_id, after, until)
        for page in self.pages(obj, want, formula=formula):
            yield replace(page, cursor=None)

    def window(
        self, obj: ObjectType, want: Want, after: datetime, until: datetime
    ) -> Window:
        """Count a window's records: Airtable has no totals, so they are listed, with
        nothing but their time. Those without a time come in the same listing."""
        field_id = self._watched(obj, want)
        inside, blank = (
            formulas.between(field_id, after, until),
            formulas.blank(field_id),
        )
        plain = Want(changed_field=want.changed_field)
        newest: dict[str, datetime | None] = {}
        count = unstamped = stamps = 0
        for page in self.pages(obj, plain, formula=f"OR({inside},{blank})"):
            for record in page.records:
                if record.modified_at is None:
                    unstamped += 1
                    continue
                count += 1
                stamps += (record.modified_at - EPOCH) // timedelta(microseconds=1)
                if len(newest) < NEWEST:
                    newest[record.id] = record.modified_at
        return Window(count, stamps, newest, unstamped)

    def unstamped(self, obj: ObjectType, want: Want) -> Iterator[Page]:
        formula = formulas.blank(self._watched(obj, want))
        for page in self.pages(obj, want, formula=formula):
            yield replace(page, cursor=None)

    def created_since(
        self, obj: ObjectType, want: Want, since: datetime
    ) -> Iterator[Page]:
        return self.pages(obj, want, formula=formulas.created_since(since))

    def raw_pages(
        self, obj: ObjectType, want: Want, since: datetime
    ) -> Iterator[list[Json]]:
        """Records made since a moment, as answered."""
        cursor: str | None = None
        formula = formulas.created_since(since)
        while True:
            body = self._checked(self._list(obj, want, cursor, formula), obj).body
            yield records_of(body, obj)
            following = body.get("offset")
            if not following:
                return
            cursor = str(following)

    def _watched(self, obj: ObjectType, want: Want) -> str:
        """The id of the field of change time. Raises: SchemaError where it does not see
        every change, for then changes would be missed."""
        field = self._api.table(obj).by_name.get(want.changed_field)
        if field is None:
            raise SchemaError(f"{obj.name} has no field {want.changed_field} any more.")
        options: Mapping[str, Any] = field.get("options") or {}
        result: Mapping[str, Any] = options.get("result") or {}
        why = ""
        if field.get("type") != WATCHED:
            why = "is not a field of the type last modified time"
        elif options.get("isValid") is False:
            why = "is not valid in Airtable"
        elif options.get("referencedFieldIds"):
            why = "watches some of the fields only"
        elif result.get("type", "dateTime") != "dateTime":
            why = "shows the day and not the time"
        if why:
            raise SchemaError(
                f"{want.changed_field} cannot tell when records of {obj.name} changed: it "
                f"{why}."
            )
        return str(field["id"])

    # By id ------------------------------------------------------------------------------

    def fetch(self, obj: ObjectType, ids: Sequence[str], want: Want) -> Fetched:
        """Read records by id; what a listing does not show is asked for by itself, and
        gone only if Airtable says so of that id."""
        asked = list(dict.fromkeys(ids))
        records: dict[str, Record] = {}
        for some in chunks([i for i in asked if is_record_id(i)], PAGE_SIZE):
            formula = formulas.any_of_ids(some)
            for page in self.pages(obj, want, formula=formula):
                records |= {record.id: record for record in page.records}
        gone = set()
        for record_id in asked:
            if record_id in records:
                continue
            found = self.one(obj, record_id, want) if is_record_id(record_id) else None
            if found is None:
                gone.add(record_id)
            elif found.id:
                records[record_id] = found
        return Fetched(records, frozenset(gone))

    def one(self, obj: ObjectType, record_id: str, want: Want) -> Record | None:
        """A record by itself; None if it is gone, one without an id if nothing can be
        concluded: Airtable may answer with a record of another table."""
        table = self._api.table(obj)
        answer = self._api.of_table(
            obj,
            f"read {obj.name}",
            "GET",
            record_id,
            query={"returnFieldsByFieldId": "true"},
        )
        if answer.status == NOT_FOUND:
            return None
        if not answer.ok:
            raise error_of(answer, f"read {obj.name}")
        body = answer.body if isinstance(answer.body, dict) else {}
        cells = body.get("fields") or {}
        if not cells or not cells.keys() <= table.by_id.keys():
            return Record("")
        return to_record(table, body, want)


def is_record_id(text: str) -> bool:
    return text.startswith("rec") and text.isascii() and text.isalnum()


def wanted_ids(table: Table, want: Want) -> list[str]:
    """The ids of the fields to read."""
    names = [*want.fields, *want.references]
    if want.changed_field:
        names.append(want.changed_field)
    return list(dict.fromkeys(table.ids(names)))


def records_of(body: Json, obj: ObjectType) -> list[Json]:
    """The records of a listing. Raises: TransientError for a body that is none.

    A record without any value has `fields` that are empty; one without `fields` tells
    nothing, and would be taken for emptied.
    """
    doing = f"list {obj.name}"
    listed(body, "records", doing, each="fields", form=dict)
    return listed(body, "records", doing, each="id")


def to_record(table: Table, body: Json, want: Want) -> Record:
    """One record as answered.

    A blank cell is left out of answers; a field that is not there (any more), or whose
    cell shows an error, has no value here.
    """
    cells: Json = body.get("fields") or {}
    values: dict[str, Raw] = {}
    for name in want.fields:
        field = table.by_name.get(name)
        if field is None:
            continue
        try:
            values[name] = to_raw(field, cells.get(str(field["id"])))
        except Unreadable:
            continue
    references = {
        name: Reference(tuple(map(str, cells.get(field_id) or ())))
        for name in want.references
        for field_id in table.ids([name])
    }
    (changed,) = table.ids([want.changed_field]) or [""]
    return Record(
        id=str(body["id"]),
        values=values,
        references=references,
        modified_at=moment(cells.get(changed)),
        created_at=moment(body.get("createdTime")),
    )


def moment(text: object) -> datetime | None:
    """A time as Airtable writes it."""
    try:
        at = datetime.fromisoformat(str(text))
    except ValueError:
        return None
    return at.astimezone(UTC) if at.tzinfo else at.replace(tzinfo=UTC)
