"""How HubSpot says "slow down" and "not you".

Source: https://developers.hubspot.com/docs/developer-tooling/platform/usage-guidelines
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from connections.connectors.base import AuthError, ConnectorError, ScopeError
from connections.connectors.dialect import Answer, Dialect, Pause
from connections.connectors.hubspot.errors import (
    context_names,
    correlation,
    entries,
)
from connections.redaction import redact

TEN_SECONDS, SECOND = 10.0, 1.0  # back-off per attempt, as HubSpot's own clients do
QUARTER_S = 900.0
BAD_TOKEN = 530  # what the network in front of HubSpot says to a malformed token
SPENT_PAUSE = 0.1  # of the rolling window, when nothing of it is left


class HubSpotDialect(Dialect):
    """HubSpot's own statuses, categories and headers."""

    name = "HubSpot"

    def refused(self, answer: Answer) -> ConnectorError | None:
        """401 and 530 are the token's fault, 403 a scope's."""
        body = answer.body if isinstance(answer.body, dict) else {}
        message, found = str(body.get("message") or ""), correlation(answer)
        if answer.status in (401, BAD_TOKEN):
            expired = body.get("category") == "EXPIRED_AUTHENTICATION"
            why = "has expired" if expired else "is not valid"
            text = f"HubSpot refused the token: it {why}."
            return AuthError(text, correlation_id=found)
        if answer.status != 403:
            return None
        scopes = required_scopes(body)
        if scopes:
            text = f"The HubSpot token lacks the scope {', '.join(scopes)}."
        else:
            text = f"HubSpot does not permit this: {redact(message)[:300]}"
        return ScopeError(text, correlation_id=found)

    def limit(self, answer: Answer, attempt: int) -> Pause:
        """A day's, ten seconds' or one second's allowance is spent."""
        body = answer.body if isinstance(answer.body, dict) else {}
        policy = str(body.get("policyName") or "").upper()
        message = str(body.get("message") or "").lower()
        if policy == "DAILY" or "daily" in message:
            return _until_a_midnight()
        if policy.startswith("SECONDLY") or "secondly" in message.split():
            return Pause(SECOND * attempt)
        return Pause(TEN_SECONDS * attempt)

    def exhausted(self, answer: Answer) -> Pause | None:
        """Nothing left of a window: others use the account too, so let it refill."""
        headers = answer.headers
        if _number(headers, "X-HubSpot-RateLimit-Daily-Remaining") == 0:
            return _until_a_midnight()
        if _number(headers, "X-HubSpot-RateLimit-Remaining") == 0:
            window = _number(headers, "X-HubSpot-RateLimit-Interval-Milliseconds")
            return Pause((window or 10_000) / 1000 * SPENT_PAUSE)
        return None


def required_scopes(body: Mapping[str, Any]) -> list[str]:
    """The scopes that a MISSING_SCOPES answer asks for."""
    found: list[str] = []
    for entry in (body, *entries(body)):
        found += context_names(entry, "requiredGranularScopes", "requiredScopes")
    return list(dict.fromkeys(found))


def _until_a_midnight() -> Pause:
    """Until the quarter of an hour ends.

    The day is the account's own, whose zone a call does not tell; but every zone's
    midnight falls on a quarter, so the next is the earliest time that can help.
    """
    return Pause(QUARTER_S - time.time() % QUARTER_S + 1.0, daily=True)


def _number(headers: Mapping[str, str], name: str) -> int | None:
    text = headers.get(name, "")
    return int(text) if text.isascii() and text.isdigit() else None
