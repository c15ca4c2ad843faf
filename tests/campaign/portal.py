"""HubSpot as people work in it: straight at the sandbox, past every fault and count."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Any
from urllib.parse import urlencode

from connections.sandbox.server import SandboxServer
from connections.sandbox.wire import Request
from tests.vendor import Types

Json = dict[str, Any]
OBJECTS = "/crm/v3/objects"
LINKS = "/crm/v4/objects"
PAGE = 100
Edge = tuple[str, str]


class Refused(Exception):
    """HubSpot did not do it; `status` says why."""

    def __init__(self, status: int, body: bytes) -> None:
        super().__init__(f"{status} {body.decode()[:300]}")
        self.status = status


class Portal:
    """What people do and see in HubSpot."""

    def __init__(self, sandbox: SandboxServer) -> None:
        self._hubspot = sandbox.hubspot
        token = sandbox.tokens["Second app"]
        self._headers = {
            "Authorization": f"Bearer {token}",
            "Content-Type": "application/json",
        }

    def call(self, method: str, path: str, body: object = None, **query: str) -> Json:
        """Make a call. Raises: Refused."""
        raw = b"" if body is None else json.dumps(body).encode()
        request = Request(method, path, urlencode(query), self._headers, raw)
        answer = self._hubspot.answer(request)
        if answer.status >= 300:
            raise Refused(answer.status, answer.body)
        found: Json = json.loads(answer.body) if answer.body else {}
        return found

    # Records ----------------------------------------------------------------------------

    def create(self, kind: str, values: dict[str, str]) -> str:
        made = self.call("POST", f"{OBJECTS}/{kind}", {"properties": values})
        return str(made["id"])

    def update(self, kind: str, record_id: str, **values: str) -> None:
        path = f"{OBJECTS}/{kind}/{record_id}"
        self.call("PATCH", path, {"properties": values})

    def archive(self, kind: str, record_id: str) -> None:
        self.call("DELETE", f"{OBJECTS}/{kind}/{record_id}")

    def records(self, kind: str, names: Sequence[str]) -> Iterator[tuple[str, Json]]:
        """Every live record: its id and values."""
        query = {"limit": str(PAGE), "properties": ",".join(names)}
        while True:
            page = self.call("GET", f"{OBJECTS}/{kind}", **query)
            for row in page["results"]:
                yield str(row["id"]), {n: row["properties"].get(n) for n in names}
            if "paging" not in page:
                return
            query["after"] = page["paging"]["next"]["after"]

    # Links ------------------------------------------------------------------------------

    def link(self, one: str, other: str, types: Iterable[tuple[str, int]]) -> None:
        """Write a contact's set of types to a company."""
        self.call(
            "PUT",
            f"{LINKS}/contacts/{one}/associations/companies/{other}",
            [
                {"associationCategory": c, "associationTypeId": t}
                for c, t in sorted(types)
            ],
        )

    def unlink(self, one: str, other: str) -> None:
        self.call("DELETE", f"{LINKS}/contacts/{one}/associations/companies/{other}")

    def unlabel(self, one: str, other: str, label: tuple[str, int]) -> None:
        """Take one label off a pair."""
        types = [{"associationCategory": label[0], "associationTypeId": label[1]}]
        row = {"from": {"id": one}, "to": {"id": other}, "types": types}
        path = "/crm/v4/associations/contacts/companies/batch/labels/archive"
        self.call("POST", path, {"inputs": [row]})

    def links(self, ids: Iterable[str]) -> dict[Edge, Types]:
        """The links of some contacts: {(contact, company): types}."""
        found: dict[Edge, Types] = {}
        asked: list[Json] = [{"id": i} for i in ids]
        while asked:
            path = "/crm/v4/associations/contacts/companies/batch/read"
            answer = self.call("POST", path, {"inputs": asked})
            asked = []
            for row in answer["results"]:
                one = str(row["from"]["id"])
                for target in row["to"]:
                    found[one, str(target["toObjectId"])] = frozenset(
                        (t["category"], t["typeId"]) for t in target["associationTypes"]
                    )
                if "paging" in row:
                    after = row["paging"]["next"]["after"]
                    asked.append({"id": one, "after": after})
        return found

    def new_label(self, name: str) -> tuple[str, int]:
        """Make a label of one's own from contacts to companies."""
        path = "/crm/v4/associations/contacts/companies/labels"
        made = self.call("POST", path, {"name": name.lower(), "label": name})
        return "USER_DEFINED", int(made["results"][0]["typeId"])
