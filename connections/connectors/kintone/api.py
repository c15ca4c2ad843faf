"""Kintone's API as the modules beside this one call it: paths, bodies, refusals.

Source: https://kintone.dev/en/docs/kintone/rest-api/
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from threading import Lock
from typing import Any
from urllib.parse import quote

from connections.connectors.base import (
    AuthError,
    ConnectorError,
    TransientError,
    bucket_of,
)
from connections.connectors.dialect import Answer
from connections.connectors.http import Door, Safety
from connections.connectors.kintone.errors import error_of
from connections.connectors.parts import listed

Json = dict[str, Any]
PAGE_SIZE = 500  # records of one list, the most there are
MAX_QUERY = 3_000  # characters; a longer query is sent as a body
TOKENS = "X-Cybozu-API-Token"
OVERRIDE = {"X-HTTP-Method-Override": "GET"}


class Api:
    """The door to one domain, or to one guest space in it.

    Args: prefix, the path before each call's name: "/k/v1" or "/v1" in a guest space,
        whose path is part of the address; whole, the same from the host on; tokens, the
        API tokens that the door sends, if it does.
    """

    def __init__(
        self, door: Door, prefix: str, whole: str, tokens: Sequence[str] = ()
    ) -> None:
        self.door, self._prefix, self._whole = door, prefix, whole
        self._tokens = tuple(tokens)
        self._trying = Lock()  # a page may be asked for ahead, in a thread of its own
        self.unknown = 0  # tokens that are left out, since Kintone does not know them

    def read(self, doing: str, name: str, query: Mapping[str, str]) -> Answer:
        """Make a call that changes nothing; its answer's body is a JSON object.

        Args: doing, what this is for, such as "read Companies".
        Raises: ConnectorError, RejectedError among them.
        """
        path = f"{self._prefix}/{name}.json"
        app = query.get("id" if name == "app" else "app", "")
        self._count([app])
        if sum(len(quote(v)) for v in query.values()) > MAX_QUERY:
            body = _as_body(query)
            answer = self._send("POST", path, app, body=body, headers=OVERRIDE)
        else:
            answer = self._send("GET", path, app, query=query)
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
        apps = [app for app in map(text, (body.get("app"), *inner)) if app]
        self._count(apps)
        app = next(iter(apps), "")
        return self._send(method, path, app, body=body, safety=safety)

    def _send(
        self,
        method: str,
        path: str,
        app: str,
        *,
        headers: Mapping[str, str] | None = None,
        **more: Any,
    ) -> Answer:
        """Send a call; once more without the tokens that Kintone does not know.

        It refuses every call that has one of those among others, and an app that is
        deleted takes its tokens along: the other apps' syncs would end with it.
        """
        sent = self._tokens
        signed = self._signed() | dict(headers or {})
        try:
            return self.door.send(method, path, headers=signed, **more)
        except AuthError:
            if not app or not self._leave_out_unknown(app, sent):
                raise
        signed = self._signed() | dict(headers or {})
        return self.door.send(method, path, headers=signed, **more)

    def _signed(self) -> dict[str, str]:
        return {TOKENS: ",".join(self._tokens)} if self.unknown else {}

    def _leave_out_unknown(self, app: str, sent: tuple[str, ...]) -> bool:
        """Try each token by itself, unless another thread did since `sent` were sent.

        Returns: whether some, not all, are not known.
        """
        with self._trying:
            if self._tokens != sent:
                return True
            known = [t for t in sent if self._is_known(t, app)]
            if not known or len(known) == len(sent):
                return False
            self.unknown += len(sent) - len(known)
            self._tokens = tuple(known)
            return True

    def _is_known(self, token: str, app: str) -> bool:
        path = f"{self._prefix}/app/form/fields.json"
        self._count([app])
        try:
            self.door.send("GET", path, query={"app": app}, headers={TOKENS: token})
        except AuthError:
            return False
        except ConnectorError:  # of another app, or it is not told
            return True
        return True

    def _count(self, apps: Iterable[str]) -> None:
        """Count a call for each app that it is about: Kintone counts by app and day."""
        for app in dict.fromkeys(app for app in apps if app):
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
