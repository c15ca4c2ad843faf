"""Kintone: apps are object types, lookups are references."""

from __future__ import annotations

from connections.connectors.kintone.connector import KintoneConnector

__all__ = ["KintoneConnector"]
