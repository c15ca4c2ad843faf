"""Links that were skipped while their far record was out of scope."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from django.db.models import Exists, OuterRef, QuerySet

from associations.models import AssociationLink, LinkState
from associations.run.mappings import Pair
from syncs.models import RecordLink
from syncs.models.choices import RecordState
from syncs.run.scope import scope_elsewhere
from syncs.run.session import Session

FARS_AT_ONCE = 1000


def in_scope_again(
    session: Session, pairs: Sequence[Pair]
) -> Iterator[QuerySet[AssociationLink]]:
    """The skipped links whose far record is inside by now, some far records at a time.

    What is outside still says so by its state; few others are left to be judged.
    """
    for pair in pairs:
        # With a code, it waits for something else than its far record's scope.
        rows = AssociationLink.objects.filter(
            mapping__in=[m.row.pk for m in pair.mappings],
            state=LinkState.SKIPPED,
            code="",
        )
        left = rows.exclude(other__state=RecordState.EXCLUDED).order_by("other_id")
        last = 0
        while True:
            ids = left.filter(other_id__gt=last).values_list("other_id", flat=True)
            some = list(ids.distinct()[:FARS_AT_ONCE])
            if not some:
                break
            last = some[-1] or 0
            scope = scope_elsewhere(session, pair.to_sync)
            fars = RecordLink.objects.filter(pk__in=some).defer("baseline")
            inside = [far.pk for far in fars if scope.inside(far)]
            if inside:
                yield rows.filter(other__in=inside)


def count_skipped(rows: QuerySet[AssociationLink]) -> int:
    """How many links are skipped, but for those that both sides had: they rest."""
    stands = rows.filter(
        mapping=OuterRef("mapping"),
        link=OuterRef("link"),
        other=OuterRef("other"),
        state=LinkState.IN_SYNC,
    )
    return rows.filter(~Exists(stands), state=LinkState.SKIPPED).count()
