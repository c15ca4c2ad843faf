"""Raw calls to the sandbox: any path, any body, nothing between a test and the wire.

`Http` speaks the dated paths (`/crm/objects/2026-03/…`); `Official` in `official` has
the same methods by way of HubSpot's own client, which speaks v3 and v4. A test that
takes both must see the same from both.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import requests

Json = dict[str, Any]
HUBSPOT = "HUBSPOT_DEFINED"
PLAIN, PRIMARY = 279, 1  # contact to company
NO_LINKS = "crm.associations.NO_ASSOCIATIONS_FOUND"


@dataclass(frozen=True)
class Reply:
    """An answer: its status, its JSON (None if it has no body), its headers."""

    status: int
    body: Any
    headers: Mapping[str, str]

    @property
    def results(self) -> list[Any]:
        found: list[Any] = self.body["results"]
        return found

    @property
    def ids(self) -> list[str]:
        return [row["id"] for row in self.results]

    def ok(self, status: int = 200) -> Any:
        """Return the body of an answer that must have a status."""
        assert self.status == status, (self.status, self.body)
        return self.body

    def codes(self) -> set[str]:
        """Return the codes of an error's details."""
        return {detail["code"] for detail in self.body.get("errors", [])}


class Http:
    """Calls on one path version with one token."""

    def __init__(self, url: str, token: str, version: str = "2026-03") -> None:
        self.url, self.version = url, version
        self.dated = version.startswith("20")
        self._session = requests.Session()
        self._session.trust_env = False
        self._session.headers["Authorization"] = f"Bearer {token}"

    def send(
        self, method: str, path: str, body: object = None, **query: object
    ) -> Reply:
        """Make a call; lists in the query become commas, booleans lower case."""
        data = None if body is None else json.dumps(body).encode()
        params = {name: _word(value) for name, value in query.items()}
        got = self._session.request(
            method, self.url + path, data=data, params=params, timeout=30
        )
        return Reply(got.status_code, got.json() if got.content else None, got.headers)

    def get(self, path: str, **query: object) -> Reply:
        return self.send("GET", path, **query)

    def post(self, path: str, body: object = None, **query: object) -> Reply:
        return self.send("POST", path, body, **query)

    # Records

    def _objects(self, kind: str, *rest: object) -> str:
        return "/".join(map(str, (f"/crm/objects/{self.version}/{kind}", *rest)))

    def page(self, kind: str, **query: object) -> Reply:
        return self.get(self._objects(kind), **query)

    def read(self, kind: str, word: object, **query: object) -> Reply:
        return self.get(self._objects(kind, word), **query)

    def create(self, kind: str, properties: Json, links: Sequence[Json] = ()) -> Reply:
        body = {"properties": properties, "associations": list(links)}
        return self.post(self._objects(kind), body)

    def update(
        self, kind: str, word: object, properties: Json, **query: object
    ) -> Reply:
        path = self._objects(kind, word)
        return self.send("PATCH", path, {"properties": properties}, **query)

    def archive(self, kind: str, word: object) -> Reply:
        return self.send("DELETE", self._objects(kind, word))

    def batch(self, kind: str, act: str, body: Json, **query: object) -> Reply:
        """Call `batch/{read|create|update|upsert|archive}`."""
        return self.post(self._objects(kind, "batch", act), body, **query)

    def search(self, kind: str, body: Json) -> Reply:
        return self.post(self._objects(kind, "search"), body)

    def merge(self, kind: str, primary: str, other: str) -> Reply:
        body = {"primaryObjectId": primary, "objectIdToMerge": other}
        return self.post(self._objects(kind, "merge"), body)

    def purge(self, body: Json) -> Reply:
        return self.post(self._objects("contacts", "gdpr-delete"), body)

    # Links

    def _pair(self, kind: str, other: str, *rest: str) -> str:
        return "/".join((f"/crm/associations/{self.version}", kind, other, *rest))

    def read_links(self, kind: str, word: object, other: str, **query: object) -> Reply:
        return self.get(self._objects(kind, word, "associations", other), **query)

    def put_default(self, kind: str, one: str, other: str, two: str) -> Reply:
        path = self._objects(kind, one, "associations/default", other, two)
        return self.send("PUT", path)

    def put_types(
        self, kind: str, one: str, other: str, two: str, types: object
    ) -> Reply:
        path = self._objects(kind, one, "associations", other, two)
        return self.send("PUT", path, types)

    def remove_pair(self, kind: str, one: str, other: str, two: str) -> Reply:
        return self.send("DELETE", self._objects(kind, one, "associations", other, two))

    def link_batch(
        self, kind: str, other: str, act: str, inputs: Sequence[Json]
    ) -> Reply:
        """Call `batch/{read|create|associate/default|archive|labels/archive}`."""
        path = self._pair(kind, other, "batch", act)
        return self.post(path, {"inputs": list(inputs)})

    # Association types

    def labels(self, kind: str, other: str) -> Reply:
        return self.get(self._pair(kind, other, "labels"))

    def create_label(self, kind: str, other: str, body: Json) -> Reply:
        return self.post(self._pair(kind, other, "labels"), body)

    def rename_label(self, kind: str, other: str, body: Json) -> Reply:
        return self.send("PUT", self._pair(kind, other, "labels"), body)

    def delete_label(self, kind: str, other: str, type_id: int) -> Reply:
        return self.send("DELETE", self._pair(kind, other, "labels", str(type_id)))

    def caps(self, *ends: str) -> Reply:
        return self.get(self._pair("definitions", "configurations", *(ends or ["all"])))

    def caps_batch(
        self, kind: str, other: str, act: str, inputs: Sequence[Json]
    ) -> Reply:
        """Call `batch/{create|update|purge}` of configured limits."""
        path = self._pair("definitions", "configurations", kind, other, "batch", act)
        return self.post(path, {"inputs": list(inputs)})

    def high_usage(self, user_id: int) -> Reply:
        return self.post(
            f"/crm/associations/{self.version}/usage/high-usage-report/{user_id}"
        )

    # Definitions

    def _properties(self, kind: str, *rest: str) -> str:
        return "/".join((f"/crm/properties/{self.version}/{kind}", *rest))

    def properties(self, kind: str, **query: object) -> Reply:
        return self.get(self._properties(kind), **query)

    def property(self, kind: str, name: str, **query: object) -> Reply:
        return self.get(self._properties(kind, name), **query)

    def create_property(self, kind: str, body: Json) -> Reply:
        return self.post(self._properties(kind), body)

    def update_property(self, kind: str, name: str, body: Json) -> Reply:
        return self.send("PATCH", self._properties(kind, name), body)

    def archive_property(self, kind: str, name: str) -> Reply:
        return self.send("DELETE", self._properties(kind, name))

    def property_batch(self, kind: str, act: str, body: Json) -> Reply:
        """Call `batch/{read|create|archive}` of properties."""
        return self.post(self._properties(kind, "batch", act), body)

    def groups(self, kind: str) -> Reply:
        return self.get(self._properties(kind, "groups"))

    def create_group(self, kind: str, body: Json) -> Reply:
        return self.post(self._properties(kind, "groups"), body)

    def _schemas(self, *rest: str) -> str:
        return "/".join((f"/crm-object-schemas/{self.version}/schemas", *rest))

    def schemas(self, **query: object) -> Reply:
        return self.get(self._schemas(), **query)

    def schema(self, kind: str) -> Reply:
        return self.get(self._schemas(kind))

    def create_schema(self, body: Json) -> Reply:
        return self.post(self._schemas(), body)

    def update_schema(self, kind: str, body: Json) -> Reply:
        return self.send("PATCH", self._schemas(kind), body)

    def archive_schema(self, kind: str) -> Reply:
        return self.send("DELETE", self._schemas(kind))

    def link_schema(self, kind: str, body: Json) -> Reply:
        return self.post(self._schemas(kind, "associations"), body)

    def owners(self, **query: object) -> Reply:
        return self.get(f"/crm/owners/{self.version}", **query)

    def owner(self, word: object, **query: object) -> Reply:
        return self.get(f"/crm/owners/{self.version}/{word}", **query)

    def pipelines(self, kind: str) -> Reply:
        return self.get(f"/crm/pipelines/{self.version}/{kind}")

    def pipeline(self, kind: str, name: str) -> Reply:
        return self.get(f"/crm/pipelines/{self.version}/{kind}/{name}")

    # Shorthands for what a test is not about

    def make(self, kind: str, **properties: object) -> str:
        """Create a record that must be accepted, and return its id."""
        record_id: str = self.create(kind, properties).ok(201)["id"]
        return record_id

    def link(self, one: str, two: str, *types: int, kind: str = "contacts") -> None:
        """Write types between a record and a company; none: the default write."""
        if not types:
            self.put_default(kind, one, "companies", two).ok()
            return
        self.put_types(kind, one, "companies", two, specs(*types)).ok(201)

    def types(
        self, word: str, kind: str = "contacts", other: str = "companies"
    ) -> dict[str, set[int]]:
        """Return a record's links: {far id: {type ids}}."""
        got = self.link_batch(kind, other, "read", [{"id": word}])
        if got.status == 207:
            (error,) = got.body["errors"]
            assert error["subCategory"] == NO_LINKS, error
            return {}
        (row,) = got.ok()["results"]
        return {
            str(to["toObjectId"]): {spec["typeId"] for spec in to["associationTypes"]}
            for to in row["to"]
        }

    def shown(self, kind: str, word: str, *names: str) -> Json:
        """Return some of a record's properties."""
        found = self.read(kind, word, properties=list(names)).ok()["properties"]
        return {name: found[name] for name in names}


