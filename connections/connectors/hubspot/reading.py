"""Read records: all, what changed, by id, by a unique value.

Source: https://developers.hubspot.com/docs/api-reference/latest/crm/using-object-apis
and https://developers.hubspot.com/docs/api-reference/latest/crm/search-the-crm
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any
from urllib.parse import quote

from connections.connectors.base import RejectedError, SchemaError, TransientError
from connections.connectors.dialect import Answer
from connections.connectors.hubspot.api import Api, Json, next_after, text
from connections.connectors.hubspot.errors import context_names, error_of
from connections.connectors.hubspot.values import (
    ID,
    asked,
    epoch_ms,
    fold,
    modified_name,
    to_record,
    unique_names,
)
from connections.connectors.parts import chunks, listed, rows
from connections.records import Fetched, ObjectType, Page, Record, Want, Window

LIST_PAGE = 100  # records of one page
SEARCH_PAGE = 200
BATCH = 100  # ids of one batch read
MAX_QUERY = 12_000  # characters of a list's `properties`; longer addresses are refused
MAX_SEARCH_BODY = 3_000  # characters of a search
ALONE = 25  # ids of a batch that are read one by one though no error names them
NOT_FOUND = "OBJECT_NOT_FOUND"


class Reader:
    """Reads the records of one account."""

    def __init__(self, api: Api) -> None:
        self._api = api

    # All, in pages ---------------------------------------------------------------------

    def pages(
        self, obj: ObjectType, want: Want, cursor: str | None = None
    ) -> Iterator[Page]:
        """Read every live record, 100 a page; `cursor` is HubSpot's own `after`.

        Raises: ConnectorError.
        """
        names = asked(obj, want)
        csv = ",".join(names)
        fits = len(quote(csv, safe="")) <= MAX_QUERY
        while True:
            query = {
                "limit": str(LIST_PAGE),
                "archived": "false",
                "properties": csv if fits else ID,
            }
            if cursor is not None:
                query["after"] = cursor
            answer = self._api.read(
                f"list {obj.name}", "GET", self._api.paths.objects(obj.id), query=query
            )
            found = _listed(answer, obj)
            if not fits:
                found = self._read_again(obj, names, found)
            records = tuple(to_record(obj, row, want.fields) for row in found)
            following = next_after(answer.body)
            if following is not None and following == cursor:
                raise TransientError(f"HubSpot's list of {obj.name} does not move on.")
            cursor = following
            yield Page(records, cursor, answer.at)
            if cursor is None:
                return

    def _read_again(
        self, obj: ObjectType, names: list[str], found: list[Json]
    ) -> list[Json]:
        """The same records with more properties than an address or a search can ask for.

        One that is gone by now is left out.
        """
        again: list[Json] = []
        for some in chunks([text(row["id"]) for row in found], BATCH):
            again += _identified(self._batch(obj, some, names))
        return again

    def created_since(
        self, obj: ObjectType, want: Want, since: datetime
    ) -> Iterator[Page]:
        """Read the records created at or after a time, from the list, which has no lag.

        The list has neither a filter nor an order by time, and ids are not promised to
        grow with it, so that every page has to be looked at.
        """
        for page in self.pages(obj, want):
            new = tuple(r for r in page.records if _is_new(r, since))
            if new:
                yield Page(new, page.cursor, page.read_at)

    # What changed ----------------------------------------------------------------------

    def changed(
        self, obj: ObjectType, want: Want, after: datetime, until: datetime | None
    ) -> Iterator[Page]:
        """Read what changed in a window, 200 a page, in the order of ids.

        Each page asks for ids beyond the last one, so that no query comes near the
        10,000 results that search shows, records with the same time are no matter, and
        a record that leaves the window meanwhile shifts no other out of sight.
        """
        names = asked(obj, want)
        last: str | None = None
        while True:
            body = _search(obj, names, after, until, beyond=last)
            fits = len(json.dumps(body, separators=(",", ":"))) <= MAX_SEARCH_BODY
            if not fits:
                body = _search(
                    obj, [ID, modified_name(obj.id)], after, until, beyond=last
                )
            answer = self._search(obj, body)
            found = _listed(answer, obj)
            if not found:
                return
            ids = [int(text(row["id"])) for row in found]
            if last is not None and min(ids) <= int(last):
                raise TransientError(
                    f"HubSpot's search of {obj.name} does not move on."
                )
            full = found if fits else self._read_again(obj, names, found)
            records = tuple(to_record(obj, row, want.fields) for row in full)
            last = str(max(ids))
            more = next_after(answer.body) is not None or _full(answer, found)
            yield Page(records, last if more else None, answer.at)
            if not more:
                return

    def window(
        self, obj: ObjectType, after: datetime, until: datetime | None
    ) -> Window:
        """Count what `changed` would give, and see the latest of it, with one call."""
        modified = modified_name(obj.id)
        body = _search(obj, [ID, modified], after, until, beyond=None)
        body["sorts"] = [{"propertyName": modified, "direction": "DESCENDING"}]
        answer = self._search(obj, body)
        total = answer.body.get("total")
        if not isinstance(total, int):
            raise TransientError(f"HubSpot's search of {obj.name} tells no total.")
        records = [to_record(obj, row, ()) for row in _listed(answer, obj)]
        return Window(total, newest={r.id: r.modified_at for r in records})

    def _search(self, obj: ObjectType, body: Json) -> Answer:
        path = self._api.paths.objects(obj.id, "search")
        return self._api.read(
            f"search {obj.name}", "POST", path, body=body, bucket="search"
        )

    # By id -----------------------------------------------------------------------------

    def fetch(self, obj: ObjectType, ids: Sequence[str], want: Want) -> Fetched:
        """Read records by id, 100 a call; what is missing is asked for once more.

        An id is gone when it is among the archived records, or when reading it alone
        says that there is no such record; a merged one answers with its survivor.
        """
        records: dict[str, Record] = {}
        gone: set[str] = set()
        names = asked(obj, want)
        # HubSpot's ids are numbers: what is none names no record there.
        numbers = [i for i in dict.fromkeys(ids) if i.isascii() and i.isdigit()]
        gone |= set(ids) - set(numbers)
        for some in chunks(numbers, BATCH):
            answer = self._batch(obj, some, names)
            found = [to_record(obj, row, want.fields) for row in _identified(answer)]
            records |= _by_asked_id(found, some)
            missing = [i for i in some if i not in records]
            if missing:
                named = _named_missing(answer, missing)
                self._explain(obj, missing, named, want, records, gone)
        return Fetched(records, frozenset(gone))

    def _explain(
        self,
        obj: ObjectType,
        missing: list[str],
        named: set[str],
        want: Want,
        records: dict[str, Record],
        gone: set[str],
    ) -> None:
        """Find out what became of ids that a batch read did not show.

        Those that no error names are few, or the answer lost its end: then some of them
        are asked for now and the rest another time.
        """
        answer = self._batch(obj, missing, [ID], archived=True)
        archived = {
            text(row["id"]) for row in _identified(answer) if row.get("archived", True)
        }
        gone |= archived & set(missing)
        unnamed = [i for i in missing if i not in gone and i not in named]
        for record_id in [*named - gone, *unnamed[:ALONE]]:
            try:
                alone = self._alone(obj, record_id, asked(obj, want))
            except (RejectedError, SchemaError):
                continue  # an answer about something else: nothing is concluded
            if alone is None:
                gone.add(record_id)
            else:
                records[record_id] = to_record(obj, alone, want.fields)

    def _alone(
        self, obj: ObjectType, word: str, names: Iterable[str], id_property: str = ""
    ) -> Json | None:
        """One record by id or unique value; None if HubSpot says there is none.

        Raises: ConnectorError for any other refusal.
        """
        query = {"properties": ",".join(names), "archived": "false"}
        if len(quote(query["properties"], safe="")) > MAX_QUERY:
            query["properties"] = ID
        if id_property:
            query["idProperty"] = id_property
        path = self._api.paths.objects(obj.id, word)
        answer = self._api.door.send("GET", path, query=query)
        if answer.status == 404 and _says_not_found(answer.body):
            return None
        if (
            not answer.ok
            or not isinstance(answer.body, dict)
            or "id" not in answer.body
        ):
            raise error_of(answer, f"read one of {obj.name}")
        if answer.body.get("archived"):
            return None
        if query["properties"] == ID:
            more = _identified(self._batch(obj, [text(answer.body["id"])], list(names)))
            return more[0] if more else answer.body
        return answer.body

    def _batch(
        self,
        obj: ObjectType,
        words: Sequence[str],
        names: Sequence[str],
        *,
        id_property: str = "",
        archived: bool = False,
    ) -> Answer:
        body: dict[str, Any] = {
            "properties": list(names),
            "propertiesWithHistory": [],
            "inputs": [{"id": word} for word in words],
        }
        if id_property:
            body["idProperty"] = id_property
        return self._api.read(
            f"read {obj.name}",
            "POST",
            self._api.paths.objects(obj.id, "batch", "read"),
            query={"archived": "true" if archived else "false"},
            body=body,
        )

    # By a unique value -----------------------------------------------------------------

    def lookup(
        self, obj: ObjectType, name: str, values: Sequence[str], want: Want
    ) -> Mapping[str, Record] | None:
        """Find records by a unique property, without any index lag; None if it is none.

        A contact is found by its further e-mails too. A value that has no record in the
        answer is one that HubSpot says nobody holds.
        """
        if name not in unique_names(obj):
            return None
        names = asked(obj, want, name)
        by_form: dict[str, list[str]] = {}
        for value in values:
            if value:
                by_form.setdefault(fold(obj, name, value), []).append(value)
        found: dict[str, Record] = {}
        for some in chunks(list(by_form), BATCH):
            answer = self._batch(obj, some, names, id_property=name)
            bodies = _identified(answer)
            for row in bodies:
                record = to_record(obj, row, want.fields)
                for form in _held(obj, name, row, record):
                    found |= dict.fromkeys(by_form.get(form, ()), record)
            missing = [form for form in some if by_form[form][0] not in found]
            named = _named_missing(answer, missing)
            for form in missing:
                if form not in named:
                    alone = self._alone(obj, form, names, name)
                    if alone is not None:
                        record = to_record(obj, alone, want.fields)
                        found |= dict.fromkeys(by_form[form], record)
        return found


def _listed(answer: Answer, obj: ObjectType) -> list[Json]:
    """The records of a list. Raises: TransientError for an answer without one.

    Taken for an empty list, it would say that no record is left.
    """
    found = listed(answer.body, "results", f"list {obj.name}")
    known = _identified(answer)
    if len(known) < len(found):
        raise TransientError(f"HubSpot's list of {obj.name} lacks ids.")
    return known


def _identified(answer: Answer) -> list[Json]:
    """The records of an answer that say which they are."""
    return [
        row for row in rows(answer.body, "results") if text(row.get("id")).isdigit()
    ]


def _is_new(record: Record, since: datetime) -> bool:
    """A record that does not tell when it was made may be new."""
    return record.created_at is None or record.created_at >= since


def _search(
    obj: ObjectType,
    names: Sequence[str],
    after: datetime,
    until: datetime | None,
    *,
    beyond: str | None,
) -> dict[str, Any]:
    """A search of a window by change time, which HubSpot keeps to the millisecond."""
    modified = modified_name(obj.id)
    filters = [{"propertyName": modified, "operator": "GT", "value": epoch_ms(after)}]
    if until is not None:
        filters.append(
            {"propertyName": modified, "operator": "LTE", "value": epoch_ms(until)}
        )
    if beyond is not None:
        filters.append({"propertyName": ID, "operator": "GT", "value": beyond})
    return {
        "filterGroups": [{"filters": filters}],
        "sorts": [{"propertyName": ID, "direction": "ASCENDING"}],
        "properties": list(names),
        "limit": SEARCH_PAGE,
    }


def _by_asked_id(found: Iterable[Record], ids: Sequence[str]) -> dict[str, Record]:
    """Records under the ids they were asked by: their own, or one merged into them."""
    records = list(found)
    wanted = set(ids)
    by_id = {alias: r for r in records for alias in r.aliases if alias in wanted}
    return by_id | {r.id: r for r in records if r.id in wanted}


def _named_missing(answer: Answer, missing: Iterable[str]) -> set[str]:
    """Which of these an answer's errors call not found.

    A short answer without such an error says nothing about what it lacks.
    """
    lacking = set(missing)
    named: set[str] = set()
    for error in rows(answer.body, "errors"):
        if error.get("category") == NOT_FOUND:
            ids = context_names(error, "ids", "id", "objectId", "objectIds")
            ids += [text(error["id"])] if error.get("id") is not None else []
            named |= set(ids) if ids else lacking
    return named & lacking


def _full(answer: Answer, found: Sequence[Json]) -> bool:
    """Whether a page without a word of another may have one all the same."""
    total = answer.body.get("total")
    if isinstance(total, int) and total <= len(found):
        return False
    return len(found) >= SEARCH_PAGE


def _says_not_found(body: object) -> bool:
    """Whether a 404 is HubSpot's own word about a record, not a proxy's about a path."""
    if not isinstance(body, dict):
        return False
    envelope = body.get("correlationId") or body.get("status") == "error"
    return body.get("category") == NOT_FOUND or (
        bool(envelope) and "not found" in text(body.get("message")).lower()
    )


def _held(obj: ObjectType, name: str, row: Json, record: Record) -> set[str]:
    """Every form of a unique value under which a record was found."""
    own = (row.get("properties") or {}).get(name)
    values = [own] if own not in (None, "") else []
    values += record.keys.get(name, ())
    return {fold(obj, name, str(value)) for value in values}
