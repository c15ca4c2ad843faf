"""The payload log of a webhook without an address: which records changed, deletions too.

One webhook of the base serves every table and every sync; each has its own place in the
log. Airtable keeps the log for a week and the webhook as long as somebody reads it.

Source: https://airtable.com/developers/web/api/list-webhook-payloads
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

from connections.connectors.airtable.api import Api, Json, checked
from connections.connectors.airtable.errors import message_of
from connections.connectors.airtable.reading import moment
from connections.connectors.base import FeedLost, ScopeError
from connections.connectors.http import Safety
from connections.connectors.parts import listed, rows
from connections.records import Fed, ObjectType

SPECIFICATION = {"options": {"filters": {"dataTypes": ["tableData"]}}}
PAGE_SIZE = 50  # payloads of one call
KEPT_S = 6.5 * 86_400  # of the week that payloads are kept, with time to spare
SCOPE = (
    "the token needs the scope webhook:manage, and its user creator rights in the base; "
    "or set the app's change_log to off and name a field of the type last modified time "
    "in app_cursor"
)


class Feed:
    """The payload log of one base."""

    def __init__(self, api: Api) -> None:
        self._api = api

    def place(self) -> str:
        """Where the log stands now; the webhook is made where there is none.

        Raises: FeedLost where there can be none.
        """
        hook = self._ours() or self._make()
        return _place(str(hook["id"]), int(hook.get("cursorForNextPayload") or 1))

    def read(self, obj: ObjectType, place: str) -> Iterator[Fed]:
        """Which records of a table changed since a place, up to 50 changes a part.

        Raises: FeedLost where the log may lack some.
        """
        hook, cursor, at = _parsed(place)
        if time.time() - at > KEPT_S:
            raise FeedLost("Airtable's change log was not read for too long.")
        while True:
            body = self._payloads(hook, cursor)
            payloads = listed(body, "payloads", "read the change log")
            for payload in payloads:
                if payload.get("error"):
                    code = payload.get("code") or payload.get("errorCode")
                    raise FeedLost(f"Airtable's change log broke off ({code}).")
            following = body.get("cursor")
            if not isinstance(following, int) or following < cursor:
                raise FeedLost("Airtable's change log does not say where it goes on.")
            ids = dict.fromkeys(i for p in payloads for i in _ids(p, obj.id))
            more = bool(body.get("mightHaveMore")) and following > cursor
            cursor = following
            yield Fed(tuple(ids), _place(hook, cursor))
            if not more:
                return

    def _payloads(self, hook: str, cursor: int) -> Json:
        query = {"cursor": str(cursor), "limit": str(PAGE_SIZE)}
        try:
            answer = self._api.door.send(
                "GET", self._path(hook, "payloads"), query=query
            )
        except ScopeError as exc:
            raise FeedLost(f"Airtable's change log cannot be read: {SCOPE}.") from exc
        if not answer.ok:
            text = message_of(answer)
            raise FeedLost(f"Airtable's change log has ended: {text}.")
        found: Json = checked(answer, "read the change log").body
        return found

    def _ours(self) -> Json | None:
        """A webhook that logs every table and calls nobody."""
        try:
            answer = self._api.read("list webhooks", "GET", self._path())
        except ScopeError as exc:
            raise FeedLost(f"Airtable's change log cannot be used: {SCOPE}.") from exc
        for hook in rows(answer.body, "webhooks"):
            filters = ((hook.get("specification") or {}).get("options") or {}).get(
                "filters"
            )
            expires = moment(hook.get("expirationTime"))
            if (
                filters == SPECIFICATION["options"]["filters"]
                and not hook.get("notificationUrl")
                and hook.get("isHookEnabled", True)
                and (expires is None or expires.timestamp() > time.time())
            ):
                return hook
        return None

    def _make(self) -> Json:
        body = {"specification": SPECIFICATION}
        try:
            # Made twice it would only be one more of ten, and end after a week.
            answer = self._api.write("POST", self._path(), body, Safety.REPEATABLE)
        except ScopeError as exc:
            raise FeedLost(f"Airtable's change log cannot be made: {SCOPE}.") from exc
        if not answer.ok:
            text = message_of(answer)
            raise FeedLost(f"Airtable would not keep a change log: {text}.")
        found: Json = checked(answer, "make a webhook").body
        return found

    def _path(self, *more: str) -> str:
        parts = ("bases", self._api.base_id, "webhooks", *more)
        return "/v0/" + "/".join(quote(p, safe="") for p in parts)


def _ids(payload: Json, table_id: str) -> Iterator[str]:
    """The records of a table that a payload tells of."""
    table: Json = (payload.get("changedTablesById") or {}).get(table_id) or {}
    for part in ("createdRecordsById", "changedRecordsById"):
        yield from table.get(part) or {}
    yield from table.get("destroyedRecordIds") or ()


def _place(hook: str, cursor: int) -> str:
    return json.dumps({"hook": hook, "cursor": cursor, "at": int(time.time())})


def _parsed(place: str) -> tuple[str, int, float]:
    try:
        found: Any = json.loads(place)
        return str(found["hook"]), int(found["cursor"]), float(found["at"])
    except (ValueError, KeyError, TypeError):
        raise FeedLost("The place in Airtable's change log is not known.") from None
