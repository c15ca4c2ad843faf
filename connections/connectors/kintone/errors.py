"""Kintone's refusals in the words of our catalogue.

A message comes in whatever language the user reads, so that only codes, paths and the values
that were sent tell what is wrong.

Source: https://kintone.dev/en/docs/kintone/overview/kintone-rest-api-overview/
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from connections.catalogue import Code
from connections.connectors.base import (
    AuthError,
    ConnectorError,
    RejectedError,
    SchemaError,
    ScopeError,
    TransientError,
)
from connections.connectors.dialect import Answer, Dialect, Pause
from connections.redaction import redact

Json = Mapping[str, Any]
MAX_TEXT = 400  # characters of a message that are kept

INVALID, OUTDATED, NO_TARGET = "CB_VA01", "GAIA_CO02", "GAIA_LO04"
NO_RECORD, NO_APP, WRITE_LOCK = "GAIA_RE01", "GAIA_AP01", "GAIA_DA02"
UNKNOWN_TOKEN, FOREIGN_TOKEN = "GAIA_IA02", "GAIA_AP15"
NO_RIGHTS = ("CB_NO02", "GAIA_NO01")
FIELD_QUERY = ("GAIA_IQ07", "GAIA_IQ11")
BUSY_PAUSE_S, MOST_PAUSE_S = 1.0, 30.0
CROWDED = 0.8  # of the calls that a domain takes at once
CROWDED_PAUSE_S = 0.5
_PLACE = re.compile(r"records\[(\d+)\]")


def code_of(body: object) -> str:
    found = body.get("code") if isinstance(body, dict) else None
    return str(found or "")


def message_of(body: object, fallback: str) -> str:
    found = body.get("message") if isinstance(body, dict) else None
    return redact(str(found or fallback))[:MAX_TEXT]


def support_id(answer: Answer) -> str:
    """The id under which Cybozu's support finds a call."""
    body = answer.body if isinstance(answer.body, dict) else {}
    return str(body.get("id") or "")


class KintoneDialect(Dialect):
    """Kintone's own statuses, codes and headers."""

    name = "Kintone"

    def refused(self, answer: Answer) -> ConnectorError | None:
        """Nobody, nobody known, the wrong token, or one without the right."""
        code, found = culprit(answer.body), support_id(answer)
        if answer.ok:
            return None
        if code == UNKNOWN_TOKEN:
            return AuthError(
                "Kintone does not know an API token: it was deleted, or its app was not "
                "updated after it was made.",
                correlation_id=found,
            )
        if code == FOREIGN_TOKEN:
            return ScopeError(
                "None of the API tokens is one of the app that is asked for: add a token "
                "of that app.",
                correlation_id=found,
            )
        if answer.status == 401:
            return AuthError("Kintone refused the log-in.", correlation_id=found)
        if answer.status == 403 or code in NO_RIGHTS:
            return ScopeError(
                f"Kintone does not permit this: {message_of(answer.body, '')} The token or "
                "user lacks a right (view, add, edit or delete records) on the app.",
                correlation_id=found,
            )
        return None

    def limit(self, answer: Answer, attempt: int) -> Pause:
        """Too many calls at once: others' will be over soon."""
        return Pause(min(BUSY_PAUSE_S * 2 ** (attempt - 1), MOST_PAUSE_S))

    def locked(self, answer: Answer) -> bool:
        """Somebody else's write holds the record or the app."""
        return super().locked(answer) or culprit(answer.body) == WRITE_LOCK

    def exhausted(self, answer: Answer) -> Pause | None:
        """Step back before the domain refuses: its people work in it, too."""
        most = _number(answer.headers, "X-ConcurrencyLimit-Limit")
        running = _number(answer.headers, "X-ConcurrencyLimit-Running")
        if most and running is not None and running >= CROWDED * most:
            return Pause(CROWDED_PAUSE_S)
        return None


def culprit(body: object) -> str:
    """The code of a refusal, which a bulk request's stands in the part that failed."""
    if isinstance(body, dict) and isinstance(body.get("results"), list):
        found = [code_of(part) for part in body["results"] if code_of(part)]
        return found[0] if found else ""
    return code_of(body)


def _number(headers: Mapping[str, str], name: str) -> int | None:
    found = headers.get(name, "")
    return int(found) if found.isascii() and found.isdigit() else None


def error_of(answer: Answer, doing: str) -> ConnectorError:
    """The error for a call that Kintone refused as a whole.

    Args: doing, what was tried, such as "read Companies".
    """
    code, found = culprit(answer.body), support_id(answer)
    text = f"Kintone would not {doing}: "
    text += message_of(answer.body, f"status {answer.status}")
    if code in FIELD_QUERY:
        return SchemaError(text, code=Code.FIELD_MISSING, correlation_id=found)
    if code == NO_APP or (answer.status == 404 and code != NO_RECORD):
        return SchemaError(text, correlation_id=found)
    if answer.ok:
        return TransientError(text, correlation_id=found)
    reason = Code.RECORD_GONE if code == NO_RECORD else Code.VALUE_INVALID
    return RejectedError(text, code=reason, correlation_id=found)


def faults(body: object) -> dict[int, dict[str, str]]:
    """What a refusal says of single records: a message by field code, by place.

    `records[3].title.value` and, of an update, perhaps `records[3].record.title.value`.
    """
    listed = body.get("errors") if isinstance(body, dict) else None
    found: dict[int, dict[str, str]] = {}
    for path, told in (listed if isinstance(listed, dict) else {}).items():
        place = _PLACE.match(str(path))
        if place is None:
            continue
        rest = str(path)[place.end() :].strip(".").removeprefix("record.")
        name = rest.removesuffix(".value").partition(".value[")[0]
        messages = told.get("messages") if isinstance(told, dict) else None
        text = redact(" ".join(map(str, messages or ())))[:MAX_TEXT]
        found.setdefault(int(place[1]), {})[name] = text
    return found
