"""A set-up in the making."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.db import models

from connections.models import ConnectedApp
from syncs.models.setup import ObjectSync


class SyncDraft(models.Model):
    """What somebody is setting up, step by step; no run looks at it.

    `tree` is the sync as a set-up file would say it, `off` the field mappings that were
    switched off, `findings` what was counted on live data. `sync` is the one whose set-up
    this will replace; a new one has none until it is tried out, and `new` says that it
    never ran by its schedule. `back` is the draft that waits for this one.
    """

    app = models.ForeignKey(
        ConnectedApp, on_delete=models.CASCADE, related_name="drafts"
    )
    sync = models.OneToOneField(
        ObjectSync,
        null=True,
        blank=True,
        on_delete=models.CASCADE,
        related_name="draft",
    )
    new = models.BooleanField(default=True)
    tree: models.JSONField[dict[str, Any], dict[str, Any]] = models.JSONField(
        default=dict
    )
    off: models.JSONField[list[Any], list[Any]] = models.JSONField(
        default=list, blank=True
    )
    findings: models.JSONField[dict[str, Any], dict[str, Any]] = models.JSONField(
        default=dict, blank=True
    )
    revision = models.PositiveIntegerField(
        default=0, help_text="of the sync, when this was begun"
    )
    step = models.CharField(max_length=20, default="select")
    back = models.ForeignKey(
        "self", null=True, blank=True, on_delete=models.SET_NULL, related_name="+"
    )
    author = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        null=True,
        blank=True,
        on_delete=models.SET_NULL,
        related_name="+",
    )
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        verbose_name = "draft"
        ordering = ["-updated_at", "-pk"]

    def __str__(self) -> str:
        return self.name

    @property
    def name(self) -> str:
        return str(self.tree.get("name") or "A new sync")
