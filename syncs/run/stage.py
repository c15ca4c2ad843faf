"""What a stage of a run is: records first, then whatever hangs on them.

`settings.SYNC_STAGES` lists the stages. Every chunk of record links passes each of them
when it is planned; every stage then applies what it planned. A stage never writes to a
remote system while planning.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Protocol

from django.conf import settings
from django.utils.module_loading import import_string

from connections.records import InlineEdge, Reference, Side
from syncs.models import Change, RecordLink, SyncRun
from syncs.models.choices import ChangeKind, ChangeOutcome, RecordState
from syncs.run.gates import Question, Relation, Walk
from syncs.run.session import Session, now

Ids = Mapping[Side, str | None]  # what each side calls a record
MOVED = "changed since"  # why an undo leaves something, in a word or two


@dataclass(frozen=True, slots=True)
class Note:
    """Where a record stands after planning, and why."""

    state: RecordState
    code: str = ""
    text: str = ""
    field: str = ""


def why_final(session: Session, side: Side) -> str:
    """Why a create could not be taken back, said before it is made; "" where it can."""
    able = session.connector(side).capabilities
    if side in session.sync.archive or able.archives:
        return ""
    return able.undo_create or "Its records cannot be archived."


@dataclass
class Undoing:
    """Some records on their way through the stages, to have a run's writes taken back.

    `done` is what the run wrote of each record link, newest first; `changes` what the
    stages plan and what they leave, unsaved; `archives` the planned archive of a record
    that the run created, by link.
    """

    session: Session
    links: dict[int, RecordLink]
    done: dict[int, list[Change]]
    changes: list[Change] = field(default_factory=list)
    archives: dict[int, Change] = field(default_factory=dict)

    def plan(
        self, link: RecordLink | None, undoes: Sequence[Change], **values: Any
    ) -> Change:
        """Add what takes back some changes of one record."""
        session, first = self.session, undoes[0]
        whole = session.run.parent.undo_of_id if session.run.parent else None
        how = {
            "side": first.side,
            "record": first.record,
            "other_record": first.other_record,
            "association_type": first.association_type,
            "mapping_key": first.mapping_key,
            "reason": f"Takes back what run {whole or first.run_id} wrote.",
            "rule": "undo",
            "undoes": sorted(change.pk for change in undoes),
        }
        change = Change(run=session.run, sync=session.sync, link=link, **(how | values))
        self.changes.append(change)
        return change

    def leave(
        self,
        link: RecordLink | None,
        undoes: Sequence[Change],
        why: str,
        text: str,
        code: str = "",
        **values: Any,
    ) -> None:
        """Note what is not taken back: `why` in a word or two, `text` in a sentence."""
        values = {"kind": undoes[0].kind, "other_link": undoes[0].other_link} | values
        change = self.plan(link, undoes, **values)
        change.rule, change.outcome = why, ChangeOutcome.SKIPPED
        change.error_code, change.error_text = code, text
        change.reason, change.done_at = "", now()

    def keep_record(self, link: RecordLink, text: str, code: str) -> None:
        """Take back the planned archive of a created record: something of it moved."""
        change = self.archives.pop(link.pk)
        change.kind, change.rule = ChangeKind.CREATE, MOVED
        change.outcome, change.done_at = ChangeOutcome.SKIPPED, now()
        change.error_code, change.error_text, change.reason = code, text, ""


@dataclass
class Chunk:
    """Some record links on their way through the stages.

    `changes` is what the stages plan, unsaved; `creating` the planned create by link;
    `due` the links whose fields are decided this time (the others are only swept); `asks`
    the choices, unsaved, that a person has for fields in conflict; `sweep` says that it is
    part of a look at all records.
    """

    session: Session
    links: list[RecordLink]
    due: set[int]
    changes: list[Change] = field(default_factory=list)
    asks: list[Change] = field(default_factory=list)
    creating: dict[int, Change] = field(default_factory=dict)
    notes: dict[int, Note] = field(default_factory=dict)
    touched: set[int] = field(default_factory=set)  # links to write back
    sweep: bool = False

    def plan(self, link: RecordLink, **values: Any) -> Change:
        """Add a planned change for a link."""
        session = self.session
        change = Change(run=session.run, sync=session.sync, link=link, **values)
        if change.kind == ChangeKind.CREATE:
            change.undo_text = why_final(session, Side(change.side))
            change.undoable = not change.undo_text
        self.changes.append(change)
        return change

    def note(self, link: RecordLink, note: Note) -> None:
        """Say where a record stands; the first reason to fail stays."""
        kept = self.notes.get(link.pk)
        if kept is None or kept.state != RecordState.FAILING:
            self.notes[link.pk] = note

    def drop_create(self, link: RecordLink) -> None:
        """Take back a planned create: something it needs is not there yet."""
        change = self.creating.pop(link.pk, None)
        if change is not None:
            self.changes.remove(change)


@dataclass
class Inline:
    """What a create carries besides its values."""

    references: dict[str, Reference] = field(default_factory=dict)
    edges: list[InlineEdge] = field(default_factory=list)
    values: dict[str, Any] = field(default_factory=dict)  # that say links by key


class Stage(Protocol):
    """One part of the work on a chunk."""

    name: str

    def targets(self, sync_ids: Sequence[int]) -> Mapping[int, set[int]]:
        """By object sync, the syncs that must come before it."""

    def prepare(self, session: Session) -> None:
        """Look at the set-up once, before anything is read."""

    def read(self, chunk: Chunk) -> None:
        """Read what planning this chunk needs besides the record links."""

    def plan(self, chunk: Chunk) -> None:
        """Add this stage's changes to the chunk."""

    def place(self) -> Mapping[str, Any]:
        """What the run's next slice needs to go on with the plan."""

    def swept(self, session: Session) -> None:
        """A sweep is through, and what it planned is written."""

    def inline(
        self, session: Session, creates: Sequence[Change]
    ) -> Mapping[int, Inline]:
        """What this stage wants each create (by its pk) to carry."""

    def created(self, session: Session, creates: Sequence[Change]) -> None:
        """Note that creates took effect, with what they carried."""

    def apply(self, session: Session) -> None:
        """Write this stage's planned changes of the session's run."""

    def interrupted(self, session: Session) -> None:
        """The slice ends while writing: leave what is still to be looked at due."""

    def undo(self, undoing: Undoing) -> None:
        """Add what takes back this stage's changes of a run, and what is left."""

    def resolve(self, session: Session) -> None:
        """Settle what an earlier run sent and never heard of again."""

    def can_close(self, run: SyncRun, later: Collection[int]) -> bool:
        """Whether a child run that ended left something that syncs after it (their ids)
        have made possible."""

    def closable(self, session: Session) -> Iterable[Sequence[int]]:
        """The record links that waited for syncs after this one, some at a time."""

    def absorbed(self, links: Mapping[int, int]) -> None:
        """Links (keys) became part of other links (values): move what hangs on them."""

    def unknown(self, session: Session, names: Collection[str]) -> None:
        """Fields of the app that were missing may be others now: what was known of them
        says nothing."""

    def revived(self, link_ids: Sequence[int]) -> None:
        """Records that were gone are back, or have another counterpart now."""

    def released(self, link_id: int) -> None:
        """A pair was untied by hand: forget what hung on it."""

    def retry(self, sync_id: int) -> None:
        """Let the next run try what fails here, whatever its back-off."""

    def relations(self, sync_id: int) -> Sequence[Relation]:
        """What ties a sync's records to others, and others to them."""

    def waits(self, relation: Relation, near: RecordLink, far_ids: Ids) -> str:
        """What is known of a link whose far record is not to be had; "" for nothing."""

    def explain(self, walk: Walk, question: Question) -> None:
        """Go through a link's gates, from `mapped` on.

        Raises: Shut at the first that is.
        """

    def work(self, session: Session) -> None:
        """Count this stage's planned changes as a dry run's work."""

    def totals(self, session: Session) -> Mapping[str, Any]:
        """This stage's part of the run's totals."""


@cache
def _classes() -> tuple[type[Stage], ...]:
    return tuple(import_string(path) for path in settings.SYNC_STAGES)


def make_stages() -> tuple[Stage, ...]:
    """One fresh object of each stage, for one session."""
    return tuple(stage() for stage in _classes())
