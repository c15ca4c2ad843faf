"""The record links: what ties a HubSpot record to an app record."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.db import models

from connections.records import Side
from syncs.models.choices import RecordState
from syncs.models.setup import ObjectSync

JsonDict = dict[str, Any]


class RecordLink(models.Model):
    """One record as seen from both sides; unpaired while one side is missing.

    `hubspot_values` and `app_values` are canonical and hold the mapped, key and marker
    fields as last read; `app_references` holds {field: {"ids": [...], "complete": bool}};
    `baseline` is {mapping key: [HubSpot's last answer, the app's last answer]}.
    `stage_state` is each stage's own note on the record.
    """

    sync = models.ForeignKey(
        ObjectSync,
        on_delete=models.CASCADE,
        related_name="record_links",
        db_index=False,  # several below begin with it
    )
    # Null, not blank, where a side is missing: nulls are no duplicates of each other.
    hubspot_id = models.CharField(max_length=100, null=True, blank=True)  # noqa: DJ001
    app_id = models.CharField(max_length=300, null=True, blank=True)  # noqa: DJ001
    hubspot_values: models.JSONField[JsonDict, JsonDict] = models.JSONField(
        default=dict, blank=True
    )
    app_values: models.JSONField[JsonDict, JsonDict] = models.JSONField(
        default=dict, blank=True
    )
    app_references: models.JSONField[JsonDict, JsonDict] = models.JSONField(
        default=dict, blank=True
    )
    baseline: models.JSONField[JsonDict, JsonDict] = models.JSONField(
        default=dict, blank=True
    )
    stage_state: models.JSONField[JsonDict, JsonDict] = models.JSONField(
        default=dict, blank=True
    )
    hubspot_modified_at = models.DateTimeField(null=True, blank=True)
    app_modified_at = models.DateTimeField(null=True, blank=True)
    hubspot_read_at = models.DateTimeField(null=True, blank=True)
    app_read_at = models.DateTimeField(null=True, blank=True)
    hubspot_seen = models.BigIntegerField(default=0)
    app_seen = models.BigIntegerField(default=0)
    hubspot_gone_at = models.DateTimeField(null=True, blank=True)
    app_gone_at = models.DateTimeField(null=True, blank=True)
    # Said to be gone, and not concluded yet: many at once hold the run.
    hubspot_vanished_at = models.DateTimeField(null=True, blank=True)
    app_vanished_at = models.DateTimeField(null=True, blank=True)
    paired_at = models.DateTimeField(null=True, blank=True)
    keep_apart = models.BooleanField(
        default=False, help_text="Unpaired by hand: not paired again by its keys."
    )
    state = models.CharField(
        max_length=12, choices=RecordState.choices, default=RecordState.NEW
    )
    dirty = models.BooleanField(default=True)
    scope_due_at = models.DateTimeField(
        null=True,
        blank=True,
        help_text="when time alone moves it into or out of a relative date filter",
    )
    error_code = models.CharField(max_length=40, blank=True)
    error_text = models.TextField(blank=True)
    error_field = models.CharField(max_length=200, blank=True)
    candidates: models.JSONField[list[str], list[str]] = models.JSONField(
        default=list, blank=True
    )
    attempts = models.PositiveIntegerField(default=0)
    retry_at = models.DateTimeField(null=True, blank=True)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        verbose_name = "record link"
        constraints = [
            models.UniqueConstraint(
                fields=["sync", "hubspot_id"], name="record_link_hubspot_once"
            ),
            models.UniqueConstraint(
                fields=["sync", "app_id"], name="record_link_app_once"
            ),
        ]
        indexes = [
            models.Index(fields=["sync", "id"], name="record_link_sync"),
            models.Index(fields=["sync", "dirty", "id"], name="record_link_dirty"),
            models.Index(fields=["sync", "state", "id"], name="record_link_state"),
            models.Index(fields=["state", "id"], name="record_link_any_state"),
            models.Index(
                fields=["error_code", "id"],
                condition=~models.Q(error_code=""),
                name="record_link_code",
            ),
            models.Index(
                fields=["sync", "scope_due_at", "id"],
                condition=models.Q(scope_due_at__isnull=False),
                name="record_link_scope_due",
            ),
            models.Index(
                fields=["sync", "id"],
                condition=models.Q(hubspot_vanished_at__isnull=False)
                | models.Q(app_vanished_at__isnull=False),
                name="record_link_vanished",
            ),
            models.Index(
                fields=["sync", "hubspot_modified_at"], name="record_link_hs_moved"
            ),
            models.Index(
                fields=["sync", "app_modified_at"], name="record_link_app_moved"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.hubspot_id or '—'} ↔ {self.app_id or '—'}"

    @property
    def paired(self) -> bool:
        return self.hubspot_id is not None and self.app_id is not None

    @property
    def lost(self) -> bool:
        """Whether one side is gone, or said to be."""
        return any(self.lost_on(side) for side in Side)

    def lost_on(self, side: Side) -> bool:
        """Whether a side's record is gone, or said to be."""
        at = (getattr(self, f"{side}_gone_at"), getattr(self, f"{side}_vanished_at"))
        return at != (None, None)

    def gone_on(self, side: Side) -> datetime | None:
        return self.hubspot_gone_at if side is Side.HUBSPOT else self.app_gone_at

    def id_on(self, side: Side) -> str | None:
        return self.hubspot_id if side is Side.HUBSPOT else self.app_id

    def values_on(self, side: Side) -> JsonDict:
        return self.hubspot_values if side is Side.HUBSPOT else self.app_values


class RecordKey(models.Model):
    """One normalised value of one match key of one record, on one side."""

    link = models.ForeignKey(RecordLink, on_delete=models.CASCADE, related_name="keys")
    sync = models.ForeignKey(
        ObjectSync, on_delete=models.CASCADE, related_name="+", db_index=False
    )
    side = models.CharField(max_length=8)
    rank = models.PositiveSmallIntegerField()
    value = models.CharField(max_length=600)

    class Meta:
        indexes = [
            # Finds equal values, and values that begin alike whatever the collation.
            models.Index(
                fields=["sync", "rank", "side", "value"],
                opclasses=[
                    "int8_ops",
                    "int2_ops",
                    "varchar_pattern_ops",
                    "varchar_pattern_ops",
                ],
                name="record_key_beginning",
            )
        ]

    def __str__(self) -> str:
        return f"{self.side} {self.rank}: {self.value}"
