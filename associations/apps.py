"""Tells Django of this app."""

from __future__ import annotations

from django.apps import AppConfig


class AssociationsConfig(AppConfig):
    """How records relate: association types, mappings and links."""

    name = "associations"
    verbose_name = "Associations"
