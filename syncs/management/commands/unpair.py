"""Untie two records by hand."""

from __future__ import annotations

from typing import Any

from syncs import services
from syncs.management.commands.pair import Command as Pair


class Command(Pair):
    help = (
        "Untie two paired records; neither is changed, and their keys do not pair them."
    )

    def act(self, sync: Any, ids: dict[str, str]) -> None:
        services.unpair(sync=sync, **ids)
        self.stdout.write(
            f"Unpaired {ids['hubspot_id']} and {ids['app_id']} in {sync}."
        )
