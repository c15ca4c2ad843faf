"""Tokens that open the fake: what each may do, and in which bases."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from connections.sandbox.airtable.errors import ApiError

MAIN_BASE, OTHER_BASE = "appSandboxMain001", "appSandboxSecond2"
READ, WRITE = "data.records:read", "data.records:write"
SCHEMA, DESIGN = "schema.bases:read", "schema.bases:write"
HOOKS = "webhook:manage"
ALL = frozenset({READ, WRITE, SCHEMA, DESIGN, HOOKS})


@dataclass(frozen=True, slots=True)
class Token:
    """`level` is its user's permission in the bases it names."""

    name: str
    text: str
    user: str = "usrSandboxAdmin01"
    scopes: frozenset[str] = ALL
    bases: frozenset[str] = frozenset({MAIN_BASE, OTHER_BASE})
    level: str = "create"


def _text(letter: str) -> str:
    return f"pat{letter * 14}.{ord(letter):02x}{'0' * 62}"


TOKENS = (
    Token("everything", _text("A")),
    Token("a colleague", _text("B"), "usrSandboxSecond2"),
    Token("no schema", _text("C"), scopes=ALL - {SCHEMA, DESIGN}),
    Token("no webhooks", _text("D"), scopes=ALL - {HOOKS}),
    Token("reads only", _text("E"), scopes=frozenset({READ, SCHEMA})),
    Token("no base", _text("F"), bases=frozenset()),
    Token("no records", _text("G"), scopes=frozenset({SCHEMA})),
    Token("editor", _text("H"), "usrSandboxEditor3", level="edit"),
    Token("commenter", _text("J"), "usrSandboxComment", level="comment"),
)


def admitted(headers: Mapping[str, str]) -> Token:
    """The token of a request. Raises: ApiError 401."""
    scheme, _, text = headers.get("Authorization", "").partition(" ")
    if scheme != "Bearer" or not text:
        raise ApiError(401, "AUTHENTICATION_REQUIRED", "Authentication required")
    for token in TOKENS:
        if token.text == text:
            return token
    raise ApiError(401, "UNAUTHORIZED", "Invalid authentication token")
