"""Tells Django of this app."""

from __future__ import annotations

from django.apps import AppConfig


class ConnectionsConfig(AppConfig):
    """Accounts, connected apps and the door out to them."""

    name = "connections"
    verbose_name = "Connections"
