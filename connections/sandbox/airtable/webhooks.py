"""Webhooks and their payload logs. No ping is sent: the log alone tells.

Source: https://airtable.com/developers/web/api/webhooks-overview
"""

from __future__ import annotations

import base64
import json
import secrets
from typing import Any

from connections.sandbox.airtable.errors import invalid, not_found
from connections.sandbox.airtable.showing import Show, stamp
from connections.sandbox.airtable.store import Store, dump, new_id
from connections.sandbox.airtable.writing import Happened

Json = dict[str, Any]
DAY_MS = 86_400_000
LIFE_MS = 7 * DAY_MS
MOST, PAGE = 10, 50


class Webhooks:
    """The webhooks of all bases."""

    def __init__(self, store: Store) -> None:
        self._store = store

    # Endpoints --------------------------------------------------------------------------

    def create(self, base_id: str, body: Json, now: int) -> Json:
        try:
            filters = body["specification"]["options"]["filters"]
            kinds = filters["dataTypes"]
        except (KeyError, TypeError):
            raise invalid("Invalid webhook specification", "INVALID_WEBHOOK") from None
        if not isinstance(kinds, list) or not kinds:
            raise invalid("dataTypes must not be empty", "INVALID_WEBHOOK")
        if len(self._alive(base_id, now)) >= MOST:
            raise invalid("There are 10 webhooks already", "TOO_MANY_WEBHOOKS_BY_BASE")
        found = new_id("ach")
        kept = {
            "notificationUrl": body.get("notificationUrl"),
            "specification": body["specification"],
            "enabled": True,
        }
        self._store.run(
            "INSERT INTO webhook VALUES (?, ?, ?, ?, 1)",
            found,
            base_id,
            dump(kept),
            now + LIFE_MS,
        )
        secret = base64.b64encode(secrets.token_bytes(32)).decode()
        return {
            "id": found,
            "macSecretBase64": secret,
            "expirationTime": stamp(now + LIFE_MS),
        }

    def listed(self, base_id: str, now: int) -> Json:
        found = []
        for hook_id, body, expires, following in self._alive(base_id, now):
            kept = json.loads(body)
            found.append(
                {
                    "id": hook_id,
                    "specification": kept["specification"],
                    "notificationUrl": kept["notificationUrl"],
                    "cursorForNextPayload": following,
                    "lastNotificationResult": None,
                    "areNotificationsEnabled": kept["enabled"],
                    "lastSuccessfulNotificationTime": None,
                    "isHookEnabled": True,
                    "expirationTime": stamp(expires),
                }
            )
        return {"webhooks": found}

    def delete(self, base_id: str, hook_id: str, now: int) -> None:
        self._need(base_id, hook_id, now)
        self._store.run("DELETE FROM webhook WHERE id = ?", hook_id)
        self._store.run("DELETE FROM payload WHERE webhook = ?", hook_id)

    def refresh(self, base_id: str, hook_id: str, now: int) -> Json:
        self._need(base_id, hook_id, now)
        return {"expirationTime": self._extend(hook_id, now)}

    def enable(self, base_id: str, hook_id: str, body: Json, now: int) -> None:
        kept = json.loads(self._need(base_id, hook_id, now)[1])
        kept["enabled"] = bool(body.get("enable"))
        self._store.run("UPDATE webhook SET body = ? WHERE id = ?", dump(kept), hook_id)

    def payloads(
        self, base_id: str, hook_id: str, query: Json, now: int, lag_ms: float
    ) -> Json:
        self._need(base_id, hook_id, now)
        self._extend(hook_id, now)
        cursor, limit = _whole(query, "cursor", 1), _whole(query, "limit", PAGE)
        if cursor < 1 or not 1 <= limit <= PAGE:
            raise invalid("Invalid cursor or limit", "INVALID_WEBHOOK_PAYLOADS_REQUEST")
        self._store.run("DELETE FROM payload WHERE at < ?", now - LIFE_MS)
        rows = self._store.all(
            "SELECT cursor, body FROM payload WHERE webhook = ? AND cursor >= ? "
            "AND at <= ? ORDER BY cursor LIMIT ?",
            hook_id,
            cursor,
            now - lag_ms,
            limit + 1,
        )
        shown = rows[:limit]
        return {
            "payloads": [json.loads(body) for _, body in shown],
            "cursor": shown[-1][0] + 1 if shown else cursor,
            "mightHaveMore": len(rows) > limit,
        }

    def expire(self, hook_id: str) -> None:
        """Let a webhook end, as one does that nobody read for a week."""
        self._store.run("UPDATE webhook SET expires = 0 WHERE id = ?", hook_id)

    def _alive(self, base_id: str, now: int) -> list[Any]:
        return self._store.all(
            "SELECT id, body, expires, next FROM webhook "
            "WHERE base_id = ? AND expires > ? ORDER BY rowid",
            base_id,
            now,
        )

    def _need(self, base_id: str, hook_id: str, now: int) -> Any:
        for row in self._alive(base_id, now):
            if row[0] == hook_id:
                return row
        raise not_found()

    def _extend(self, hook_id: str, now: int) -> str:
        self._store.run(
            "UPDATE webhook SET expires = ? WHERE id = ?", now + LIFE_MS, hook_id
        )
        return stamp(now + LIFE_MS)

    # The log ----------------------------------------------------------------------------

    def note(
        self,
        show: Show,
        happened: Happened,
        *,
        source: str,
        user: str,
        now: int,
        inverse: bool,
    ) -> None:
        """Write what a request did to the log of every webhook that asks for it."""
        hooks = self._alive(show.base["id"], now)
        if not happened or not hooks:
            return
        row = self._store.one("SELECT value FROM note WHERE name = 'transactions'")
        number = int(row[0]) + 1 if row else 1
        self._store.run(
            "INSERT OR REPLACE INTO note VALUES ('transactions', ?)", str(number)
        )
        tables = _tables(show, happened, inverse=inverse)
        for hook_id, body, _, following in hooks:
            filters = json.loads(body)["specification"]["options"]["filters"]
            seen = _wanted(tables, filters, source)
            if not seen:
                continue
            payload = {
                "timestamp": stamp(now),
                "baseTransactionNumber": number,
                "payloadFormat": "v0",
                "actionMetadata": {
                    "source": source,
                    "sourceMetadata": {"user": {"id": user}},
                },
                "changedTablesById": seen,
            }
            self._store.run(
                "INSERT INTO payload VALUES (?, ?, ?, ?)",
                hook_id,
                following,
                now,
                dump(payload),
            )
            self._store.run(
                "UPDATE webhook SET next = ? WHERE id = ?", following + 1, hook_id
            )


