"""The seeds by name."""

from __future__ import annotations

from collections.abc import Callable

from connections.sandbox.hubspot.account import Account
from connections.sandbox.hubspot.app import HubSpot
from connections.sandbox.seeds import demo_hubspot, empty

SEEDS: dict[str, Callable[[Account], None]] = {
    "empty": empty.plant,
    "demo": demo_hubspot.plant,
}


def plant(name: str, hubspot: HubSpot) -> None:
    """Fill a fake that holds nothing yet; one that has a seed keeps what it has."""
    for account in hubspot.accounts.values():
        with account.store.transaction():
            if account.store.document("sandbox", "seed") is None:
                account.store.keep("sandbox", "seed", name)
                empty.plant(account)
                if account is hubspot.main and name != "empty":
                    SEEDS[name](account)
