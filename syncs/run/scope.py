"""Filters at work: which records of a sync are in scope, and what is outside.

A record outside still pairs and is read. It is not written, not created on the other side
and nothing of it is deleted; its links stay as they are until it is inside again.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from zoneinfo import ZoneInfo

from connections import schemas
from connections.catalogue import Code
from connections.records import Field, ObjectType, Side, ValueType
from syncs.engine.filters import Condition, Judgement, condition, judge
from syncs.engine.values import ValueProblem
from syncs.models import ObjectSync, RecordLink, SyncFilter
from syncs.models.choices import RecordState
from syncs.run.idset import update_in_pieces
from syncs.run.pull import reread
from syncs.run.session import PROBLEMS, Session, now
from syncs.run.stage import Chunk, Note

INSIDE = Judgement(True)
Unreadable = dict[str, tuple[str, str]]


class Scope:
    """The filters of one sync, ready to judge its records with."""

    def __init__(
        self,
        sync: ObjectSync,
        filters: Iterable[SyncFilter],
        objects: Mapping[Side, ObjectType],
    ) -> None:
        self._conditions: dict[Side, list[Condition]] = {side: [] for side in Side}
        # Fields that nothing can be said about, whatever a record holds.
        self._lost: dict[Side, Unreadable] = {side: {} for side in Side}
        zone = ZoneInfo(sync.timezone or "UTC")
        for row in filters:
            side = Side(row.side)
            found = objects[side].field(row.field)
            try:
                if found is None:
                    raise ValueProblem(
                        Code.FIELD_MISSING, f"{row.field} does not exist any more."
                    )
                one = condition(found, row.operator, row.value, zone)
            except ValueProblem as exc:
                text = f"The filter on {row.field} cannot be judged: {exc.message}"
                self._lost[side][row.field] = (exc.code, text)
                blank = found or Field(row.field, ValueType.TEXT)
                one = Condition(blank, "known", (), zone)
            self._conditions[side].append(one)

    def __bool__(self) -> bool:
        return any(self._conditions.values())

    def names(self, side: Side) -> set[str]:
        """The fields whose values it needs."""
        asked = {one.field.name for one in self._conditions[side]}
        return asked - self._lost[side].keys()

    def judge(self, link: RecordLink, at: datetime | None = None) -> Judgement:
        """Where a record stands by what was last read of both its sides.

        What a side that is gone held last counts only where the record was outside
        already: an archived row is often outside for the very reason that it is archived.
        """
        if not self:
            return INSIDE
        moment = at or now()
        doubt: Judgement | None = None
        turns: list[datetime] = []
        for side in Side:
            if link.id_on(side) is None or not self._conditions[side]:
                continue
            gone = link.gone_on(side) is not None
            if gone and link.state != RecordState.EXCLUDED:
                continue
            values = link.values_on(side)
            found = judge(
                self._conditions[side], values, self._unreadable(side, values), moment
            )
            if found.turns_at is not None:
                turns.append(found.turns_at)
            if found.inside is False:
                text = f"Outside of the filters on {side}: {found.text}"
                return Judgement(
                    False, found.failed, "", text, min(turns, default=None)
                )
            if found.inside is None and not gone:
                doubt = doubt or found
        until = min(turns, default=None)
        if doubt is not None:
            return Judgement(None, None, doubt.code, doubt.text, until)
        return Judgement(True, turns_at=until)

    def inside(self, link: RecordLink) -> bool:
        """Whether a record is surely in scope."""
        return self.judge(link).inside is True

    def unread(self, side: Side, link: RecordLink) -> set[str]:
        """The fields that were not looked at when the record was last read."""
        values = link.values_on(side)
        return self.names(side) - values.keys() - (values.get(PROBLEMS) or {}).keys()

    def _unreadable(self, side: Side, values: Mapping[str, object]) -> Unreadable:
        found = dict(self._lost[side])
        problems = values.get(PROBLEMS) or {}
        assert isinstance(problems, Mapping)
        for name in self.names(side):
            if name in problems:
                code, text = problems[name]
                found[name] = (code, text)
            elif name not in values:
                text = f"{name} could not be read, so that the filter cannot decide."
                found[name] = (Code.FIELD_MISSING, text)
        return found


def scope_of(session: Session) -> Scope:
    """The filters of the session's sync, by the schema as it is known now."""
    if session.scope is None:
        session.scope = Scope(session.sync, session.filters, session.objects)
    return session.scope


def scope_elsewhere(session: Session, sync: ObjectSync) -> Scope:
    """The filters of a sync that links point to, by the schema as last discovered.

    Raises: SchemaError.
    """
    if sync.pk not in session.scopes:
        session.scopes[sync.pk] = _load(sync)
    return session.scopes[sync.pk]


def _load(sync: ObjectSync) -> Scope:
    rows = list(sync.filters.all())
    if not rows:
        return Scope(sync, (), {})
    objects = {
        Side.HUBSPOT: schemas.load_object(sync.app.hubspot, sync.hubspot_object),
        Side.APP: schemas.load_object(sync.app, sync.app_object),
    }
    return Scope(sync, rows, objects)


def wake(session: Session) -> None:
    """Look again at what time alone moves into or out of a relative date."""
    due = RecordLink.objects.filter(
        sync=session.sync, scope_due_at__lte=now(), dirty=False
    )
    update_in_pieces(due, dirty=True)


def read_what_filters_need(chunk: Chunk) -> None:
    """Read records by id whose filter fields were never looked at."""
    session, scope = chunk.session, scope_of(chunk.session)
    if not scope:
        return
    again: set[int] = set()
    for side in Side:
        links = [
            link
            for link in chunk.links
            if link.pk in chunk.due
            and link.id_on(side) is not None
            and link.gone_on(side) is None
            and scope.unread(side, link)
        ]
        size = session.connector(side).capabilities.fetch_batch
        for start in range(0, len(links), size):
            reread(session, side, links[start : start + size])
        again |= {link.pk for link in links}
    fresh = RecordLink.objects.in_bulk(list(again))
    chunk.links = [fresh.get(link.pk, link) for link in chunk.links]


def leave_out(chunk: Chunk, link: RecordLink) -> bool:
    """Note a record that is outside, or that cannot be judged; True if it is left alone."""
    found = scope_of(chunk.session).judge(link)
    link.scope_due_at = found.turns_at
    if found.inside is True:
        return False
    if found.inside is False:
        name = found.failed.field.name if found.failed else ""
        chunk.note(link, Note(RecordState.EXCLUDED, "", found.text, name))
    else:
        chunk.note(link, Note(RecordState.FAILING, found.code, found.text))
    return True


def left_by_write(session: Session, link: RecordLink) -> bool:
    """Whether what a side answered to a write puts the record out of scope."""
    found = scope_of(session).judge(link)
    link.scope_due_at = found.turns_at
    return found.inside is not True


def still_in_scope(session: Session, link: RecordLink) -> bool:
    """Whether a planned write may go; what a person takes back goes in any case."""
    return session.run.undo_of_id is not None or scope_of(session).inside(link)


def only_filtered(session: Session, side: Side) -> set[str]:
    """The fields that nothing but a filter looks at: a change there plans no write."""
    own = {mapped.name_on(side) for mapped in session.fields}
    own |= {str(getattr(part, side)) for key in session.keys for part in key}
    return scope_of(session).names(side) - own
