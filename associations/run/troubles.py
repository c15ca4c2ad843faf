"""Forget the links of a mapping that cannot work: they are not taken for removed."""

from __future__ import annotations

from django.db.models import QuerySet

from associations.models import AssociationLink, AssociationMapping, LinkState
from syncs.run.idset import pages


def forget_links(row: AssociationMapping) -> None:
    """Drop what is known of a mapping's links, some at a time; a kill leaves the rest to
    the next run."""
    _forget(row, row.links.all())


def rest_links(row: AssociationMapping) -> None:
    """Keep only what both sides had while a mapping's field is missing: should the very
    field come back, what changed meanwhile is told by that."""
    stands = (LinkState.IN_SYNC, LinkState.APART)
    _forget(row, row.links.exclude(state__in=stands))


def _forget(row: AssociationMapping, links: QuerySet[AssociationLink]) -> None:
    for some in pages(links, "pk"):
        row.links.filter(pk__in=[pk for (pk,) in some]).delete()
    if row.proven_at or row.sweep:
        row.proven_at, row.sweep = None, {}
        row.save(update_fields=["proven_at", "sweep"])
