"""One authorised request: where it leads, and what its token may do there."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

from connections.sandbox.airtable.errors import (
    ApiError,
    forbidden,
    not_found,
    unknown_model,
)
from connections.sandbox.airtable.records import Batch, Reader
from connections.sandbox.airtable.showing import Show
from connections.sandbox.airtable.tokens import (
    DESIGN,
    HOOKS,
    READ,
    SCHEMA,
    WRITE,
    Token,
)
from connections.sandbox.airtable.writing import Writer
from connections.sandbox.wire import Request

if TYPE_CHECKING:
    from connections.sandbox.airtable.app import Airtable

Json = dict[str, Any]
CREATORS = ("create",)
EDITORS = ("create", "edit")
BASE_PAGE = 1000


class Call:
    """One authorised request."""

    def __init__(
        self, fake: Airtable, request: Request, token: Token, parts: list[str]
    ) -> None:
        self.fake = fake
        self.token = token
        self.method = request.method
        self.parts = parts
        self.query = _query(request.query)
        self.body = _parsed(request.body)
        self.now = fake.clock.now_ms()
        self.base_id = next((p for p in parts if p.startswith("app")), "")

    def run(self) -> Any:
        """Route. Raises: ApiError."""
        match self.method, self.parts:
            case "GET", ["meta", "whoami"]:
                return {"id": self.token.user}
            case "GET", ["meta", "bases"]:
                return self._bases()
            case "GET", ["meta", "bases", base, "tables"]:
                self._may(base, SCHEMA)
                return {"tables": [_shown(t) for t in self._base(base)["tables"]]}
            case _, ["meta", "bases", base, "tables", *rest]:
                return self._design(base, rest)
            case _, ["bases", base, "webhooks", *rest]:
                return self._webhooks(base, rest)
            case _, [base, table, *rest] if base.startswith("app"):
                return self._records(base, table, rest)
        raise not_found()

    # Rights -----------------------------------------------------------------------------

    def _may(self, base: str, scope: str, levels: Iterable[str] | None = None) -> None:
        if scope not in self.token.scopes:
            raise unknown_model()
        if base not in self.token.bases:
            raise unknown_model()
        if levels is not None and self.token.level not in levels:
            raise forbidden("You are not permitted to perform this operation")

    def _base(self, base: str) -> Json:
        return self.fake.bases.get(base)

    # Metadata ---------------------------------------------------------------------------

    def _bases(self) -> Json:
        if SCHEMA not in self.token.scopes:
            raise unknown_model()
        shown = [
            {"id": b["id"], "name": b["name"], "permissionLevel": self.token.level}
            for b in self.fake.bases.listed()
            if b["id"] in self.token.bases
        ]
        start = int(self.query.get("offset", 0))
        body: Json = {"bases": shown[start : start + BASE_PAGE]}
        if len(shown) > start + BASE_PAGE:
            body["offset"] = str(start + BASE_PAGE)
        return body

    def _design(self, base: str, rest: list[str]) -> Json:
        self._may(base, DESIGN, CREATORS)
        bases = self.fake.bases
        match self.method, rest:
            case "POST", []:
                return _shown(
                    bases.make_table(base, self.body["name"], self.body["fields"])
                )
            case "POST", [table, "fields"]:
                return bases.make_field(base, table, self.body)
            case "PATCH", [table, "fields", field]:
                if "name" in self.body:
                    bases.rename(base, table, field, self.body["name"])
                found = self._base(base)
                name = self.body.get("name", field)
                return bases.field(bases.table(found, table), name)
        raise not_found()

    # Webhooks ---------------------------------------------------------------------------

    def _webhooks(self, base: str, rest: list[str]) -> Any:
        self._may(base, HOOKS, CREATORS)
        hooks = self.fake.webhooks
        match self.method, rest:
            case "POST", []:
                return hooks.create(base, self.body, self.now)
            case "GET", []:
                return hooks.listed(base, self.now)
            case "DELETE", [hook]:
                return hooks.delete(base, hook, self.now)
            case "POST", [hook, "refresh"]:
                return hooks.refresh(base, hook, self.now)
            case "POST", [hook, "enableNotifications"]:
                return hooks.enable(base, hook, self.body, self.now)
            case "GET", [hook, "payloads"]:
                lag = self.fake.switches.number("payload_lag_s") * 1000
                return hooks.payloads(base, hook, self.query, self.now, lag)
        raise not_found()

    # Records ----------------------------------------------------------------------------

    def _records(self, base_id: str, name: str, rest: list[str]) -> Any:
        reads = self.method == "GET" or rest == ["listRecords"]
        if reads:
            self._may(base_id, READ)
        else:
            self._may(base_id, WRITE, EDITORS)
        base = self._base(base_id)
        table = self.fake.bases.table(base, name)
        reader = Reader(self.fake.store, base, self.fake.switches, self.fake.listings)
        match self.method, rest:
            case "GET", []:
                return reader.listed(table, self.query)
            case "POST", ["listRecords"]:
                return reader.listed(table, self.query | self.body)
            case "GET", [record_id]:
                return reader.one(table, record_id, self.query)
        return self._write(base, table, rest)

    def _write(self, base: Json, table: Json, rest: list[str]) -> Any:
        body = self.query | self.body
        writer = Writer(
            self.fake.store,
            base,
            self.fake.switches,
            self.now,
            typecast=body.get("typecast") in (True, "true", "1"),
        )
        show = Show(self.fake.store, base)
        batch = Batch(self.fake.store, show, writer, self.fake.switches)
        answer: Any
        try:
            answer = self._batched(batch, table, rest, body)
        except ApiError as error:
            if not batch.keeps:
                raise
            answer = error  # as an exception it would take everything back
        self.fake.note(self.base_id, writer, "publicApi", self.token.user)
        return answer

    def _batched(self, batch: Batch, table: Json, rest: list[str], body: Json) -> Any:
        replace = self.method == "PUT"
        match self.method, rest:
            case "POST", []:
                return batch.create(table, body)
            case "PATCH" | "PUT", []:
                return batch.update(table, body, replace=replace)
            case "PATCH" | "PUT", [record_id]:
                return batch.update_one(table, record_id, body, replace=replace)
            case "DELETE", []:
                return batch.delete(table, self.query.get("records", []))
            case "DELETE", [record_id]:
                return batch.delete(table, [record_id])["records"][0]
        raise not_found()


def _shown(table: Json) -> Json:
    return {k: v for k, v in table.items() if not k.startswith("sandbox")}


def _parsed(body: bytes) -> Json:
    """A request's JSON object. Raises: ApiError 400."""
    if not body:
        return {}
    try:
        found = json.loads(body)
    except ValueError:
        raise ApiError(400, "INVALID_REQUEST_BODY", "Could not parse JSON") from None
    return found if isinstance(found, dict) else {}


def _query(text: str) -> Json:
    """A query's values: `fields[]` is a list, `sort[0][field]` a list of objects."""
    found: Json = {}
    sorts: dict[str, Json] = {}
    for name, value in parse_qsl(text, keep_blank_values=True):
        if name.endswith("[]"):
            found.setdefault(name[:-2], []).append(value)
        elif match := re.fullmatch(r"sort\[(\d+)\]\[(\w+)\]", name):
            sorts.setdefault(match[1], {})[match[2]] = value
        elif name in ("pageSize", "maxRecords") and value.isdigit():
            found[name] = int(value)
        else:
            found[name] = value
    if sorts:
        found["sort"] = [sorts[key] for key in sorted(sorts, key=int)]
    return found
