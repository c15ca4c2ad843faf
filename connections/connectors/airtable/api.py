"""Airtable's API as the modules beside this one call it: paths, bodies, the schema.

Source: https://airtable.com/developers/web/api/introduction
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from threading import Lock
from typing import Any
from urllib.parse import quote

from connections.connectors.airtable.errors import error_of
from connections.connectors.base import SchemaError, ScopeError, TransientError
from connections.connectors.dialect import Answer
from connections.connectors.http import Door, Safety
from connections.connectors.parts import listed
from connections.records import ObjectType

Json = dict[str, Any]


class Table:
    """A table as the base has it: fields by name and by id."""

    def __init__(self, body: Json) -> None:
        self.id = str(body["id"])
        self.name = str(body["name"])
        self.primary = str(body.get("primaryFieldId") or "")
        self.fields: list[Json] = list(body.get("fields") or [])
        self.by_name = {str(f["name"]): f for f in self.fields}
        self.by_id = {str(f["id"]): f for f in self.fields}

    def ids(self, names: Sequence[str]) -> list[str]:
        """The ids of fields; a name there is not (any more) is left out."""
        return [str(self.by_name[n]["id"]) for n in names if n in self.by_name]

    def name_of(self, given: str) -> str:
        """A field's name by its name or id; "" for neither."""
        if given in self.by_name:
            return given
        return str(self.by_id[given]["name"]) if given in self.by_id else ""


class Api:
    """The door to one base; safe to use from several threads."""

    def __init__(self, door: Door, base_id: str) -> None:
        self.door = door
        self.base_id = base_id
        self._tables: dict[str, Table] | None = None
        self._lock = Lock()

    # The schema -------------------------------------------------------------------------

    def tables(self, *, again: bool = False) -> dict[str, Table]:
        """The base's tables by id: one call, kept until something has changed."""
        with self._lock:
            if self._tables is None or again:
                path = f"/v0/meta/bases/{quote(self.base_id, safe='')}/tables"
                answer = self.read("read the base's tables", "GET", path)
                listing = listed(
                    answer.body, "tables", "read the base's tables", each="id"
                )
                found = [Table(t) for t in listing]
                self._tables = {table.id: table for table in found}
            return self._tables

    def forget(self) -> None:
        """Ask for the tables again next time."""
        with self._lock:
            self._tables = None

    def table(self, obj: ObjectType) -> Table:
        """A table as it is now. Raises: SchemaError where it is gone."""
        found = self.tables().get(obj.id) or self.tables(again=True).get(obj.id)
        if found is None:
            raise SchemaError(f"The base has no table {obj.name} any more.")
        return found

    # Calls ------------------------------------------------------------------------------

    def path(self, table: Table, *more: str) -> str:
        parts = (self.base_id, table.id, *more)
        return "/v0/" + "/".join(quote(p, safe="") for p in parts)

    def of_table(
        self,
        obj: ObjectType,
        doing: str,
        method: str,
        *more: str,
        query: Mapping[str, str] | None = None,
        body: object = None,
    ) -> Answer:
        """Read from a table: any answer, but for those that no call would do better.

        A 403 says as well that there is no such table: it is looked for.
        """
        path = self.path(self.table(obj), *more)
        try:
            return self.door.send(method, path, query=query, body=body)
        except ScopeError:
            if obj.id not in self.tables(again=True):
                text = f"The base has no table {obj.name} any more."
                raise SchemaError(text) from None
            raise

    def read(
        self,
        doing: str,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: object = None,
    ) -> Answer:
        """Make a call that changes nothing; its answer's body is a JSON object."""
        return checked(self.door.send(method, path, query=query, body=body), doing)

    def write(self, method: str, path: str, body: object, safety: Safety) -> Answer:
        """Make a call that changes something: a 2xx answer, or a refusal's 4xx."""
        return self.door.send(method, path, body=body, safety=safety)


def checked(answer: Answer, doing: str) -> Answer:
    """An answer that is a JSON object. Raises: ConnectorError for any other."""
    if not answer.ok:
        raise error_of(answer, doing)
    if not isinstance(answer.body, dict):
        raise TransientError(
            f"Airtable's answer to {doing} has not the form it should have."
        )
    return answer
