"""HubSpot's CRM, by its dated public API."""

from __future__ import annotations

from connections.connectors.hubspot.connector import HubSpotConnector

__all__ = ["HubSpotConnector"]
