"""A fake Airtable, written from its reference: it shares no code with the connector."""

from __future__ import annotations
