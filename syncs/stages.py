"""The record stage: fields three-way, and creates."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from django.db.models import Count, QuerySet

from syncs.models import Change, RecordLink, SyncRun
from syncs.models.choices import Awaiting, ChangeKind, ChangeOutcome, RecordState
from syncs.run.archiving import Archiver
from syncs.run.gates import Question, Relation, Walk
from syncs.run.planning import RecordPlanner, show
from syncs.run.review import drop_orphans, fields_waiting
from syncs.run.scope import read_what_filters_need
from syncs.run.session import Session
from syncs.run.stage import Chunk, Ids, Inline, Undoing
from syncs.run.undoing import undo_records
from syncs.run.unknown import resolve_records
from syncs.run.writes import RecordWriter

FAILING = (RecordState.FAILING, RecordState.UNCERTAIN)
WORK = {
    ChangeKind.CREATE: "created",
    ChangeKind.UPDATE: "updated",
    ChangeKind.ARCHIVE: "archived",
}


class RecordStage:
    """Creates and updates records."""

    name = "records"

    def targets(self, sync_ids: Sequence[int]) -> Mapping[int, set[int]]:
        return {}

    def prepare(self, session: Session) -> None:
        """Nothing is asked about a record that went since; what fields there are, the
        session knows."""
        if session.run.pk:  # only a run tidies up
            drop_orphans(session.sync)

    def read(self, chunk: Chunk) -> None:
        """The record links hold what was read, but for what a filter is new to."""
        read_what_filters_need(chunk)

    def plan(self, chunk: Chunk) -> None:
        RecordPlanner(chunk).plan()

    def place(self) -> Mapping[str, Any]:
        return {}

    def swept(self, session: Session) -> None:
        """Nothing: a sweep is of links."""

    def inline(
        self, session: Session, creates: Sequence[Change]
    ) -> Mapping[int, Inline]:
        return {}

    def created(self, session: Session, creates: Sequence[Change]) -> None:
        """Nothing more: the writer has settled them."""

    def apply(self, session: Session) -> None:
        archiver = Archiver(session)
        archiver.restore()
        RecordWriter(session).apply()
        archiver.archive()

    def interrupted(self, session: Session) -> None:
        """Nothing: what is planned and not written stands in its rows."""

    def undo(self, undoing: Undoing) -> None:
        undo_records(undoing)

    def resolve(self, session: Session) -> None:
        resolve_records(session)

    def can_close(self, run: SyncRun, later: Collection[int]) -> bool:
        return False

    def closable(self, session: Session) -> Iterable[Sequence[int]]:
        return ()

    def absorbed(self, links: Mapping[int, int]) -> None:
        """Nothing: what hangs on a record link here moves with it."""

    def unknown(self, session: Session, names: Collection[str]) -> None:
        """Nothing: what a field held before hangs on no record link but its own."""

    def revived(self, link_ids: Sequence[int]) -> None:
        return None

    def released(self, link_id: int) -> None:
        """Nothing: the link row itself was untied."""

    def retry(self, sync_id: int) -> None:
        """Nothing: records have their own back-off."""

    def relations(self, sync_id: int) -> Sequence[Relation]:
        return ()

    def waits(self, relation: Relation, near: RecordLink, far_ids: Ids) -> str:
        return ""

    def explain(self, walk: Walk, question: Question) -> None:
        """Records are no links."""

    def work(self, session: Session) -> None:
        planned = (
            Change.objects.filter(run=session.run, outcome=ChangeOutcome.PLANNED)
            .filter(kind__in=list(WORK))
            .values_list("kind", "side")
            .annotate(count=Count("pk"))
            .order_by()
        )
        for kind, side, count in planned:
            session.tally.add(WORK[ChangeKind(kind)], side, count)

    def totals(self, session: Session) -> Mapping[str, Any]:
        links = RecordLink.objects.filter(sync=session.sync)
        states = dict(links.values_list("state").annotate(count=Count("pk")).order_by())
        paired = links.filter(
            hubspot_id__isnull=False,
            app_id__isnull=False,
            hubspot_gone_at__isnull=True,
            app_gone_at__isnull=True,
        )
        failing = [states.get(state, 0) for state in FAILING]
        if any(failing):
            _name_failing(session, links.filter(state__in=FAILING))
        waiting = _waiting(session)
        held_back = _held_back(session) if waiting["held"] else 0
        return {
            "matched": paired.count(),
            "in_sync": states.get(RecordState.IN_SYNC, 0) - held_back,
            "excluded": states.get(RecordState.EXCLUDED, 0),
            "failing": sum(failing),
            "waiting": states.get(RecordState.WAITING, 0),
            **waiting,
        }


def _name_failing(session: Session, failing: QuerySet[RecordLink]) -> None:
    """Say what fails how often, with one record of each."""
    by_code = failing.values_list("error_code").annotate(Count("pk")).order_by()
    for code, count in by_code:
        link = failing.filter(error_code=code).order_by("pk")[0]
        session.tally.error(code, f"{show(link)}: {link.error_text}", count=count)


def _held_back(session: Session) -> int:
    """Records that were in sync and whose change a limit holds."""
    held = Change.objects.filter(
        sync=session.sync,
        outcome=ChangeOutcome.HELD,
        awaiting=Awaiting.LIMITS,
        kind__in=(ChangeKind.UPDATE, ChangeKind.ARCHIVE),
        link__state=RecordState.IN_SYNC,
    )
    return held.order_by().values("link").distinct().count()


def _waiting(session: Session) -> dict[str, Any]:
    """What of a sync waits for a person."""
    held = Change.objects.filter(sync=session.sync, outcome=ChangeOutcome.HELD)
    counts = dict(held.values_list("awaiting").annotate(Count("pk")).order_by())
    asks = Awaiting.CONFLICTS in counts or session.run.dry_run
    conflicts = fields_waiting(session) if asks else 0
    return {
        "awaiting": {
            "deletes": counts.get(Awaiting.DELETES, 0),
            "conflicts": conflicts,
        },
        "held": counts.get(Awaiting.LIMITS, 0),
    }
