"""One record on its way through the gates: our rows, and what its systems say now.

Nothing is written, neither there nor here: the record link is brought up to date in
memory, and planned as a preview would be.
"""

from __future__ import annotations

from contextlib import suppress
from datetime import datetime

from django.utils.timesince import timesince

from connections.catalogue import Code
from connections.connectors.base import ConnectorError, RejectedError, SchemaError
from connections.records import Record, Side
from syncs.engine.matching import Key
from syncs.models import Change, ObjectSync, RecordKey, RecordLink, SyncRun
from syncs.models.choices import (
    Awaiting,
    ChangeOutcome,
    Matching,
    RecordState,
    Status,
)
from syncs.run import identity
from syncs.run.gates import Shut, Walk, sentence
from syncs.run.naming import show
from syncs.run.planning import RecordPlanner
from syncs.run.scope import scope_of
from syncs.run.session import Session, now
from syncs.run.stage import Chunk, Note
from syncs.run.store import keys_of, put

NAMED = 5  # other records, or fields, in a text


class BadId(Exception):
    """What was given as an id is none there."""


class End:
    """One record that is asked about; the gates are gone through in their order.

    `link` is None until it is read; `unreached` are the sides that could not be asked.
    """

    def __init__(self, session: Session, side: Side, record_id: str) -> None:
        self.session, self.side, self.record_id = session, side, record_id
        self.sync: ObjectSync = session.sync
        self.names = {Side.HUBSPOT: "HubSpot", Side.APP: self.sync.app.name}
        self.found: RecordLink | None = None
        self.more: dict[Side, Record] = {}
        self.unreached: dict[Side, ConnectorError] = {}
        self.stored_state = RecordState.NEW
        self._chunk: Chunk | None = None

    @property
    def link(self) -> RecordLink:
        assert self.found is not None, "it is read first"
        return self.found

    def name(self) -> str:
        """The record, as texts name it."""
        if self.found is None:
            return f"{self._object(self.side)} {self.record_id}"
        link = self.found
        ids = ", ".join(
            f"{self._object(side)} {link.id_on(side)}"
            for side in Side
            if link.id_on(side) is not None
        )
        shown = show(link)
        return ids if shown in (link.hubspot_id, link.app_id) else f"{shown} ({ids})"

    def _object(self, side: Side) -> str:
        return f"{self.names[side]} {self.session.object_on(side).name}"

    # Synced, enabled --------------------------------------------------------------------

    def synced(self) -> str:
        both = f"HubSpot's {self.sync.hubspot_object} and {self.sync.app_object}"
        return f"{both} in {self.sync.app.name} are synced by {self.sync.name}."

    def enabled(self) -> str:
        sync = self.sync
        if not sync.enabled:
            raise Shut(
                Code.TARGET_NOT_SYNCED,
                f"The sync {sync.name} is off.",
                f"Turn {sync.name} on: enabled: true in the set-up, or on its page.",
            )
        paused = "sync" if sync.paused else "app" if sync.app.paused else ""
        if paused:
            name = sync.name if paused == "sync" else sync.app.name
            raise Shut(
                Code.TARGET_NOT_SYNCED,
                f"The {paused} {name} is paused: its schedule starts no run.",
                f"Press Resume on the page of {name}, or run the sync by hand.",
            )
        often = f"every {_span(sync.every_s)}" if sync.every_s else "by hand only"
        return f"{sync.name} is on, and runs {often}."

    # Read -------------------------------------------------------------------------------

    def read(self) -> str:
        """Read the record by id from both sides; what cannot be reached is said."""
        column = f"{self.side}_id"
        rows = RecordLink.objects.filter(sync=self.sync, **{column: self.record_id})
        self.found = rows.first()
        if self.found is None:
            raise self._never_read()
        self.stored_state = RecordState(self.link.state)
        into = self.link.stage_state.get("merged_into")
        if into or self.link.error_code == Code.RECORD_MERGED:
            raise Shut(Code.RECORD_MERGED, self.link.error_text)
        for side in Side:
            self._look(side)
        if self.link.lost:
            raise self._gone(next(s for s in Side if self.link.lost_on(s)))
        return f"{self.name()}: {self._when()}."

    def _look(self, side: Side) -> None:
        record_id = self.link.id_on(side)
        if record_id is None:
            return
        session = self.session
        try:
            fetched = session.connector(side).fetch(
                session.object_on(side), [record_id], session.want(side)
            )
        except ConnectorError as exc:
            self.unreached[side] = exc
            return
        record = fetched.records.get(record_id)
        if record_id in fetched.gone:
            raise self._gone(side)
        if record is None:
            text = f"{self.names[side]} said nothing about {record_id}."
            self.unreached[side] = ConnectorError(text, code=Code.UNAVAILABLE)
        elif record.id != record_id:
            raise self._merged(side, record.id)
        else:
            session.seen(side, [record])
            put(session, side, self.link, record)
            self.more[side] = record

    def _never_read(self) -> Shut:
        """Why there is no row of the record: its system is asked for it by id."""
        session, side = self.session, self.side
        what, there = self.name(), self.names[side]
        connector, obj = session.connector(side), session.object_on(side)
        if connector.capabilities.numeric_ids and not self.record_id.isdecimal():
            raise BadId(f"{self.record_id!r} is no id: {there}'s are whole numbers.")
        try:
            fetched = connector.fetch(obj, [self.record_id], session.want(side))
        except ConnectorError as exc:
            if isinstance(exc, (RejectedError, SchemaError)) and self._stands(side):
                text = f"{self.record_id!r} is no id of {self._object(side)}."
                raise BadId(text) from exc
            text = f"No run has read {what}, and {there} cannot be asked: {exc.message}"
            return Shut(exc.code, text, exc.remedy)
        record = fetched.records.get(self.record_id)
        if record is None and self.record_id in fetched.gone:
            return Shut(
                Code.RECORD_GONE,
                f"{there} has no {session.object_on(side).name} {self.record_id}: it was "
                "deleted or archived, or the id is another object's.",
                "Look for the right id, or restore the record there.",
            )
        if record is None:
            text = f"No run has read {what}, and {there} shows nothing of it."
            return Shut(Code.UNAVAILABLE, text)
        if record.id != self.record_id:
            return self._merged(side, record.id)
        return Shut(
            Code.NOT_READ,
            f"{what} exists, and no run of {self.sync.name} has read it yet.",
        )

    def _stands(self, side: Side) -> bool:
        """Whether a side's object is there as it was, so that an id was refused."""
        obj = self.session.object_on(side)
        with suppress(ConnectorError):
            return self.session.connector(side).describe(obj) == obj
        return False

    def _merged(self, side: Side, into: str) -> Shut:
        return Shut(
            Code.RECORD_MERGED,
            f"{self.names[side]} merged {self.record_id} into {into}.",
            f"Ask about {into}: what was paired with the one goes with the other in the "
            "next run.",
        )

    def _gone(self, side: Side) -> Shut:
        link = self.link
        at = link.gone_on(side)
        when = f" (noticed {_ago(at)})" if at else ", which the next run concludes"
        text = f"{self._object(side)} {link.id_on(side)} was deleted or archived{when}."
        return Shut(Code.RECORD_GONE, f"{text} {link.error_text}".strip())

    def _when(self) -> str:
        """When both sides were read; those that cannot be reached say why."""
        words = []
        for side in Side:
            at = getattr(self.link, f"{side}_read_at")
            if self.link.id_on(side) is None:
                continue
            exc = self.unreached.get(side)
            if exc is None:
                words.append(f"{self.names[side]} was read now")
            else:
                words.append(
                    f"{self.names[side]} cannot be asked now ({exc.code}: {exc.message}), "
                    f"so it stands as it was read {_ago(at)}"
                )
        return ", ".join(words)

    # In scope, matched ------------------------------------------------------------------

    def in_scope(self) -> str:
        scope = scope_of(self.session)
        found = scope.judge(self.link)
        if found.inside is False:
            text = f"{self.name()} is excluded. {found.text}"
            raise Shut(Code.EXCLUDED, text)
        if found.inside is None:
            raise Shut(found.code, f"{self.name()}: {found.text}")
        if not scope:
            return f"{self.sync.name} has no filters."
        return f"{self.name()} is inside of the filters of {self.sync.name}."

    def matched(self) -> str:
        """Whether it is clear what the record is paired with.

        One that is alone passes where nothing stands against a counterpart's creation.
        """
        link = self.link
        if identity.marked(link):
            text = identity.held_text(link)
            text = text or "Its keys all changed: the next run decides about that."
            raise Shut(Code.ID_REUSED, f"{self.name()}: {text}")
        if link.paired:
            by = self._agreeing()
            return f"{self.name()} are a pair{by}."
        if link.state == RecordState.UNCERTAIN:
            raise Shut(Code.UNCERTAIN, f"{self.name()}: {link.error_text}")
        if link.keep_apart:
            raise Shut(
                Code.TARGET_NOT_MATCHED,
                f"{self.name()} is kept apart: it was unpaired by hand.",
                "Press Pair by hand or Match again on the record's page.",
            )
        return self._alone()

    def _alone(self) -> str:
        side, session = self._only(), self.session
        there = self.names[side.other]
        if not session.keys:
            how = Matching(self.sync.matching).label
            return f"{self.name()} has no counterpart in {there} ({how})."
        keys = self._keys(side)
        if not keys:
            held = ", ".join(
                f"{part.name_on(side)} ({part.normalize}): "
                f"{self.link.values_on(side).get(part.name_on(side)) or 'blank'}"
                for key in session.keys
                for part in key
            )
            text = f"{self.name()} has no value to match by: {held}."
            raise Shut(Code.KEY_MISSING, text)
        shown = self._shown(keys, side)
        if self.link.error_code == Code.MATCH_AMBIGUOUS:
            text = f"{self.name()}, {shown}: {self.link.error_text}"
            raise Shut(Code.MATCH_AMBIGUOUS, text)
        others = self._holders(keys)
        same = [x for x in others if x.id_on(side.other) is not None]
        taken = [x for x in same if x.paired and not x.lost]
        if taken:
            text = (
                f"{self.name()}, {shown}, matches {there} {taken[0].app_id}, which is "
                f"paired with {taken[0].id_on(side)} already."
            )
            raise Shut(Code.MATCH_AMBIGUOUS, text)
        if same:
            ids = ", ".join(f"{there} {x.id_on(side.other)}" for x in same[:NAMED])
            return f"{self.name()}, {shown}, matches {ids}: the next run decides."
        return f"{self.name()}, {shown}: no record in {there} holds that."

    def _only(self) -> Side:
        """The side that a record without a counterpart is on."""
        return Side.HUBSPOT if self.link.hubspot_id is not None else Side.APP

    def _keys(self, side: Side) -> set[tuple[int, str]]:
        record = self.more.get(side)
        values = self.link.values_on(side)
        found = keys_of(self.session, side, values, record.keys if record else {})
        if record is None:  # as it was read: its further addresses count, too
            rows = RecordKey.objects.filter(link=self.link, side=side)
            found |= set(rows.values_list("rank", "value"))
        return found

    def _agreeing(self) -> str:
        if not self.session.keys:
            return ""
        both = self._keys(Side.HUBSPOT) & self._keys(Side.APP)
        if not both:
            return ", by their ids: their match keys differ now"
        return f", with {self._shown(both, Side.HUBSPOT)}"

    def _shown(self, keys: set[tuple[int, str]], side: Side) -> str:
        """Key values after normalising, as people read them."""
        words = [
            f"{_key_name(self.session.keys[rank], side)} = {value}"
            for rank, value in sorted(keys)[:NAMED]
        ]
        return f"match key {'; '.join(words)}"

    def _holders(self, keys: set[tuple[int, str]]) -> list[RecordLink]:
        """Other records with one of the key values, by the first key that has any."""
        for rank in sorted({rank for rank, _ in keys}):
            rows = RecordKey.objects.filter(
                sync=self.sync,
                rank=rank,
                side__in=list(Side),
                value__in=[value for at, value in keys if at == rank],
            ).exclude(link=self.link)
            ids = rows.values_list("link", flat=True)[: NAMED + 1]
            found = list(RecordLink.objects.filter(pk__in=list(ids)).order_by("pk"))
            if found:
                return found
        return []

    # What the record itself goes through, from `mapped` on -------------------------------

    def rest(self, walk: Walk) -> None:
        """Go through the gates after `matched`, and say what the next run would do.

        Raises: Shut.
        """
        chunk = self._planned()
        app = self.sync.app.name
        walk.next_run += [sentence(change, app) for change in chunk.changes]
        walk.through("mapped", self._mapped)
        walk.through("direction", self._direction)
        walk.through("type", lambda: "A record by itself has no association type.")
        walk.through("limits", self._limits)
        walk.through("last_error", self._last_error)
        if not self.link.paired and not walk.next_run:
            walk.next_run.append("The next run pairs it, or creates its counterpart.")

    def _planned(self) -> Chunk:
        if self._chunk is None:
            self._chunk = Chunk(self.session, [self.link], {self.link.pk})
            RecordPlanner(self._chunk).plan()
        return self._chunk

    def _mapped(self) -> str:
        fields = self.session.fields
        if not fields:
            return f"{self.sync.name} only matches: no field is mapped."
        for mapped in fields:
            for side in Side:
                if self.session.object_on(side).field(mapped.name_on(side)) is None:
                    raise Shut(
                        Code.FIELD_MISSING,
                        f"{self._object(side)} has no field {mapped.name_on(side)}, "
                        "which is mapped.",
                    )
        names = ", ".join(m.name_on(self.side) for m in fields[:NAMED])
        more = f" and {len(fields) - NAMED} more" if len(fields) > NAMED else ""
        return f"{len(fields)} fields are mapped: {names}{more}."

    def _direction(self) -> str:
        chunk = self._planned()
        if not self.link.paired:
            there = self._only().other
            if not self.sync.creates_on(there):
                raise Shut(
                    Code.DIRECTION_FORBIDS,
                    f"Nothing in {self.names[there]} matches {self.name()}, and "
                    f"{self.sync.name} creates no records there (direction "
                    f"{self.sync.direction}, creates {self.sync.creates}).",
                    "Widen direction or creates in the set-up if it should be created.",
                )
            return f"{self.sync.name} may create records in {self.names[there]}."
        if chunk.asks:
            text = self._noted().text
            raise Shut(Code.CONFLICT, f"{self.name()}: {text}")
        differ = self._differing(chunk)
        said = f"{self.sync.name}: {self.sync.get_direction_display().lower()}."
        if differ:
            said += f" Left as they differ: {', '.join(differ[:NAMED])}."
        return said

    def _differing(self, chunk: Chunk) -> list[str]:
        """Mapped fields that differ, and that nothing is planned for."""
        written = {name for change in chunk.changes for name in change.after}
        found = []
        for mapped in self.session.fields:
            names = {side: mapped.name_on(side) for side in Side}
            now_ = [self.link.values_on(side).get(names[side]) for side in Side]
            if now_[0] != now_[1] and not written & set(names.values()):
                found.append(mapped.name_on(self.side))
        return found

    def _limits(self) -> str:
        rows = Change.objects.filter(link=self.link, outcome=ChangeOutcome.HELD)
        held = rows.filter(awaiting=Awaiting.LIMITS).select_related("run").first()
        if held is not None:
            raise Shut(
                Code.HELD_BY_LIMITS,
                f"{held.get_kind_display()} of {self.name()} in {self.names[Side(held.side)]}"
                f" waits for a person in run {held.run_id}: {why_held(held.run)}.",
                f"Look at it with approve {held.run_id} --list; approve or drop it.",
            )
        return "No limit holds it."

    def _noted(self) -> Note:
        return self._planned().notes.get(self.link.pk, Note(RecordState.NEW))

    def _last_error(self) -> str:
        link, note = self.link, self._noted()
        failing = (RecordState.FAILING, RecordState.WAITING)
        if self.stored_state in failing and link.error_code != Code.MATCH_AMBIGUOUS:
            tries = f" Tried {link.attempts} times" if link.attempts > 1 else ""
            again = (
                f", again {_ahead(link.retry_at)}" if link.retry_at and tries else ""
            )
            text = f"{self.name()}: {link.error_text}{tries}{again}"
            raise Shut(link.error_code, text.rstrip(".") + ".")
        if note.state in failing:
            raise Shut(note.code, f"{self.name()}: {note.text}")
        if self._planned().changes:
            run_failed(self.sync)
        return "Nothing was refused."


