"""The HubSpot half of the demo."""

from __future__ import annotations

from connections.sandbox.hubspot.account import Account


def plant(account: Account) -> None:
    """Load the demo's companies, contacts and links."""
