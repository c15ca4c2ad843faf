"""The admin of syncs, runs, changes and records."""

from __future__ import annotations

from syncs.admin.approvals import ApprovalAdmin
from syncs.admin.apps import SyncedAppAdmin
from syncs.admin.changes import ChangeAdmin
from syncs.admin.records import RecordLinkAdmin
from syncs.admin.runs import SyncRunAdmin
from syncs.admin.syncs import ObjectSyncAdmin

__all__ = [
    "ApprovalAdmin",
    "ChangeAdmin",
    "ObjectSyncAdmin",
    "RecordLinkAdmin",
    "SyncRunAdmin",
    "SyncedAppAdmin",
]
