"""The admin of accounts, apps and what was discovered in them."""

from __future__ import annotations

from connections.admin.connections import ConnectedAppAdmin, HubSpotAccountAdmin
from connections.admin.objects import RemoteObjectAdmin

__all__ = ["ConnectedAppAdmin", "HubSpotAccountAdmin", "RemoteObjectAdmin"]