def run_failed(sync: ObjectSync) -> None:
    """What is due was not written because the last run could not go on.

    Raises: Shut if that is so.
    """
    runs = SyncRun.objects.filter(sync=sync, dry_run=False, finished_at__isnull=False)
    last = runs.order_by("-pk").first()
    if last is not None and last.status == Status.FAILED and last.error_code:
        text = f"Run {last.pk}, the last of {sync.name}, failed: {last.error_text}"
        raise Shut(last.error_code, text)


def why_held(run: SyncRun) -> str:
    """Which limits hold a run."""
    words = [
        f"{name} {found['count']} of at most {found['most']}"
        for name, found in run.held.items()
        if isinstance(found, dict) and {"count", "most"} <= found.keys()
    ]
    return ", ".join(words) or "it goes over a limit"


def _key_name(key: Key, side: Side) -> str:
    return " + ".join(f"{part.name_on(side)} ({part.normalize})" for part in key)


def _span(seconds: int) -> str:
    for unit, size in (("days", 86400), ("hours", 3600), ("minutes", 60)):
        if seconds % size == 0:
            return f"{seconds // size} {unit}"
    return f"{seconds} seconds"


def _ago(at: datetime | None) -> str:
    return f"{timesince(at, depth=1)} ago" if at else "at an unknown time"


def _ahead(at: datetime) -> str:
    return "in the next run" if at <= now() else f"at {at:%Y-%m-%d %H:%M} UTC"
