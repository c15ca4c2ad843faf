"""Tells Django of this app."""

from __future__ import annotations

from django.apps import AppConfig


class SyncsConfig(AppConfig):
    """What is kept in step: object syncs, their runs and their changes."""

    name = "syncs"
    verbose_name = "CRM syncs"
