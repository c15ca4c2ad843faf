"""A small connector, by the steps of docs/adding-a-connector.md: files in a folder."""

from __future__ import annotations
