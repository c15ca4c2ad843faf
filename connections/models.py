"""Who we talk to: HubSpot accounts, connected apps, and what was discovered in them."""

from __future__ import annotations

from typing import Any

from django.db import models

from connections.connectors.registry import app_kinds
from connections.sealed import SealedField


class ApiVersion(models.TextChoices):
    DATED = "2026-03", "2026-03"
    V4 = "v4", "v4 (records v3, associations v4)"
    V3 = "v3", "v3 (no association labels)"
    NEXT = "2026-09", "2026-09 (experimental)"


class Connection(models.Model):
    """What an account and an app share: a name, credentials and how they last fared."""

    name = models.CharField(max_length=120, unique=True)
    credentials = SealedField(default=dict, blank=True, editable=False)
    credential_env = models.JSONField(
        default=dict,
        blank=True,
        editable=False,
        help_text="Environment variables that the stored credentials came from.",
    )
    tested_at = models.DateTimeField(null=True, blank=True, editable=False)
    test_code = models.CharField(max_length=40, blank=True, editable=False)
    test_text = models.TextField(blank=True, editable=False)
    identity = models.CharField(max_length=200, blank=True, editable=False)
    # What the ids of its records belong to; the name above also tells who asks, and where.
    system_id = models.CharField(max_length=200, blank=True, editable=False)
    discovered_at = models.DateTimeField(null=True, blank=True, editable=False)
    archived_at = models.DateTimeField(null=True, blank=True, editable=False)
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        abstract = True

    def __str__(self) -> str:
        return self.name


class HubSpotAccount(Connection):
    """One HubSpot portal."""

    base_url = models.URLField(default="https://api.hubapi.com", max_length=300)
    api_version = models.CharField(
        max_length=20, choices=ApiVersion.choices, default=ApiVersion.DATED
    )
    requests_per_10s = models.FloatField(
        default=100, help_text="Calls per 10 seconds that this installation may make."
    )
    association_requests_per_10s = models.FloatField(null=True, blank=True)
    search_per_second = models.FloatField(default=4)

    class Meta:
        verbose_name = "HubSpot account"

    @property
    def association_budget(self) -> float:
        """Association calls per 10 s: what was set, else the general figure, at most 150."""
        return self.association_requests_per_10s or min(self.requests_per_10s, 150)


class ConnectedApp(Connection):
    """One app account that is kept in step with one HubSpot account."""

    kind = models.CharField(max_length=20, choices=app_kinds)
    hubspot = models.ForeignKey(
        HubSpotAccount, on_delete=models.PROTECT, related_name="apps"
    )
    settings: models.JSONField[dict[str, Any], dict[str, Any]] = models.JSONField(
        default=dict, blank=True
    )
    paused = models.BooleanField(default=False)

    class Meta:
        verbose_name = "connected app"


class RemoteObject(models.Model):
    """One object type as last discovered in an account or an app."""

    account = models.ForeignKey(
        HubSpotAccount,
        null=True,
        on_delete=models.CASCADE,
        related_name="remote_objects",
    )
    app = models.ForeignKey(
        ConnectedApp, null=True, on_delete=models.CASCADE, related_name="remote_objects"
    )
    name = models.CharField(max_length=200)
    object_id = models.CharField(max_length=300)
    label = models.CharField(max_length=200, blank=True)
    definition: models.JSONField[dict[str, Any], dict[str, Any]] = models.JSONField()
    discovered_at = models.DateTimeField(auto_now=True)

    class Meta:
        verbose_name = "discovered object"
        constraints = [
            models.UniqueConstraint(
                fields=["account", "object_id"], name="remote_object_of_account"
            ),
            models.UniqueConstraint(
                fields=["app", "object_id"], name="remote_object_of_app"
            ),
            models.CheckConstraint(
                condition=models.Q(account__isnull=True) ^ models.Q(app__isnull=True),
                name="remote_object_has_one_owner",
            ),
        ]

    def __str__(self) -> str:
        return self.label or self.name


class RateBudget(models.Model):
    """What is left of one call budget, shared by every process of the installation."""

    key = models.CharField(max_length=200)
    bucket = models.CharField(max_length=40)
    tokens = models.FloatField(default=0)
    updated_at = models.FloatField(default=0, help_text="epoch seconds")
    blocked_until = models.FloatField(default=0, help_text="epoch seconds")
    day = models.DateField(null=True)
    used_today = models.PositiveIntegerField(default=0)
    month = models.DateField(null=True, help_text="its first day")
    used_this_month = models.PositiveIntegerField(default=0)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["key", "bucket"], name="rate_budget_key")
        ]

    def __str__(self) -> str:
        return f"{self.key} {self.bucket}"
