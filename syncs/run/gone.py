"""Decide what the deletion of one side of a pair means for the other.

It travels once, if the set-up says so and the direction lets values travel that way: as a
planned archive, or as one that waits for a person. What we archived ourselves never
travels back as a deletion.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from connections.catalogue import Code
from connections.records import Capabilities, Side
from syncs.models import Change, ObjectSync, RecordKey, RecordLink, SyncRun
from syncs.models.choices import (
    OPEN_STATUSES,
    Awaiting,
    ChangeKind,
    ChangeOutcome,
    Deletes,
    RecordState,
)
from syncs.run.naming import show
from syncs.run.session import PROBLEMS, Session, now
from syncs.run.stage import Chunk, Note
from syncs.run.tombstones import (
    BOTH,
    GONE,
    is_archived,
    keep,
    notes,
    ours,
    stays,
)

RESTORED = "restored"  # the rule of an update that takes our own archive back
FIELD, ARCHIVE, DELETE = "field", "archive", "delete"  # how a record goes
LOST = "lost"  # what we archived is not there to be taken back

NO_RESTORE = "HubSpot restores records in its recycling bin only, not by its API."
FOR_GOOD = "A record that is deleted for good does not come back."


@dataclass(frozen=True, slots=True)
class Way:
    """How a side's records are archived: what that writes, and if it can be undone."""

    how: str
    after: Mapping[str, Any] = field(default_factory=dict)
    undo_text: str = ""

    @property
    def columns(self) -> dict[str, Any]:
        """What a planned archive says of it."""
        return {
            "after": dict(self.after),
            "undoable": not self.undo_text,
            "undo_text": self.undo_text,
        }


def way_of(sync: ObjectSync, side: Side, able: Capabilities) -> Way | None:
    """How records of a side are archived: by the declared field, the system's own way,
    or, with a consent of its own, by deleting them; None where there is no way."""
    declared = sync.archive.get(side)
    if declared is not None:
        return Way(FIELD, {declared["field"]: declared["value"]})
    if able.archives:
        return Way(ARCHIVE, undo_text=NO_RESTORE)
    if sync.hard_delete and able.deletes:
        return Way(DELETE, undo_text=FOR_GOOD)
    return None


def deletions_travel(sync: ObjectSync, side: Side) -> bool:
    """Whether a side's records may be archived because their counterparts are gone."""
    return sync.deletes != Deletes.IGNORE and sync.allows(side)


def ways(session: Session) -> dict[Side, Way | None]:
    found: dict[Side, Way | None] = {}
    for side in Side:
        way = way_of(session.sync, side, session.connector(side).capabilities)
        missing = session.missing.get(side, set())
        found[side] = None if way is not None and way.after.keys() & missing else way
    return found


