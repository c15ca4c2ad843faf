"""Runs, the changes they plan and do, and what happened on the way."""

from __future__ import annotations

import uuid
from functools import reduce
from operator import and_
from typing import Any

from django.conf import settings
from django.db import models

from connections.models import ConnectedApp
from connections.records import Side
from syncs.models.choices import (
    USUAL_OUTCOMES,
    Awaiting,
    ChangeKind,
    ChangeOutcome,
    Status,
    Trigger,
)
from syncs.models.records import RecordLink
from syncs.models.setup import ObjectSync

JsonDict = dict[str, Any]


# One condition each, as SQLite finds them again in a query.
UNUSUAL = reduce(and_, (~models.Q(outcome=usual) for usual in USUAL_OUTCOMES))


class SyncRun(models.Model):
    """One invocation (no sync), or one object sync's part in it (a child, with sync).

    `counters` is this run's work, `totals` what stands at its end, both in the shape of
    the JSON that `sync --json` prints; `errors` is [{code, count, example}].
    """

    parent = models.ForeignKey(
        "self", null=True, blank=True, on_delete=models.CASCADE, related_name="children"
    )
    app = models.ForeignKey(
        ConnectedApp, null=True, blank=True, on_delete=models.CASCADE
    )
    sync = models.ForeignKey(
        ObjectSync,
        null=True,
        blank=True,
        on_delete=models.CASCADE,
        related_name="runs",
    )
    trigger = models.CharField(max_length=12, choices=Trigger.choices)
    started_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL
    )
    status = models.CharField(
        max_length=12, choices=Status.choices, default=Status.QUEUED
    )
    dry_run = models.BooleanField(default=False)
    full = models.BooleanField(default=False)
    sweep = models.BooleanField(default=False)
    wait = models.BooleanField(default=False)
    limit = models.PositiveIntegerField(null=True, blank=True)
    plan = models.ForeignKey(
        "self",
        null=True,
        blank=True,
        on_delete=models.SET_NULL,
        related_name="applied_by",
        help_text="The dry run or held run whose plan this run applies.",
    )
    undo_of = models.ForeignKey(
        "self",
        null=True,
        blank=True,
        on_delete=models.SET_NULL,
        related_name="undone_by",
        help_text="The run whose writes this run takes back.",
    )
    approved = models.BooleanField(
        default=False, help_text="It writes what a person approved, and nothing else."
    )
    accepts_vanished = models.BooleanField(
        default=False,
        help_text="Started by a person who knows that many records are gone.",
    )
    pairs_at_start = models.PositiveIntegerField(
        null=True, blank=True, help_text="pairs that stood when the run began"
    )
    held: models.JSONField[JsonDict, JsonDict] = models.JSONField(
        default=dict, blank=True, help_text="what held the run: {limit: {count, most}}"
    )
    revision = models.PositiveIntegerField(default=0)
    phase = models.CharField(max_length=40, blank=True)
    progress_done = models.PositiveIntegerField(default=0)
    progress_total = models.PositiveIntegerField(default=0)
    phase_at = models.DateTimeField(
        null=True, blank=True, help_text="when the phase began"
    )
    phase_from = models.PositiveIntegerField(
        default=0, help_text="what was done of it by then"
    )
    counters: models.JSONField[JsonDict, JsonDict] = models.JSONField(
        default=dict, blank=True
    )
    totals: models.JSONField[JsonDict, JsonDict] = models.JSONField(
        default=dict, blank=True
    )
    errors: models.JSONField[list[JsonDict], list[JsonDict]] = models.JSONField(
        default=list, blank=True
    )
    timings: models.JSONField[dict[str, float], dict[str, float]] = models.JSONField(
        default=dict, blank=True, help_text="seconds by phase"
    )
    place: models.JSONField[JsonDict, JsonDict] = models.JSONField(
        default=dict, blank=True, help_text="where a later slice goes on"
    )
    ahead: models.JSONField[dict[str, float], dict[str, float]] = models.JSONField(
        default=dict,
        blank=True,
        help_text="seconds that our clock was ahead as creates were sent, by side",
    )
    error_code = models.CharField(max_length=40, blank=True)
    error_text = models.TextField(blank=True)
    cancel_requested = models.BooleanField(default=False)
    attempts = models.PositiveIntegerField(default=0)
    holder = models.CharField(
        max_length=200, blank=True, help_text="host, process and its start"
    )
    created_at = models.DateTimeField(auto_now_add=True, db_index=True)
    queued_at = models.DateTimeField(
        null=True, blank=True, help_text="when the task cluster was last told of it"
    )
    started_at = models.DateTimeField(null=True, blank=True)
    heartbeat_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        verbose_name = "run"
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(
                fields=["sync"],
                condition=models.Q(status="running"),
                name="one_running_run_per_sync",
            )
        ]
        indexes = [
            models.Index(fields=["sync", "id"], name="run_sync"),
            models.Index(fields=["app", "id"], name="run_app"),
        ]

    def __str__(self) -> str:
        return f"Run {self.pk}"

    @property
    def open(self) -> bool:
        return self.status in (Status.QUEUED, Status.RUNNING)

    @property
    def as_planned(self) -> bool:
        """Whether it writes a plan made before it began, and plans nothing itself."""
        return self.approved or self.plan_id is not None or self.undo_of_id is not None

    @property
    def plans_undo(self) -> bool:
        """Whether it plans, and then writes, what takes another run back."""
        return self.undo_of_id is not None and self.plan_id is None

    @property
    def duration_s(self) -> float:
        if self.started_at is None or self.finished_at is None:
            return 0.0
        return (self.finished_at - self.started_at).total_seconds()


