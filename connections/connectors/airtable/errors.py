"""Airtable's refusals in the words of our catalogue.

Source: https://airtable.com/developers/web/api/errors
"""

from __future__ import annotations

import re
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

MAX_TEXT = 400  # characters of a message that are kept
PENALTY_S = 30.0  # no call succeeds for so long after a 429
QUOTA_S = 3600.0  # a month's calls are spent: look again so much later
PENALTIES = 2  # a third 429 in a row, each waited out, is no matter of pace
NOT_FOUND = 404
RESTART = ("LIST_RECORDS_ITERATOR_NOT_AVAILABLE", "INVALID_OFFSET_VALUE")
NO_MODEL = "INVALID_PERMISSIONS_OR_MODEL_NOT_FOUND"
_FIELD = re.compile(r'[Ff]ield(?: name)?:? "([^"]+)"')
_RECORD = re.compile(r"\brec[A-Za-z0-9]{14}\b")

CODES = {
    "INVALID_VALUE_FOR_COLUMN": Code.VALUE_INVALID,
    "INVALID_MULTIPLE_CHOICE_OPTIONS": Code.OPTION_UNKNOWN,
    "UNKNOWN_FIELD_NAME": Code.FIELD_MISSING,
    "INVALID_RECORD_ID": Code.TARGET_NOT_MATCHED,
    "ROW_DOES_NOT_EXIST": Code.RECORD_GONE,
    "NOT_FOUND": Code.RECORD_GONE,
}


def type_of(answer: Answer) -> str:
    """The type of either shape of error: {"error": {"type": …}} or {"error": "…"}."""
    error = _error(answer.body)
    found = error.get("type") if isinstance(error, dict) else error
    return str(found or "")


def message_of(answer: Answer) -> str:
    """The error's own sentence, without what could be a secret."""
    error = _error(answer.body)
    text = error.get("message") if isinstance(error, dict) else None
    if not text and isinstance(answer.body, dict):
        text = answer.body.get("message")
    return redact(str(text or type_of(answer) or f"status {answer.status}"))[:MAX_TEXT]


def _error(body: Any) -> Any:
    if not isinstance(body, dict):
        return None
    found = body.get("error")
    listed = body.get("errors")  # a third shape, seen but not documented
    if found is None and isinstance(listed, list) and listed:
        return listed[0]
    return found


def code_of(answer: Answer) -> Code:
    """The catalogue's code for a refusal of what a call held."""
    kind = type_of(answer)
    if kind in CODES:
        return CODES[kind]
    if "unknown field name" in message_of(answer).lower():
        return Code.FIELD_MISSING
    if answer.status == NOT_FOUND:
        return Code.RECORD_GONE
    return Code.VALUE_INVALID


def field_named(answer: Answer) -> str:
    """The field, by name or id, that a refusal is about; "" if it names none."""
    found = _FIELD.search(message_of(answer))
    return found[1] if found else ""


def record_named(answer: Answer) -> str:
    """The record that a refusal is about; "" if it names none."""
    found = _RECORD.search(message_of(answer))
    return found[0] if found else ""


def error_of(answer: Answer, doing: str) -> ConnectorError:
    """The error for a call that Airtable refused as a whole."""
    text = f"Airtable would not {doing}: {message_of(answer)}"
    if code_of(answer) is Code.FIELD_MISSING:
        return SchemaError(text, code=Code.FIELD_MISSING)
    if answer.status == NOT_FOUND:
        return SchemaError(text)
    if answer.ok:
        return TransientError(text)
    return RejectedError(text, code=code_of(answer))


class AirtableDialect(Dialect):
    """Airtable's own statuses and types."""

    name = "Airtable"
    allowance = "month's"

    def refused(self, answer: Answer) -> ConnectorError | None:
        """401 is the token's fault; 403 a scope's, a right's, or of what is not there."""
        if answer.status == 401:
            return AuthError("Airtable refused the token: it is not valid any more.")
        if answer.status != 403:
            return None
        text = message_of(answer)
        if type_of(answer) == NO_MODEL:
            text = (
                "the token lacks a scope or does not cover the base, or there is no such "
                "base or table (Airtable does not say which)"
            )
        return ScopeError(f"Airtable does not permit this: {text}.")

    def limit(self, answer: Answer, attempt: int) -> Pause:
        """Half a minute after every 429; what outlasts that is the month's allowance."""
        if "BILLING" in type_of(answer) or attempt > PENALTIES:
            return Pause(QUOTA_S, daily=True)
        return Pause(PENALTY_S)
