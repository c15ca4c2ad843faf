"""The accounts that the sandbox opens, and the tokens to them.

These are no secrets: they open nothing but the fake.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Mapping

from connections.sandbox.clock import Clock, iso
from connections.sandbox.hubspot.account import Token
from connections.sandbox.hubspot.errors import ApiError
from connections.sandbox.hubspot.kinds import STANDARD
from connections.sandbox.wire import Answer

MAIN, OTHER = 46_000_001, 46_000_002


def _scopes(*rights: str, areas: tuple[str, ...] | None = None) -> frozenset[str]:
    names = areas or (*(kind.plural for kind in STANDARD), "custom", "owners")
    found = {f"crm.objects.{name}.{right}" for name in names for right in rights}
    found |= {f"crm.schemas.{name}.{right}" for name in names for right in rights}
    return frozenset(found | ({"tickets"} if areas is None else set()) | {"oauth"})


EVERYTHING = _scopes("read", "write")
TOKENS = (
    Token("sandbox-token", MAIN, EVERYTHING, "Sync"),
    Token("sandbox-token-second", MAIN, EVERYTHING, "Second app"),
    Token("sandbox-token-read-only", MAIN, _scopes("read"), "Reader"),
    Token(
        "sandbox-token-contacts-only",
        MAIN,
        _scopes("read", "write", areas=("contacts",)),
        "Contacts only",
    ),
    Token("sandbox-token-other-account", OTHER, EVERYTHING, "Other account"),
    Token("sandbox-token-expired", MAIN, EVERYTHING, "Expired", expired=True),
)
BY_TEXT = {token.text: token for token in TOKENS}
NO_TOKEN = re.compile(r"[^A-Za-z0-9._~+/=-]")  # what no bearer token holds (RFC 6750)
EXPIRED_S = 12


def _sent(headers: Mapping[str, str]) -> str:
    return headers.get("Authorization", "").removeprefix("Bearer ").strip()


def turned_away(headers: Mapping[str, str]) -> Answer | None:
    """Return what the network in front of the API says to a malformed token."""
    if NO_TOKEN.search(_sent(headers)):
        return Answer(530, b"<html><title>530: origin error</title></html>")
    return None


def admitted(headers: Mapping[str, str], clock: Clock) -> Token:
    """Return the token that a request carries.

    Raises: ApiError 401.
    """
    token = BY_TEXT.get(_sent(headers))
    correlation = {"x-hubspot-correlation-id": str(uuid.uuid4())}
    if token is None:
        raise ApiError(
            401,
            "INVALID_AUTHENTICATION",
            "Authentication credentials not found. This API supports OAuth 2.0 "
            "authentication and you can find more details at "
            "https://developers.hubspot.com/docs/methods/auth/oauth-overview",
            headers={"x-hubspot-auth-failure": "invalid"} | correlation,
        )
    if token.expired:
        since = clock.now_ms() - EXPIRED_S * 1000
        raise ApiError(
            401,
            "EXPIRED_AUTHENTICATION",
            "The OAuth token used to make this call expired "
            f"{EXPIRED_S} second(s) ago.",
            context={"expire time": [iso(since)]},
            headers={"x-hubspot-auth-failure": "expired"} | correlation,
        )
    return token
