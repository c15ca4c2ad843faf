"""The calls that the fake answers, by method and name.

Source: https://kintone.dev/en/docs/kintone/rest-api/
"""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

from connections.sandbox.hubspot.switches import Switches
from connections.sandbox.kintone.access import ADD, DELETE, EDIT, VIEW, Caller
from connections.sandbox.kintone.domain import App, Domain, shown
from connections.sandbox.kintone.errors import ApiError, invalid, no_record
from connections.sandbox.kintone.query import Parser, sort_key
from connections.sandbox.kintone.writes import MAX_BATCH, Writer

Json = dict[str, Any]
MOST_APPS = 100


@dataclass(frozen=True)
class Call:
    """One call: who makes it, and with what."""

    domain: Domain
    caller: Caller
    switches: Switches
    given: Json
    right_code: str

    def app(self, right: str) -> App:
        """The app that is meant, of which the caller has a right.

        Raises: ApiError.
        """
        if self.given.get("app") in (None, ""):
            raise invalid("app", "Required.")
        found = self.domain.app(self.given["app"])
        self.caller.need(found, right, self.right_code)
        return found

    @property
    def writer(self) -> Writer:
        user = self.caller.user or "Administrator"
        return Writer(self.domain, lambda app: self.caller.may(app, VIEW), user)


def list_apps(call: Call) -> Json:
    if not call.caller.user and not call.switches["token_lists_apps"]:
        raise ApiError(403, call.right_code, "No privilege to proceed.")
    limit, offset = (int(call.given.get(n, d)) for n, d in _PAGE.items())
    if not 1 <= limit <= MOST_APPS:
        raise invalid("limit", f"Must be from 1 to {MOST_APPS}.")
    wanted = [str(i) for i in call.given.get("ids", [])]
    found = [
        _app(app)
        for app in call.domain.apps.values()
        if call.caller.knows(app) and (not wanted or str(app.id) in wanted)
    ]
    return {"apps": found[offset : offset + limit]}


_PAGE = {"limit": 100, "offset": 0}


def _app(app: App) -> Json:
    return {
        "appId": str(app.id),
        "code": app.code,
        "name": app.name,
        "description": "",
        "spaceId": None,
        "threadId": None,
    }


def read_app(call: Call) -> Json:
    app = call.domain.app(call.given["id"])
    if not call.caller.user and not call.switches["token_reads_app"]:
        raise ApiError(403, call.right_code, "No privilege to proceed.")
    call.caller.need(app, VIEW, call.right_code)
    return _app(app)


def read_fields(call: Call) -> Json:
    """The form; what points to an app that the caller may not view is null."""
    app = call.app(VIEW)
    properties = deepcopy(app.properties)
    for definition in properties.values():
        _hide(call, definition)
        for inner in definition.get("fields", {}).values():
            _hide(call, inner)
    return {"properties": properties, "revision": str(app.revision)}


def _hide(call: Call, definition: Json) -> None:
    for name in ("lookup", "referenceTable"):
        if target := definition.get(name):
            app = call.domain.apps.get(int(target["relatedApp"]["app"]))
            if app is None or not call.caller.may(app, VIEW):
                definition[name] = None


def read_record(call: Call) -> Json:
    app = call.app(VIEW)
    text = str(call.given["id"])
    record = app.records.get(int(text)) if text.isdigit() else None
    if record is None:
        raise no_record(text)
    return {"record": shown(app, record)}


def list_records(call: Call) -> Json:
    app = call.app(VIEW)
    types = {code: field["type"] for code, field in app.properties.items()}
    columns = {}
    for code, definition in app.properties.items():
        for inner, column in definition.get("fields", {}).items():
            types[inner], columns[inner] = column["type"], code
    types["$id"] = "__ID__"
    fold = bool(call.switches["text_keys_fold_case"])
    text = str(call.given.get("query", ""))
    query = Parser(text, types, columns, fold=fold).query()
    rows = [shown(app, record) for record in app.records.values()]
    rows = [row for row in rows if query.test(row)]
    for code, falling in reversed(query.order or [("$id", True)]):
        rows.sort(key=lambda row, c=code: sort_key(row, c), reverse=falling)  # type: ignore[misc]
    page = rows[query.offset : query.offset + query.limit]
    if names := call.given.get("fields"):
        page = [{n: row[n] for n in names if n in row} for row in page]
    counted = str(call.given.get("totalCount", "")).lower() == "true"
    total = str(len(rows)) if counted and call.switches["total_count"] else None
    return {"records": page, "totalCount": total}


def create_record(call: Call) -> Json:
    record = call.writer.create(call.app(ADD), call.given.get("record"), "record.")
    return {"id": str(record.id), "revision": str(record.revision)}


def create_records(call: Call) -> Json:
    app, writer = call.app(ADD), call.writer
    made = [
        writer.create(app, given, f"records[{place}].")
        for place, given in enumerate(_batch(call, "records"))
    ]
    return {
        "ids": [str(r.id) for r in made],
        "revisions": [str(r.revision) for r in made],
    }


def update_record(call: Call) -> Json:
    record, _ = call.writer.update(call.app(EDIT), call.given, "record.")
    return {"revision": str(record.revision)}


def update_records(call: Call) -> Json:
    app, writer = call.app(EDIT), call.writer
    upsert = call.given.get("upsert") is True
    if upsert:
        call.caller.need(app, ADD, call.right_code)
    nested = "record." if call.switches["update_errors_nested"] else ""
    found: list[Json] = []
    for place, entry in enumerate(_batch(call, "records")):
        path = f"records[{place}].{nested}"
        record, done = writer.update(app, entry, path, upsert=upsert)
        row: Json = {"id": str(record.id), "revision": str(record.revision)}
        found.append(row | ({"operation": done} if upsert else {}))
    return {"records": found}


def delete_records(call: Call) -> Json:
    app, writer = call.app(DELETE), call.writer
    ids = _batch(call, "ids")
    revisions = call.given.get("revisions") or [None] * len(ids)
    for number, revision in zip(ids, revisions, strict=True):
        writer.delete(app, number, revision)
    return {}


def _batch(call: Call, name: str) -> list[Any]:
    found = call.given.get(name)
    if not isinstance(found, list) or not 1 <= len(found) <= MAX_BATCH:
        raise invalid(name, f"Must be from 1 to {MAX_BATCH}.")
    return found


CALLS: dict[tuple[str, str], Callable[[Call], Json]] = {
    ("GET", "apps.json"): list_apps,
    ("GET", "app.json"): read_app,
    ("GET", "app/form/fields.json"): read_fields,
    ("GET", "record.json"): read_record,
    ("GET", "records.json"): list_records,
    ("POST", "record.json"): create_record,
    ("POST", "records.json"): create_records,
    ("PUT", "record.json"): update_record,
    ("PUT", "records.json"): update_records,
    ("DELETE", "records.json"): delete_records,
}
