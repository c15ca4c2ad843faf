"""The accounts that the sandbox opens, and the tokens to them.

These are no secrets: they open nothing but the fake.
"""

from __future__ import annotations

from connections.sandbox.hubspot.account import Token
from connections.sandbox.hubspot.kinds import STANDARD

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
)
