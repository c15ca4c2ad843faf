"""The stored choices: they read as they are typed in a set-up file."""

from __future__ import annotations

from django.db import models


class Direction(models.TextChoices):
    TWO_WAY = "two_way", "Data syncs between apps"
    TO_HUBSPOT = "to_hubspot", "Data syncs only to HubSpot"
    TO_APP = "to_app", "Data syncs only to the app"


class Conflict(models.TextChoices):
    HUBSPOT = "hubspot", "HubSpot wins"
    APP = "app", "The app wins"
    LATEST = "latest", "The latest change wins"
    REVIEW = "review", "A person decides"


class Deletes(models.TextChoices):
    """What the deletion of a record on one side means for the other."""

    IGNORE = "ignore", "Leave the other record as it is"
    ASK = "ask", "Ask before the other record is archived"
    PROPAGATE = "propagate", "Archive the other record, too"


class Creates(models.TextChoices):
    BOTH = "both", "On both sides"
    TO_HUBSPOT = "to_hubspot", "Only in HubSpot"
    TO_APP = "to_app", "Only in the app"
    NONE = "none", "None: update and link only"


class Matching(models.TextChoices):
    DEFAULT = "default", "Default settings"
    FIELDS = "fields", "Choose your fields"
    NONE = "none", "Do no matching"


class Normalize(models.TextChoices):
    EXACT = "exact", "exact"
    CASEFOLD = "casefold", "casefold"
    EMAIL = "email", "email"
    DOMAIN = "domain", "domain"
    PHONE = "phone", "phone"
    DIGITS = "digits", "digits"


class Status(models.TextChoices):
    """A run's state; the last five are how it can end."""

    QUEUED = "queued", "Queued"
    RUNNING = "running", "Running"
    SUCCEEDED = "succeeded", "Succeeded"
    PARTIAL = "partial", "Partial"
    HELD = "held", "Held"
    FAILED = "failed", "Failed"
    CANCELLED = "cancelled", "Cancelled"


# Such a run counted what stands at its end.
COUNTED_STATUSES = (Status.SUCCEEDED, Status.PARTIAL, Status.HELD)
OPEN_STATUSES = (Status.QUEUED, Status.RUNNING)
ENDED_STATUSES = tuple(status for status in Status if status not in OPEN_STATUSES)


class Trigger(models.TextChoices):
    COMMAND = "command", "Command line"
    ADMIN = "admin", "Admin"
    SCHEDULE = "schedule", "Schedule"


class RecordState(models.TextChoices):
    """Where a record stands after it was last planned."""

    NEW = "new", "Not looked at yet"
    IN_SYNC = "in_sync", "In sync"
    FAILING = "failing", "Failing"
    EXCLUDED = "excluded", "Excluded"
    WAITING = "waiting", "Waiting"
    UNCERTAIN = "uncertain", "Uncertain"
    GONE = "gone", "Gone on one side"
    UNMATCHED = "unmatched", "On one side only"


class ChangeKind(models.TextChoices):
    CREATE = "create", "Create"
    UPDATE = "update", "Update"
    ARCHIVE = "archive", "Archive"
    LINK = "link", "Link"
    UNLINK = "unlink", "Unlink"
    RELABEL = "relabel", "Relabel"


RECORD_KINDS = (ChangeKind.CREATE, ChangeKind.UPDATE, ChangeKind.ARCHIVE)


class Awaiting(models.TextChoices):
    """Why a held change waits for a person."""

    LIMITS = "limits", "Over a limit"
    DELETES = "deletes", "A deletion to confirm"
    CONFLICTS = "conflicts", "A conflict to decide"


class ChangeOutcome(models.TextChoices):
    PLANNED = "planned", "Planned"
    HELD = "held", "Held"
    SENT = "sent", "Sent, no answer yet"
    APPLIED = "applied", "Applied"
    FAILED = "failed", "Failed"
    SKIPPED = "skipped", "Skipped"
    DRIFTED = "drifted", "Drifted"
    DROPPED = "dropped", "Dropped"
    REVERTED = "reverted", "Reverted"


# What nearly every change passes; the others have an index of their own.
USUAL_OUTCOMES = (ChangeOutcome.PLANNED, ChangeOutcome.SENT, ChangeOutcome.APPLIED)
