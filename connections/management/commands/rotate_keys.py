"""Encrypt the stored credentials again with the newest key."""

from __future__ import annotations

from typing import Any

from django.db import transaction

from connections.commands import Command as Base
from connections.models import ConnectedApp, HubSpotAccount


class Command(Base):
    help = (
        "Encrypt every stored credential with the first of CROSSLINK_ENCRYPTION_KEYS; "
        "the other keys can be dropped afterwards."
    )

    def handle(self, *args: Any, **options: Any) -> None:
        count = 0
        with transaction.atomic():
            for model in (HubSpotAccount, ConnectedApp):
                # Reading opens with any key, writing seals with the newest.
                for row in model.objects.select_for_update():
                    row.save(update_fields=["credentials"])
                    count += 1
        self.stdout.write(f"Sealed the credentials of {count} connections again.")