def _word(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list | tuple):
        return ",".join(map(str, value))
    return str(value)


def spec(type_id: int, category: str = HUBSPOT) -> Json:
    """Return an association type as a write names it."""
    return {"associationCategory": category, "associationTypeId": type_id}


def specs(*type_ids: int, category: str = HUBSPOT) -> list[Json]:
    """Return association types as a write names them."""
    return [spec(type_id, category) for type_id in type_ids]


def pair(one: str, two: str, *type_ids: int, category: str = HUBSPOT) -> Json:
    """Return one input of a link batch; without types that of a default write."""
    ends: Json = {"from": {"id": one}, "to": {"id": two}}
    return ends | ({"types": specs(*type_ids, category=category)} if type_ids else {})


def inputs(rows: Iterable[Json]) -> Json:
    """Return a batch's body with properties and trace ids."""
    return {
        "inputs": [
            {"properties": row, "associations": [], "objectWriteTraceId": f"t{number}"}
            for number, row in enumerate(rows)
        ]
    }


def where(*filters: tuple[object, ...], **more: object) -> Json:
    """Return a search body of one group: (property, operator, value or values)."""
    rows = []
    for name, operator, *values in filters:
        row: Json = {"propertyName": name, "operator": operator}
        if operator in ("IN", "NOT_IN"):
            row["values"] = values
        elif values:
            row["value"] = values[0]
        if operator == "BETWEEN":
            row["highValue"] = values[1]
        rows.append(row)
    return {"filterGroups": [{"filters": rows}], **more}
