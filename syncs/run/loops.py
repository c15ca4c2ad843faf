"""Stop a field whose value goes round between two values that we wrote (LOOP).

What was written lately is looked at only for records that this run would write, and only
where a record was written at least twice in the time: a query a chunk, and two more where
there are such.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from functools import cached_property

from django.db.models import Count, F, Q, QuerySet

from connections.catalogue import Code
from connections.records import Canon, Side
from syncs.engine.fields import Decision
from syncs.engine.loops import Writer, Wrote, fighters
from syncs.models import Change, ObjectSync, RecordLink
from syncs.models.choices import ChangeKind, ChangeOutcome
from syncs.run.session import RESYNCED, MappedField, Session, now
from syncs.run.stage import Chunk

LOOKED_BACK = timedelta(days=1)
ROWS_AT_ONCE = 2000
UNTIL = "The field stops until a day has passed, the set-up changes, or Resync."

# By link id and side: {field: writes of it}
History = Mapping[tuple[int, str], Mapping[str, list[Wrote]]]


class LoopGuard:
    """What was written lately to the records of one chunk, by us and by other syncs."""

    def __init__(self, chunk: Chunk) -> None:
        self.chunk, self.session = chunk, chunk.session
        self.since = now() - LOOKED_BACK

    def check(
        self, link: RecordLink, mapped: MappedField, decision: Decision
    ) -> tuple[str, str, str] | None:
        """Why a planned write of a field would only go on with a loop."""
        side = decision.side
        if decision.verdict != "write" or side is None:
            return None
        if link.pk not in self._suspects:
            return None
        held = link.values_on(side.other).get(mapped.name_on(side.other))
        values = {side: decision.value, side.other: held}
        for seen in Side:
            planned = Wrote(now(), (self.session.sync.pk, side), values[seen])
            history = self._writes(link, seen, mapped.name_on(seen))
            found = fighters(history, planned)
            if found:
                shown = [w.value for w in history if w.value != values[seen]]
                text = self._text(mapped.name_on(seen), found, values[seen], shown)
                return Code.LOOP, text, mapped.rule.hubspot.name
        return None

    def _writes(self, link: RecordLink, side: Side, name: str) -> list[Wrote]:
        since = _resynced(link) or self.since
        rows = self._history.get((link.pk, side), {}).get(name, [])
        return [wrote for wrote in rows if wrote.at > since]

    def _text(
        self, name: str, found: Iterable[Writer], value: Canon, others: list[Canon]
    ) -> str:
        other = others[-1] if others else None
        what = f"{name} goes back and forth between {value!r} and {other!r}: "
        ids = sorted({sync_id for sync_id, _ in found})
        if ids == [self.session.sync.pk]:
            app = self.session.sync.app.name
            return (
                f"{what}this sync wrote each of them to the side that had the other. A "
                f"workflow in HubSpot, or a trigger or a person in {app}, puts a value "
                f"back each time. {UNTIL}"
            )
        syncs = ObjectSync.objects.filter(pk__in=ids).select_related("app")
        names = " and ".join(str(sync) for sync in syncs.order_by("pk"))
        return f"{what}{names} overwrite each other's value. {UNTIL}"

    # What was written -------------------------------------------------------------------

    def _lately(self, links: Iterable[int]) -> QuerySet[Change]:
        """Writes to some records; those under an earlier set-up count no more."""
        return Change.objects.filter(
            link__in=list(links),
            kind=ChangeKind.UPDATE,
            outcome=ChangeOutcome.APPLIED,
            done_at__gt=self.since,
            run__revision=F("sync__revision"),
            run__undo_of=None,  # a person asked
        ).order_by()

    @cached_property
    def _suspects(self) -> dict[int, RecordLink]:
        """The chunk's records that this sync wrote more than once lately."""
        due = {x.pk: x for x in self.chunk.links if x.pk in self.chunk.due and x.paired}
        twice = self._lately(due).values("link").annotate(n=Count("pk")).filter(n__gt=1)
        return {i: due[i] for i in twice.values_list("link", flat=True)}

    @cached_property
    def _history(self) -> History:
        found: dict[tuple[int, str], dict[str, list[Wrote]]] = {}
        mine = self._lately(self._suspects).values_list(
            "link", "sync", "side", "done_at", "after", "origin"
        )
        for link_id, sync_id, side, at, after, origin in mine.iterator(ROWS_AT_ONCE):
            writer = (sync_id, side)
            _add(found, (link_id, side), writer, at, after)
            # The same value as the other side had it.
            _add(found, (link_id, Side(side).other), writer, at, origin)
        for side in Side:
            self._add_rivals(found, side)
        return found

    def _add_rivals(
        self, found: dict[tuple[int, str], dict[str, list[Wrote]]], side: Side
    ) -> None:
        """What other syncs wrote to the same records of a side."""
        syncs = rivals(self.session, side)
        mine = {x.id_on(side): x.pk for x in self._suspects.values()}
        if not syncs or not mine:
            return
        theirs = dict(
            RecordLink.objects.filter(
                sync__in=syncs, **{f"{side}_id__in": list(mine)}
            ).values_list("pk", f"{side}_id")
        )
        rows = self._lately(theirs).filter(side=side)
        for link_id, sync_id, at, after in rows.values_list(
            "link", "sync", "done_at", "after"
        ).iterator(ROWS_AT_ONCE):
            _add(found, (mine[theirs[link_id]], side), (sync_id, side), at, after)


def _add(
    found: dict[tuple[int, str], dict[str, list[Wrote]]],
    at: tuple[int, str],
    writer: Writer,
    moment: datetime | None,
    values: Mapping[str, Canon],
) -> None:
    if moment is None:
        return
    fields = found.setdefault(at, {})
    for name, value in values.items():
        fields.setdefault(name, []).append(Wrote(moment, writer, value))


def _resynced(link: RecordLink) -> datetime | None:
    text = link.stage_state.get(RESYNCED)
    return datetime.fromisoformat(text) if isinstance(text, str) else None


def rivals(session: Session, side: Side) -> list[int]:
    """Other syncs of the same object, of the same account or of the same app."""
    mine, obj = session.sync, session.object_on(side)
    if side is Side.HUBSPOT:
        same = Q(app__hubspot=mine.app.hubspot_id)
        named = {obj.id, obj.name, mine.hubspot_object}
    else:
        same, named = Q(app=mine.app_id), {obj.id, obj.name, mine.app_object}
    others = ObjectSync.objects.filter(
        same, enabled=True, archived_at=None, **{f"{side}_object__in": named}
    )
    return list(others.exclude(pk=mine.pk).values_list("pk", flat=True))
