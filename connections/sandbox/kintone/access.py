"""Who calls, and what that one may do.

Source: https://kintone.dev/en/docs/common/authentication/
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass

from connections.sandbox.hubspot.switches import Switches
from connections.sandbox.kintone.domain import App
from connections.sandbox.kintone.errors import ApiError, no_right

MOST_TOKENS = 9
VIEW, ADD, EDIT, DELETE = "view", "add", "edit", "delete"
ALL = frozenset({VIEW, ADD, EDIT, DELETE})
USERS = {"Administrator": "kintone-sandbox", "clerk": "kintone-sandbox-clerk"}


@dataclass(frozen=True)
class Token:
    """One API token: its app and its rights."""

    text: str
    app: int
    rights: frozenset[str] = ALL


@dataclass(frozen=True)
class Caller:
    """Who calls: a user, or the tokens in one header."""

    user: str = ""
    tokens: tuple[Token, ...] = ()
    foreign_status: int = 400

    def may(self, app: App, right: str) -> bool:
        return bool(self.user) or any(
            t.app == app.id and right in t.rights for t in self.tokens
        )

    def knows(self, app: App) -> bool:
        """Whether any of the tokens is the app's."""
        return bool(self.user) or any(t.app == app.id for t in self.tokens)

    def need(self, app: App, right: str, code: str) -> None:
        """Raises: ApiError if the caller may not."""
        if not self.knows(app):
            raise ApiError(
                self.foreign_status,
                "GAIA_AP15",
                "The specified API token does not match the app ID.",
            )
        if not self.may(app, right):
            error = no_right()
            error.code = code
            raise error


def admitted(
    headers: Mapping[str, str], tokens: Mapping[str, Token], switches: Switches
) -> Caller:
    """Who sends these headers.

    Raises: ApiError 401, or what an unknown token gets.
    """
    if password := headers.get("X-Cybozu-Authorization"):
        return Caller(user=_user(password))
    given = headers.get("X-Cybozu-Api-Token")
    if not given:
        raise ApiError(401, "CB_AU01", "Please login.")
    words = [word.strip() for word in given.split(",")]
    if len(words) > MOST_TOKENS:
        raise ApiError(400, "CB_VA01", "Missing or invalid input.")
    if any(word not in tokens for word in words):
        raise ApiError(
            int(switches["unknown_token_status"]),
            "GAIA_IA02",
            "The specified API token cannot be used.",
        )
    found = tuple(tokens[word] for word in words)
    return Caller(tokens=found, foreign_status=int(switches["foreign_token_status"]))


def _user(text: str) -> str:
    try:
        login, _, password = base64.b64decode(text).decode().partition(":")
    except ValueError:
        login, password = "", ""
    if USERS.get(login) != password:
        raise ApiError(
            401, "CB_WA01", "Password authentication failed. Check your login name."
        )
    return login
