"""The set-up: one row per pair of object types, its match keys and field mappings."""

from __future__ import annotations

from typing import Any

from django.db import models

from connections.models import ConnectedApp
from connections.records import Side
from syncs.models.choices import (
    Conflict,
    Creates,
    Deletes,
    Direction,
    Matching,
    Normalize,
)


class ObjectSync(models.Model):
    """One HubSpot object type kept in step with one object of a connected app.

    `revision` counts changes of the set-up; a run keeps the revision it started with.
    The lease columns say which run may write, until when, and who holds it.
    """

    app = models.ForeignKey(
        ConnectedApp, on_delete=models.CASCADE, related_name="syncs"
    )
    name = models.CharField(max_length=120)
    position = models.PositiveIntegerField(default=0)
    hubspot_object = models.CharField(max_length=200)
    app_object = models.CharField(max_length=200)
    direction = models.CharField(
        max_length=20, choices=Direction.choices, default=Direction.TWO_WAY
    )
    conflict = models.CharField(
        max_length=20, choices=Conflict.choices, default=Conflict.HUBSPOT
    )
    creates = models.CharField(
        max_length=20, choices=Creates.choices, default=Creates.BOTH
    )
    matching = models.CharField(
        max_length=20, choices=Matching.choices, default=Matching.DEFAULT
    )
    marker: models.JSONField[dict[str, str], dict[str, str]] = models.JSONField(
        default=dict, blank=True
    )
    on_create: models.JSONField[dict[str, Any], dict[str, Any]] = models.JSONField(
        default=dict, blank=True
    )
    deletes = models.CharField(
        max_length=20, choices=Deletes.choices, default=Deletes.IGNORE
    )
    hard_delete = models.BooleanField(
        default=False,
        help_text="Records that cannot be archived are deleted for good, each once "
        "a person has approved it.",
    )
    archive: models.JSONField[dict[str, Any], dict[str, Any]] = models.JSONField(
        default=dict,
        blank=True,
        help_text='How a side archives that has no way of its own: {"app": '
        '{"field": "archived", "value": true}}',
    )
    limits: models.JSONField[dict[str, int | None], dict[str, int | None]] = (
        models.JSONField(
            default=dict,
            blank=True,
            help_text="What one run may do before it is held, where that differs from "
            "the defaults; null lifts a limit.",
        )
    )
    every_s = models.PositiveIntegerField(
        "every",
        null=True,
        blank=True,
        default=600,
        help_text="Seconds between runs; blank for by hand only.",
    )
    sweep_every_s = models.PositiveIntegerField(
        "sweep every", default=3600, help_text="Seconds between reads of all links."
    )
    full_every_s = models.PositiveIntegerField(
        "full every", default=86400, help_text="Seconds between complete reads."
    )
    app_cursor = models.CharField(
        max_length=200,
        blank=True,
        help_text='The column that tells change time; blank or "none" compares hashes.',
    )
    timezone = models.CharField(max_length=64, default="UTC")
    enabled = models.BooleanField(default=True)
    revision = models.PositiveIntegerField(default=1, editable=False)
    archived_at = models.DateTimeField(null=True, blank=True, editable=False)

    hubspot_cursor = models.DateTimeField(null=True, blank=True, editable=False)
    app_cursor_at = models.DateTimeField(null=True, blank=True, editable=False)
    read_state: models.JSONField[dict[str, Any], dict[str, Any]] = models.JSONField(
        default=dict, blank=True, editable=False
    )
    full_read_at = models.DateTimeField(null=True, blank=True, editable=False)
    swept_at = models.DateTimeField(null=True, blank=True, editable=False)
    due_at = models.DateTimeField(null=True, blank=True, editable=False)
    paused = models.BooleanField(default=False, editable=False)

    lease_token = models.BigIntegerField(default=0, editable=False)
    lease_run_id = models.BigIntegerField(null=True, blank=True, editable=False)
    lease_until = models.DateTimeField(null=True, blank=True, editable=False)
    lease_holder = models.CharField(max_length=200, blank=True, editable=False)

    class Meta:
        verbose_name = "CRM sync"
        ordering = ["app_id", "position", "id"]
        constraints = [
            models.UniqueConstraint(fields=["app", "name"], name="sync_name_in_app")
        ]

    def __str__(self) -> str:
        return f"{self.app.name} \u203a {self.name}"

    @property
    def set_up(self) -> bool:
        """Whether neither a file nor its app left it out since."""
        return self.archived_at is None and self.app.archived_at is None

    def allows(self, side: Side) -> bool:
        """Whether this sync may write to a side at all."""
        return self.direction in (Direction.TWO_WAY, f"to_{side}")

    def creates_on(self, side: Side) -> bool:
        """Whether a record missing on a side is created there."""
        return self.allows(side) and self.creates in (Creates.BOTH, f"to_{side}")


class SyncFilter(models.Model):
    """One condition that a side's records must meet to be in scope; all of them must."""

    sync = models.ForeignKey(
        ObjectSync, on_delete=models.CASCADE, related_name="filters"
    )
    side = models.CharField(
        max_length=8, choices=[(side.value, side.value) for side in Side]
    )
    position = models.PositiveIntegerField(default=0)
    field = models.CharField("property or field", max_length=200)
    operator = models.CharField(max_length=20)
    value: models.JSONField[Any, Any] = models.JSONField(
        null=True, blank=True, default=None
    )

    class Meta:
        verbose_name = "filter"
        ordering = ["side", "position", "id"]

    def __str__(self) -> str:
        return f"{self.field} {self.operator}"


class MatchKey(models.Model):
    """One part of a match key; parts of equal `rank` are one composite key."""

    sync = models.ForeignKey(
        ObjectSync, on_delete=models.CASCADE, related_name="match_keys"
    )
    rank = models.PositiveSmallIntegerField(default=0)
    part = models.PositiveSmallIntegerField(default=0)
    hubspot = models.CharField("HubSpot property", max_length=200)
    app = models.CharField("app field", max_length=200)
    normalize = models.CharField(
        max_length=20, choices=Normalize.choices, default=Normalize.EXACT
    )

    class Meta:
        ordering = ["rank", "part", "id"]

    def __str__(self) -> str:
        return f"{self.hubspot} = {self.app} ({self.normalize})"


class FieldMapping(models.Model):
    """One HubSpot property kept in step with one app field."""

    sync = models.ForeignKey(
        ObjectSync, on_delete=models.CASCADE, related_name="field_mappings"
    )
    position = models.PositiveIntegerField(default=0)
    hubspot = models.CharField("HubSpot property", max_length=200)
    app = models.CharField("app field", max_length=200)
    direction = models.CharField(
        max_length=20, choices=Direction.choices, blank=True, default=""
    )
    conflict = models.CharField(
        max_length=20, choices=Conflict.choices, blank=True, default=""
    )
    seed = models.CharField(
        "first values",
        max_length=8,
        choices=[("hubspot", "HubSpot's"), ("app", "the app's")],
        blank=True,
        default="",
        help_text="Whose values a field begins with that was mapped later; blank: as "
        "conflicts are resolved.",
    )
    never_blank = models.BooleanField(null=True, blank=True, default=None)
    values: models.JSONField[dict[str, str], dict[str, str]] = models.JSONField(
        default=dict, blank=True, help_text="HubSpot option value → app option value"
    )

    class Meta:
        ordering = ["position", "id"]
        constraints = [
            models.UniqueConstraint(
                fields=["sync", "hubspot", "app"], name="field_mapping_once"
            )
        ]

    def __str__(self) -> str:
        return f"{self.hubspot} ↔ {self.app}"
