"""Forget the links of a mapping that cannot work: they are not taken for removed."""

from __future__ import annotations

from associations.models import AssociationMapping
from syncs.run.idset import pages


def forget_links(row: AssociationMapping) -> None:
    """Drop what is known of a mapping's links, some at a time; a kill leaves the rest to
    the next run."""
    for some in pages(row.links.all(), "pk"):
        row.links.filter(pk__in=[pk for (pk,) in some]).delete()
    if row.proven_at or row.sweep:
        row.proven_at, row.sweep = None, {}
        row.save(update_fields=["proven_at", "sweep"])