def _wanted(tables: Json, filters: Json, source: str) -> Json:
    if "tableData" not in filters["dataTypes"]:
        return {}
    sources = filters.get("fromSources")
    if sources and source not in sources:
        return {}
    scope = filters.get("recordChangeScope")
    return {t: v for t, v in tables.items() if scope in (None, t)}


def _tables(show: Show, happened: Happened, *, inverse: bool) -> Json:
    """What changed, by table, as payloads have it."""
    found: Json = {}
    tables = {t["id"]: t for t in show.base["tables"]}

    def of(table_id: str, part: str) -> Json:
        made: Json = found.setdefault(table_id, {}).setdefault(part, {})
        return made

    for (table_id, record_id), cells in happened.created.items():
        of(table_id, "createdRecordsById")[record_id] = {
            "createdTime": _created(show, tables[table_id], record_id),
            "cellValuesByFieldId": dict(cells),
        }
    first = next(iter(happened.changed), None)
    for key, fields in happened.changed.items():
        if not inverse and key != first:
            continue
        of(key[0], "changedRecordsById")[key[1]] = {
            "current": {"cellValuesByFieldId": {n: v[1] for n, v in fields.items()}}
        }
    for table_id, record_id in happened.destroyed:
        found.setdefault(table_id, {}).setdefault("destroyedRecordIds", []).append(
            record_id
        )
    return found


def _created(show: Show, table: Json, record_id: str) -> str:
    row = show._store.row(table["id"], record_id)
    return stamp(row.created) if row else stamp(0)


def _whole(query: Json, name: str, usual: int) -> int:
    text = str(query.get(name, usual))
    return int(text) if text.isdigit() else 0
