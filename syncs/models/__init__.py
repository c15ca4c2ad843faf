"""What records are kept in step, and what was done about them."""

from __future__ import annotations

from syncs.models.drafts import SyncDraft
from syncs.models.records import RecordKey, RecordLink
from syncs.models.runs import Approval, Change, LogEntry, SyncRun
from syncs.models.setup import FieldMapping, MatchKey, ObjectSync, SyncFilter

__all__ = [
    "Approval",
    "Change",
    "FieldMapping",
    "LogEntry",
    "MatchKey",
    "ObjectSync",
    "RecordKey",
    "RecordLink",
    "SyncDraft",
    "SyncFilter",
    "SyncRun",
]
