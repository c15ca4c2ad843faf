"""What the task cluster does for associations."""

from __future__ import annotations

from associations import services
from connections import tasks
from connections.models import HubSpotAccount
from connections.schemas import Owner


def refresh_schema(kind: str, pk: int) -> str:
    """Discover a system's objects, and for HubSpot the association types in use."""
    return tasks.noted(kind, pk, _read)


def _read(owner: Owner) -> None:
    tasks.read_objects(owner)
    if isinstance(owner, HubSpotAccount):
        services.refresh_types(owner)
