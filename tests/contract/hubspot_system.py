"""The sandbox as a contract test sees it: contacts with a field of each type."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, ClassVar

import requests

from connections.catalogue import Code
from connections.connectors.base import Context
from connections.connectors.hubspot import HubSpotConnector
from connections.records import Canon, ObjectType, Want
from connections.sandbox.server import SandboxServer
from tests.contract.harness import (
    COLOURS,
    FIELDS,
    MS,
    NO_TIME,
    TAGS,
    Naps,
    Values,
    new_context,
)


class HubSpotSystem:
    """Contacts of the sandbox, with properties of their own."""

    name = "hubspot"
    grain, behind = MS, NO_TIME
    page, changed_page = 100, 200
    lacks: Mapping[object, str] = {}
    bad: Mapping[str, tuple[Values, Code]] = {
        "option": ({"colour": "no_such"}, Code.OPTION_UNKNOWN),
        "length": ({"note": "x" * 65_537}, Code.VALUE_TOO_LONG),
        "number": ({"amount": "9" * 400}, Code.VALUE_INVALID),
        "taken": ({"code": "taken"}, Code.DUPLICATE_KEY),
        "read_only": ({"createdate": "2020-01-01"}, Code.FIELD_READ_ONLY),
    }

    _found: ClassVar[dict[str, ObjectType]] = {}

    def __init__(self, sandbox: SandboxServer) -> None:
        self.sandbox = sandbox
        self.naps = Naps()
        self.use(new_context())
        path = "/crm/properties/2026-03/contacts/batch/create"
        made = self.api("POST", path, _PROPERTIES)
        assert made.status_code == 201, made.text

    def use(self, context: Context) -> None:
        self.context = context
        self.connector = self.connect()

    def connect(self, token: str = "", **changes: Any) -> HubSpotConnector:
        """Another connector; its pauses take no time."""
        connector = HubSpotConnector(
            {
                "base_url": changes.pop("base_url", self.sandbox.hubspot_url),
                "api_version": changes.pop("api_version", ""),
            },
            {"token": token or self.sandbox.token},
            changes.pop("context", self.context),
        )
        connector._door._sleep = self.naps
        return connector

    def api(self, method: str, path: str, body: object = None) -> requests.Response:
        """A call as another integration makes it."""
        return requests.request(
            method,
            self.sandbox.hubspot_url + path,
            json=body,
            headers={"Authorization": f"Bearer {self.sandbox.tokens['Second app']}"},
            timeout=10,
        )

    @property
    def obj(self) -> ObjectType:
        """Discovered once a session: it takes a call for each of HubSpot's objects."""
        if not self._found:
            self._found["contacts"] = self.discover("contacts")
        return self._found["contacts"]

    def discover(self, name: str) -> ObjectType:
        found = self.connector.discover().object(name)
        assert found is not None
        return found

    @property
    def want(self) -> Want:
        return Want(FIELDS)

    @property
    def count(self) -> Any:
        return self.sandbox.control.count

    def plant(self, rows: Iterable[Values], *, at: datetime | None = None) -> list[str]:
        account, clock = self.sandbox.hubspot.main, self.sandbox.hubspot.clock
        if at is not None:
            clock.now = at.timestamp  # type: ignore[method-assign]
        try:
            with account.store.transaction():
                kind = account.catalogue.kind("contacts")
                made = [
                    account.records.create(kind, {k: _wire(v) for k, v in row.items()})
                    for row in rows
                ]
        finally:
            if at is not None:
                del clock.now
        return [str(record.id) for record in made]

    def titles(self) -> dict[str, str]:
        store = self.sandbox.hubspot.main.store
        with store.lock:
            found = store.all(
                "SELECT id, json_extract(properties, '$.title') FROM record "
                "WHERE kind = '0-1' AND archived IS NULL"
            )
        return {str(record_id): title for record_id, title in found}

    def edit(self, record_id: str, title: str) -> None:
        path = f"/crm/objects/2026-03/contacts/{record_id}"
        self.api("PATCH", path, {"properties": {"title": title}}).raise_for_status()

    def remove(self, record_id: str) -> None:
        path = f"/crm/objects/2026-03/contacts/{record_id}"
        self.api("DELETE", path).raise_for_status()

    def lose_field(self, name: str) -> None:
        path = f"/crm/properties/2026-03/contacts/{name}"
        self.api("DELETE", path).raise_for_status()


def _wire(value: Canon) -> object:
    return ";".join(value) if isinstance(value, list) else value


def _options(values: Iterable[str]) -> list[dict[str, str]]:
    return [{"label": value.title(), "value": value} for value in values]


_PROPERTIES = {
    "inputs": [
        {"name": name, "label": name, "groupName": "information"}
        | {"type": kind, "fieldType": form}
        | more
        for name, kind, form, more in (
            ("title", "string", "text", {}),
            ("code", "string", "text", {"hasUniqueValue": True}),
            ("amount", "number", "number", {}),
            ("flag", "bool", "booleancheckbox", {}),
            ("day", "date", "date", {}),
            ("moment", "datetime", "date", {}),
            ("colour", "enumeration", "select", {"options": _options(COLOURS)}),
            ("tags", "enumeration", "checkbox", {"options": _options(TAGS)}),
            ("note", "string", "textarea", {}),
        )
    ]
}
