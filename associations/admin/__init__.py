"""The admin of associations: mappings beside a sync's fields, links, types."""

from __future__ import annotations

from associations.admin.apps import LinkedAppAdmin
from associations.admin.links import AssociationLinkAdmin, AssociationTypeAdmin
from associations.admin.records import LinkedRecordAdmin
from associations.admin.syncs import MappedSyncAdmin

__all__ = [
    "AssociationLinkAdmin",
    "AssociationTypeAdmin",
    "LinkedAppAdmin",
    "LinkedRecordAdmin",
    "MappedSyncAdmin",
]
