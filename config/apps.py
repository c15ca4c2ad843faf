"""Tells Django of the project, and the task cluster of the minute's tick."""

from __future__ import annotations

from typing import Any

from django.apps import AppConfig, apps
from django.db.models.signals import post_migrate

TICK = "syncs.tasks.tick"


class ConfigConfig(AppConfig):
    """The project itself: its commands, static files and schedule."""

    name = "config"
    verbose_name = "Crosslink"

    def ready(self) -> None:
        # Only apps with models send it; this one's tables hold the schedule.
        post_migrate.connect(schedule_tick, sender=apps.get_app_config("django_q"))


def schedule_tick(using: str, **kwargs: Any) -> None:
    """Have the cluster run the tick every minute, unless that is scheduled already.

    After every migrate, not in a migration: a row that someone deleted comes back.
    Args: using, the database that was migrated.
    """
    from django_q.models import Schedule  # models load after this module

    Schedule.objects.using(using).get_or_create(
        func=TICK,
        defaults={
            "name": "Start what is due, close what died",
            "schedule_type": Schedule.MINUTES,
            "minutes": 1,
            "repeats": -1,
        },
    )
