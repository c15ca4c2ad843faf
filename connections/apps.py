"""Tells Django of this app."""

from __future__ import annotations

from django.apps import AppConfig
from django.db.models.signals import post_migrate, pre_migrate

from connections.migrating import wait_as_usual, wait_little


class ConnectionsConfig(AppConfig):
    """Accounts, connected apps and the door out to them."""

    name = "connections"
    verbose_name = "Connections"

    def ready(self) -> None:
        # Each is sent once for every app, before and after all migrations.
        pre_migrate.connect(wait_little, sender=self)
        post_migrate.connect(wait_as_usual, sender=self)
