"""An account without records: two owners, one custom object."""

from __future__ import annotations

from connections.sandbox.hubspot.account import Account
from connections.sandbox.hubspot.metadata import keep_owner
from connections.sandbox.hubspot.schemas import create_one

VESSELS = {
    "name": "vessels",
    "labels": {"singular": "Vessel", "plural": "Vessels"},
    "primaryDisplayProperty": "vessel_name",
    "requiredProperties": ["vessel_name"],
    "searchableProperties": ["vessel_name"],
    "properties": [
        {"name": "vessel_name", "label": "Name"},
        {"name": "imo_number", "label": "IMO number", "hasUniqueValue": True},
        {
            "name": "tonnage",
            "label": "Tonnage",
            "type": "number",
            "fieldType": "number",
        },
    ],
    "associatedObjects": ["CONTACT", "COMPANY"],
}


def plant(account: Account) -> None:
    """Add owners and the custom object `vessels`."""
    keep_owner(account, 1, "sales@sandbox.example", "Sales", "Desk")
    keep_owner(account, 2, "service@sandbox.example", "Service", "Desk")
    create_one(account, VESSELS)