class GonePlanner:
    """Plans the records of one chunk that a side lost."""

    def __init__(self, chunk: Chunk) -> None:
        self.chunk, self.session = chunk, chunk.session
        self.sync = chunk.session.sync
        self.dry = chunk.session.run.dry_run
        self.ways = ways(chunk.session)
        self.names = {Side.HUBSPOT: "HubSpot", Side.APP: self.sync.app.name}
        self._waiting, self._approved = self._queue()
        self._contested = self._with_twins()

    def _queue(self) -> tuple[dict[int, Change], set[int]]:
        """The deletions of the chunk that wait for a person, and the links of those that
        were sent without an answer, or that a run with an approval is about to do."""
        waiting: dict[int, Change] = {}
        approved: set[int] = set()
        if not self.chunk.due:
            return waiting, approved
        rows = Change.objects.filter(
            sync=self.sync,
            link__in=list(self.chunk.due),
            kind=ChangeKind.ARCHIVE,
            outcome__in=(
                ChangeOutcome.HELD,
                ChangeOutcome.SENT,
                ChangeOutcome.PLANNED,
            ),
        ).select_related("run")
        for row in rows.order_by("-pk"):
            if row.link_id is None:
                continue
            if row.outcome == ChangeOutcome.HELD:
                if row.awaiting == Awaiting.DELETES:
                    waiting[row.link_id] = row
            elif row.outcome == ChangeOutcome.SENT or self._is_about_to(row.run):
                approved.add(row.link_id)
        return waiting, approved

    def _is_about_to(self, run: SyncRun) -> bool:
        """Whether a run will do what it planned: this one, or one that was approved."""
        return run.pk == self.session.run.pk or (
            run.approved and run.status in OPEN_STATUSES
        )

    def _with_twins(self) -> set[int]:
        """Survivors whose key another record holds where their counterpart is gone."""
        if self.sync.deletes == Deletes.IGNORE:
            return set()
        found: set[int] = set()
        for side in Side:
            left = [
                link.pk
                for link in self.chunk.links
                if link.pk in self.chunk.due
                and link.gone_on(side) is not None
                and link.gone_on(side.other) is None
            ]
            if not left:
                continue
            keys: dict[tuple[int, str], set[int]] = {}
            held = RecordKey.objects.filter(link__in=left, side=side.other)
            for link_id, rank, value in held.values_list("link_id", "rank", "value"):
                keys.setdefault((rank, value), set()).add(link_id)
            if not keys:
                continue
            twins = RecordKey.objects.filter(
                sync=self.sync,
                side=side,
                value__in={value for _, value in keys},
                **{f"link__{side}_gone_at__isnull": True},
            )
            for rank, value in twins.values_list("rank", "value").distinct():
                found |= keys.get((rank, value), set())
        return found

    # A pair that is whole ---------------------------------------------------------------

    def whole(self, link: RecordLink) -> None:
        """Forget what was remembered of a deletion: the record is back, or was untied."""
        self._retract(link, "The record is back, or was untied.")
        if GONE in link.stage_state:
            del link.stage_state[GONE]
            self.chunk.touched.add(link.pk)

    def outside(self, link: RecordLink) -> None:
        """Nothing is deleted of a record that is outside of the filters."""
        self._retract(link, "The record is outside of the filters now.")

    def _retract(self, link: RecordLink, why: str) -> None:
        """Take back what waits for a person."""
        row = self._waiting.pop(link.pk, None)
        if row is None or self.dry:
            return
        Change.objects.filter(pk=row.pk, outcome=ChangeOutcome.HELD).update(
            outcome=ChangeOutcome.SKIPPED, awaiting="", error_text=why, done_at=now()
        )

    # One that lost a side ---------------------------------------------------------------

    def plan(self, link: RecordLink) -> None:
        into = link.stage_state.get("merged_into")
        gone = [side for side in Side if link.gone_on(side) is not None]
        if into:
            self._retract(link, "The record was merged.")
            text = (
                f"HubSpot {link.hubspot_id} was merged into {into}, which is paired "
                "with another record; this one is left as it is."
            )
            note = Note(RecordState.FAILING, Code.RECORD_MERGED, text)
            self.chunk.note(link, note)
        elif not link.paired:
            self._leave(link, f"{self._lost(link, gone[0])}.")
        elif len(gone) == len(Side):
            self._remember(link)
            lost = " ".join(f"{self._lost(link, side)}." for side in gone)
            self._leave(link, lost)
        else:
            self._one_side(link, gone[0])

    def _one_side(self, link: RecordLink, side: Side) -> None:
        """`side` is gone, the other lives."""
        lost, there = self._lost(link, side), side.other
        mine = ours(link, side)
        if mine is not None and mine.get("undo"):
            self._leave(link, f"{lost}: an undo archived it, and it stays so.")
        elif mine is not None:
            self._returned(link, side)
        elif ours(link, there) is not None:
            self._leave(
                link,
                f"{lost}. {self.names[there]} {link.id_on(there)} was archived for that, "
                "and somebody brought it back: it is left as it is.",
            )
        elif self.sync.deletes == Deletes.IGNORE:
            self._leave(link, f"{lost}; the other side is left as it is.")
        elif why := self._why_not(link, side):
            self._leave(link, f"{lost}; the other side is left as it is: {why}.")
        elif link.pk in self._contested:
            self._retract(link, "Another record has the same key.")
            text = (
                f"{lost}, where another record has the same match key: what this is "
                "paired with has to be settled before it can be archived."
            )
            note = Note(RecordState.WAITING, Code.MATCH_AMBIGUOUS, text)
            self.chunk.note(link, note)
        else:
            self._travel(link, side)

    def _why_not(self, link: RecordLink, side: Side) -> str:
        """Why a deletion does not travel though the set-up asks for it; "" if it does."""
        gone_at, paired_at = link.gone_on(side), link.paired_at
        there = self.names[side.other]
        if not self.sync.allows(side.other):
            return f"nothing travels to {there}"
        if why := stays(link):
            return why
        if gone_at is not None and paired_at is not None and gone_at < paired_at:
            return "it was gone before the two were paired"
        if self.ways[side.other] is None:
            return f"{there} has nothing to archive it with"
        return ""

    def _travel(self, link: RecordLink, side: Side) -> None:
        there = side.other
        way = self.ways[there]
        assert way is not None, "a deletion without a way does not travel"
        lost, edited = f"{self._lost(link, side)}.", self._edited(link, there)
        waits = self.sync.deletes == Deletes.ASK or way.how == DELETE or bool(edited)
        what = {
            "side": there,
            "kind": ChangeKind.ARCHIVE,
            "reason": f"{lost}{edited}",
            "rule": f"deletes: {self.sync.deletes}",
            "before": {k: v for k, v in link.values_on(there).items() if k != PROBLEMS},
            # Which record that is about, whatever becomes of the pair meanwhile.
            "reserved_id": link.id_on(there) or "",
            **way.columns,
        }
        if link.pk in self._approved:
            self._note(link, f"{lost} {self.names[there]}'s record is being archived.")
        elif not waits:
            self._retract(link, "It does not wait for a person any more.")
            self._plan(link, what)
            self._note(link, f"{lost} {self.names[there]}'s record is to be archived.")
        else:
            self._ask(link, what)
            verb = "deleting" if way.how == DELETE else "archiving"
            self._note(
                link,
                f"{lost} {verb.capitalize()} {self.names[there]} {link.id_on(there)} "
                f"waits for a person.{edited}",
            )

    def _ask(self, link: RecordLink, what: dict[str, Any]) -> None:
        """Let a deletion wait for a person: exactly one row a link, as it is now."""
        if self.dry:
            text = "It would wait for a person."
            self._plan(link, what, outcome=ChangeOutcome.SKIPPED, error_text=text)
            return
        row = self._waiting.get(link.pk)
        if row is not None and row.side == what["side"]:
            if any(getattr(row, name) != value for name, value in what.items()):
                Change.objects.filter(pk=row.pk, outcome=ChangeOutcome.HELD).update(
                    **what
                )
            return
        self._retract(link, "The other record is gone now.")
        self._plan(link, what, outcome=ChangeOutcome.HELD, awaiting=Awaiting.DELETES)

    def _plan(self, link: RecordLink, what: dict[str, Any], **more: Any) -> None:
        self.chunk.plan(link, record=show(link), **what, **more)

    def _edited(self, link: RecordLink, there: Side) -> str:
        """What the survivor has that would have travelled to the record that is gone."""
        for mapped in self.session.fields:
            stored = link.baseline.get(mapped.key)
            if stored is None or not mapped.writes(there.other):
                continue
            name = mapped.name_on(there)
            last = stored[0] if there is Side.HUBSPOT else stored[1]
            if not mapped.rule.equal(link.values_on(there).get(name), last):
                return f" {name} was changed since in {self.names[there]}."
        return ""

    # One that we archived, and whose counterpart is back ----------------------------------

    def _returned(self, link: RecordLink, side: Side) -> None:
        """`side` was archived by us for a deletion that is undone by now."""
        self._retract(link, "The record is back.")
        how = ours(link, side) or {}
        back = f"{self.names[side.other]} {link.id_on(side.other)} is back."
        archived = is_archived(self.sync, side, link.values_on(side))
        if how.get("how") == FIELD and archived and self.sync.allows(side):
            name = self.sync.archive[side]["field"]
            self._plan(
                link,
                {
                    "side": side,
                    "kind": ChangeKind.UPDATE,
                    "reason": f"{back} It had been archived for its deletion.",
                    "rule": RESTORED,
                    "before": {name: link.values_on(side).get(name)},
                    "after": {name: how.get("before")},
                    "reserved_id": link.id_on(side) or "",
                },
            )
            self._note(link, f"{back} Its counterpart is taken out of the archive.")
            return
        cannot = {
            ARCHIVE: "HubSpot's API cannot restore it: restore it in HubSpot's "
            "recycling bin, or choose Create again.",
            FIELD: "It cannot be taken out of the archive from here: do so there, or "
            "choose Create again.",
        }
        self._leave(
            link,
            f"{back} {self.names[side]} {link.id_on(side)} was archived for its "
            "deletion. "
            + cannot.get(
                how.get("how", ""), "It is gone for good: choose Create again."
            ),
        )

    # Words ------------------------------------------------------------------------------

    def _lost(self, link: RecordLink, side: Side) -> str:
        archived = is_archived(self.sync, side, link.values_on(side))
        what = "is archived" if archived else "no longer exists"
        return f"Record {link.id_on(side)} {what} in {self.names[side]}"

    def _remember(self, link: RecordLink) -> None:
        """Whichever comes back: the other's deletion is no reason to archive it again."""
        if not stays(link) and not notes(link).get("archived"):
            keep(link, BOTH)
            self.chunk.touched.add(link.pk)

    def _leave(self, link: RecordLink, text: str) -> None:
        self._retract(link, "There is nothing to archive any more.")
        self._note(link, text)

    def _note(self, link: RecordLink, text: str) -> None:
        self.chunk.note(link, Note(RecordState.GONE, Code.RECORD_GONE, text))
