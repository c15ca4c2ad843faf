"""Kintone's API as the modules beside this one call it: paths, bodies, refusals.

Source: https://kintone.dev/en/docs/kintone/rest-api/
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from urllib.parse import quote

from connections.connectors.base import TransientError, bucket_of
from connections.connectors.dialect import Answer
from connections.connectors.http import Door, Safety
from connections.connectors.kintone.errors import error_of
from connections.connectors.parts import listed

Json = dict[str, Any]
PAGE_SIZE = 500  # records of one list, the most there are
MAX_QUERY = 3_000  # characters; a longer query is sent as a body
OVERRIDE = {"X-HTTP-Method-Override": "GET"}


class Api:
    """The door to one domain, or to one guest space in it.

    Args: prefix, the path before each call's name: "/k/v1" or "/v1" in a guest space,
        whose path is part of the address; whole, the same from the host on.
    """

    def __init__(self, door: Door, prefix: str, whole: str) -> None:
        self.door, self._prefix, self._whole = door, prefix, whole

    def read(self, doing: str, name: str, query: Mapping[str, str]) -> Answer:
        """Make a call that changes nothing; its answer's body is a JSON object.

        Args: doing, what this is for, such as "read Companies".
        Raises: ConnectorError, RejectedError among them.
        """
        path = f"{self._prefix}/{name}.json"
        self._count([query.get("id" if name == "app" else "app")])
        if sum(len(quote(v)) for v in query.values()) > MAX_QUERY:
            body = _as_body(query)
            answer = self.door.send("POST", path, body=body, headers=OVERRIDE)
        else:
            answer = self.door.send("GET", path, query=query)
        return self._told(answer, doing)

    def records(
        self,
        app: str,
        query: str,
        fields: Sequence[str],
        doing: str,
        *,
        count: bool = False,
    ) -> tuple[list[Json], int | None, Answer]:
        """One list of records, how many there are in all if that was asked, the answer."""
        asked = {"app": app, "query": query}
        asked |= {f"fields[{n}]": name for n, name in enumerate(fields)}
        if count:
            asked["totalCount"] = "true"
        answer = self.read(doing, "records", asked)
        total = answer.body.get("totalCount")
        key = "$id" if "$id" in fields else ""
        return (
            listed(answer.body, "records", doing, each=key, form=dict),
            int(total) if str(total or "").isdigit() else None,
            answer,
        )

    def write(self, method: str, name: str, body: Json, *, safety: Safety) -> Answer:
        """Make a call that changes something: a 200 answer, or a refusal's 4xx.

        Raises: ConnectorError other than RejectedError.
        """
        path = f"{self._prefix}/{name}.json"
        inner = [part["payload"].get("app") for part in body.get("requests", ())]
        self._count([body.get("app"), *inner])
        return self.door.send(method, path, body=body, safety=safety)

    def _count(self, apps: Iterable[object]) -> None:
        """Count a call for each app that it is about: Kintone counts by app and day."""
        for app in dict.fromkeys(text(app) for app in apps if app):
            self.door.count(bucket_of(app))

    def inner(self, name: str) -> str:
        """The path by which a part of a bulk request names a call."""
        return f"{self._whole}/{name}.json"

    @staticmethod
    def _told(answer: Answer, doing: str) -> Answer:
        if not answer.ok:
            raise error_of(answer, doing)
        if not isinstance(answer.body, dict):
            raise TransientError(
                f"Kintone's answer to {doing} has not the form it should have."
            )
        return answer


def _as_body(query: Mapping[str, str]) -> dict[str, Any]:
    """The parameters of a GET as the JSON that stands for them."""
    body: dict[str, Any] = {}
    for name, value in query.items():
        head, bracket, _ = name.partition("[")
        if bracket:
            body.setdefault(head, []).append(value)
        else:
            body[name] = value == "true" if name == "totalCount" else value
    return body


def text(value: object) -> str:
    return "" if value is None else str(value)


def quoted(value: str) -> str:
    """A text as the query language takes it."""
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def any_of(field: str, values: Sequence[str]) -> str:
    """The condition that a field holds one of some values."""
    return f"{field} in ({', '.join(map(quoted, values))})"
