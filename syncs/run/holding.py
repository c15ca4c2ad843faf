"""Hold a plan that goes over the sync's limits, and let a newer run take its place."""

from __future__ import annotations

from django.db import transaction
from django.db.models import Count, Q, QuerySet, Sum

from connections.catalogue import Code
from syncs.engine.limits import Breach, Work, breaches
from syncs.models import Change, RecordLink, SyncRun
from syncs.models.choices import Awaiting, ChangeKind, ChangeOutcome, Status
from syncs.run.session import Held, Session, now

VANISHED = "vanished"  # in SyncRun.held: records that seem to be gone all at once

# What was planned and came to nothing is no work.
COUNTED = (
    ChangeOutcome.PLANNED,
    ChangeOutcome.SENT,
    ChangeOutcome.APPLIED,
    ChangeOutcome.FAILED,
)


def note_pairs(session: Session) -> None:
    """Keep how many pairs stand before this run, unless it is the sync's first."""
    run = session.run
    if run.pairs_at_start is not None or not _ran_before(session):
        return
    run.pairs_at_start = RecordLink.objects.filter(
        sync=session.sync,
        hubspot_id__isnull=False,
        app_id__isnull=False,
        hubspot_gone_at__isnull=True,
        app_gone_at__isnull=True,
    ).count()
    run.save(update_fields=["pairs_at_start"])


def _ran_before(session: Session) -> bool:
    """Whether a whole run of this sync has written what there was to write."""
    return SyncRun.objects.filter(
        sync=session.sync,
        status__in=(Status.SUCCEEDED, Status.PARTIAL),
        dry_run=False,
        limit=None,
    ).exists()


def check_limits(session: Session) -> None:
    """Stop a run before it writes more than its sync allows.

    A preview only says so. What a person approved, or asked for, is not asked again.
    Raises: Held.
    """
    run = session.run
    if run.as_planned:
        return
    over = breaches(_work(run), session.sync.limits, run.pairs_at_start)
    if not over:
        return
    if run.dry_run:
        session.log(
            f"This plan would be held: it would {_words(over)}.",
            level="warning",
            code=Code.HELD_BY_LIMITS,
        )
        return
    written = Change.objects.filter(run=run, outcome=ChangeOutcome.APPLIED).exists()
    rest = "What was not written yet waits" if written else "It waits whole"
    raise Held(
        {b.name: {"count": b.count, "most": b.most} for b in over},
        f"The plan would {_words(over)}. {rest} for approval.",
    )


def _words(over: list[Breach]) -> str:
    return ", ".join(breach.text for breach in over)


def _work(run: SyncRun) -> Work:
    rows = (
        Change.objects.filter(run=run, outcome__in=COUNTED)
        .values_list("kind")
        .annotate(Count("pk"), Sum("blanks"))
        .order_by()
    )
    counts: dict[str, tuple[int, int]] = {
        kind: (count, blanks or 0) for kind, count, blanks in rows
    }

    def of(kind: ChangeKind) -> int:
        return counts.get(kind, (0, 0))[0]

    return Work(
        create=of(ChangeKind.CREATE),
        update=of(ChangeKind.UPDATE),
        archive=of(ChangeKind.ARCHIVE),
        unlink=of(ChangeKind.UNLINK),
        blank=sum(blanks for _, blanks in counts.values()),
    )


def hold(session: Session, held: Held) -> None:
    """Keep what was planned and not written, whole, until a person decides.

    The records stay due, so that a newer run plans them anew. So does what was approved
    in a run that finds many records vanished: once these are settled it is another plan,
    and both together would create each record twice.
    """
    run = session.run
    with transaction.atomic():
        session.lease.check()
        mine = Change.objects.filter(run=run, outcome=ChangeOutcome.PLANNED)
        RecordLink.objects.filter(
            sync=session.sync, pk__in=mine.values("link_id")
        ).update(dirty=True)
        if VANISHED in held.why:
            mine.update(
                outcome=ChangeOutcome.SKIPPED,
                error_text="Many records vanished at once: it is planned anew after that.",
                done_at=now(),
            )
        else:
            mine.update(
                outcome=ChangeOutcome.HELD,
                awaiting=Awaiting.LIMITS,
                error_code=Code.HELD_BY_LIMITS,
            )
        run.held = held.why
        run.save(update_fields=["held"])


def held_runs() -> QuerySet[SyncRun]:
    """Child runs that wait for a person, of what is set up."""
    return SyncRun.objects.filter(
        status=Status.HELD, sync__archived_at=None, sync__app__archived_at=None
    ).exclude(held={})


def supersede(session: Session) -> None:
    """Let this run's plan take the place of those that wait: it is made from newer data.

    The rows of the old plan go, since this one holds whatever of them is still due;
    a schedule of ten minutes would otherwise pile up the same plan all day. So do those
    of a run that was killed between holding its plan and its end: none can be approved.
    """
    run = session.run
    for old in held_runs().filter(sync=session.sync).exclude(pk=run.pk):
        with transaction.atomic():
            waiting_of(old).delete()
            old.held = {}
            old.save(update_fields=["held"])
            old.entries.create(text=f"Run {run.parent_id or run.pk} took its place.")
    Change.objects.filter(
        sync=session.sync, outcome=ChangeOutcome.HELD, awaiting=Awaiting.LIMITS
    ).exclude(run=run).delete()


def waiting_of(run: SyncRun) -> QuerySet[Change]:
    """A run's changes that its sync's limits hold."""
    return Change.objects.filter(
        Q(run=run), outcome=ChangeOutcome.HELD, awaiting=Awaiting.LIMITS
    )
