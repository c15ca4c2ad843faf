"""Airtable: linked records, a base at a time."""

from __future__ import annotations

from connections.connectors.airtable.connector import AirtableConnector

__all__ = ["AirtableConnector"]
