"""A fake HubSpot account: CRM objects, associations, schemas, limits."""

from __future__ import annotations