class Change(models.Model):
    """One planned or done write.

    `before` and `after` are {field: canonical value} of the written side, `origin` the
    values on the other side that the decision was made from; for links they name the far
    record and its types. `trace` is the intent's own id and goes with a create.
    """

    # Neither with an index of its own: longer ones below begin with them.
    run = models.ForeignKey(
        SyncRun, on_delete=models.CASCADE, related_name="changes", db_index=False
    )
    sync = models.ForeignKey(
        ObjectSync, on_delete=models.CASCADE, related_name="+", db_index=False
    )
    link = models.ForeignKey(
        RecordLink,
        null=True,
        blank=True,
        on_delete=models.SET_NULL,
        related_name="changes",
    )
    other_link = models.ForeignKey(
        RecordLink,
        null=True,
        blank=True,
        on_delete=models.SET_NULL,
        related_name="+",
    )
    side = models.CharField(max_length=8)
    kind = models.CharField(max_length=8, choices=ChangeKind.choices)
    record = models.CharField(max_length=300, blank=True, help_text="what people see")
    other_record = models.CharField(max_length=300, blank=True)
    association_type = models.CharField(max_length=120, blank=True)
    mapping_key = models.CharField(max_length=420, blank=True)
    reason = models.TextField(blank=True)
    rule = models.CharField(max_length=60, blank=True)
    before: models.JSONField[JsonDict, JsonDict] = models.JSONField(
        default=dict, blank=True
    )
    after: models.JSONField[JsonDict, JsonDict] = models.JSONField(
        default=dict, blank=True
    )
    origin: models.JSONField[JsonDict, JsonDict] = models.JSONField(
        default=dict, blank=True
    )
    outcome = models.CharField(
        max_length=10, choices=ChangeOutcome.choices, default=ChangeOutcome.PLANNED
    )
    awaiting = models.CharField(
        max_length=10,
        choices=Awaiting.choices,
        blank=True,
        help_text="what a held change waits for",
    )
    blanks = models.PositiveSmallIntegerField(
        default=0, help_text="values that it would empty"
    )
    error_code = models.CharField(max_length=40, blank=True)
    error_text = models.TextField(blank=True)
    correlation_id = models.CharField(max_length=100, blank=True)
    answered: models.JSONField[JsonDict, JsonDict] = models.JSONField(
        default=dict,
        blank=True,
        help_text="what the system made of it, where that is not `after`",
    )
    undoes: models.JSONField[list[int], list[int]] = models.JSONField(
        default=list, blank=True, help_text="the changes that this one takes back"
    )
    undoable = models.BooleanField(default=True)
    undo_text = models.CharField(max_length=200, blank=True)
    trace = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    reserved_id = models.CharField(max_length=300, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    sent_at = models.DateTimeField(null=True, blank=True)
    done_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        verbose_name_plural = "sync log"
        ordering = ["id"]
        indexes = [
            models.Index(fields=["run", "id"], name="change_run"),
            models.Index(fields=["run", "outcome", "id"], name="change_run_outcome"),
            models.Index(fields=["sync", "id"], name="change_sync"),
            models.Index(
                fields=["error_code", "id"],
                condition=~models.Q(error_code=""),
                name="change_code",
            ),
            models.Index(
                fields=["id"], condition=models.Q(outcome="held"), name="change_held"
            ),
            models.Index(
                fields=["outcome", "id"],
                condition=UNUSUAL,
                name="change_unusual",
            ),
            models.Index(fields=["sync", "outcome"], name="change_sync_outcome"),
            models.Index(fields=["created_at"], name="change_created"),
            models.Index(
                fields=["sync", "awaiting", "id"],
                condition=models.Q(outcome="held"),
                name="change_awaiting",
            ),
            models.Index(
                fields=["link", "done_at"],
                condition=models.Q(kind="update", outcome="applied"),
                name="change_wrote",
            ),
        ]

    def __str__(self) -> str:
        where = "HubSpot" if self.side == Side.HUBSPOT else "the app"
        return f"{self.get_kind_display()} {self.record} in {where}"


class Approval(Change):
    """A held change as the one who decides about it sees it."""

    class Meta:
        proxy = True
        ordering = ["id"]


class LogEntry(models.Model):
    """One event of a run, for people."""

    run = models.ForeignKey(SyncRun, on_delete=models.CASCADE, related_name="entries")
    at = models.DateTimeField(auto_now_add=True)
    level = models.CharField(max_length=8, default="info")
    code = models.CharField(max_length=40, blank=True)
    text = models.TextField()

    class Meta:
        verbose_name_plural = "log entries"
        ordering = ["id"]
        indexes = [models.Index(fields=["at"], name="log_entry_at")]

    def __str__(self) -> str:
        return self.text
