"""Write planned archives, and take our own back.

Right before, both sides are asked again: an archive is written only while the one record
is gone and the other is as it was when that was planned.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from django.db import transaction

from connections.catalogue import Code
from connections.records import Outcome, Patch, Side
from syncs.engine.values import same
from syncs.models import Change, RecordLink
from syncs.models.choices import ChangeKind, ChangeOutcome, RecordState
from syncs.run.gone import (
    ARCHIVE,
    DELETE,
    LOST,
    RESTORED,
    Way,
    deletions_travel,
    ways,
)
from syncs.run.plan import back_off
from syncs.run.pull import reread
from syncs.run.scope import still_in_scope
from syncs.run.sending import close, planned, save_changes
from syncs.run.session import Session, now
from syncs.run.store import save_links
from syncs.run.tombstones import (
    UNDONE,
    bury,
    is_archived,
    keep,
    note_ours,
    ours,
)
from syncs.run.writes import RecordWriter


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a planned write is not sent: `again` where it must be planned anew."""

    outcome: ChangeOutcome
    code: str
    text: str
    again: bool = True


def _drifted(text: str) -> Refusal:
    return Refusal(ChangeOutcome.DRIFTED, Code.CHANGED_SINCE_PLAN, text)


class Archiver:
    """Applies a run's archives, and its updates that take one back."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self.writer = RecordWriter(session)
        self.ways = ways(session)

    def restore(self) -> None:
        """Take our own archives back. Comes before the run's other updates."""
        for side, batch in self._batches(ChangeKind.UPDATE, rule=RESTORED):
            self._restore(side, batch)

    def archive(self) -> None:
        for side, batch in self._batches(ChangeKind.ARCHIVE):
            self._archive(side, batch)

    def _batches(
        self, kind: ChangeKind, **which: str
    ) -> Iterable[tuple[Side, list[Change]]]:
        for side in Side:
            size = self.session.connector(side).capabilities.write_batch
            for batch in planned(self.session, size, side, kind, **which):
                yield side, batch

    # Archives ---------------------------------------------------------------------------

    def _archive(self, side: Side, batch: list[Change]) -> None:
        links = self._asked_again(batch)
        way = self.ways[side]
        batch = self._right(
            batch, links, lambda c, link: self._wrong(side, way, c, link)
        )
        if not batch or way is None:
            return
        self._intend(batch)
        outcomes = self._send(side, way, [links[c.link_id or 0] for c in batch])
        gone: list[RecordLink] = []
        done = 0
        with transaction.atomic():
            self.session.lease.check()
            for change, outcome in zip(batch, outcomes, strict=True):
                link = links[change.link_id or 0]
                change.correlation_id = outcome.correlation_id
                if outcome.ok:
                    self.archived(side, change, link, outcome)
                    done += 1
                elif outcome.uncertain:
                    # It stays sent: the next run looks whether it took effect.
                    change.error_code, change.error_text = (
                        Code.TIMED_OUT,
                        outcome.message,
                    )
                    link.dirty = True
                    self.session.tally.error(Code.TIMED_OUT, outcome.message)
                else:
                    self._refused(change, link, outcome)
                    if outcome.code == Code.RECORD_GONE:
                        gone.append(link)
            save_changes(batch)
            save_links([links[c.link_id or 0] for c in batch])
            self.writer.keys.save()
        if gone:
            reread(self.session, side, gone)
        self.session.tally.add("archived", side, done)
        self._progress(len(batch))

    def _send(self, side: Side, way: Way, links: list[RecordLink]) -> list[Outcome]:
        connector, obj = self.session.connector(side), self.session.object_on(side)
        ids = [link.id_on(side) or "" for link in links]
        if way.how == ARCHIVE:
            return connector.archive(obj, ids)
        if way.how == DELETE:
            return connector.delete(obj, ids)
        patches = [Patch(record_id, dict(way.after)) for record_id in ids]
        return connector.update(obj, patches, self.session.want(side))

    def _wrong(
        self, side: Side, way: Way | None, change: Change, link: RecordLink
    ) -> Refusal | None:
        """Why a planned archive is not right any more; None if it is."""
        if link.id_on(side) is None or change.reserved_id != link.id_on(side):
            return _drifted("The record is another, or was untied from its pair.")
        if link.gone_on(side) is not None:
            return Refusal(ChangeOutcome.SKIPPED, "", "It is gone already.")
        # A person who takes a create back asks for no deletion on the other side.
        undo, there = bool(change.undoes), side.other
        if not undo and (link.gone_on(there) is None or link.id_on(there) is None):
            return _drifted("The deleted record is back.")
        if not undo and change.link_id in self._unsure:
            return Refusal(
                ChangeOutcome.SKIPPED,
                Code.UNAVAILABLE,
                "Whether the other record is gone could not be confirmed now.",
            )
        if not undo and not deletions_travel(self.session.sync, side):
            return _drifted("By the set-up as it is now no deletion travels there.")
        columns = {name: getattr(change, name) for name in ("after", "undo_text")}
        if way is None or any(way.columns[k] != v for k, v in columns.items()):
            return _drifted("The set-up archives these records in another way now.")
        if not still_in_scope(self.session, link):
            return _drifted("The record is outside of the filters now.")
        held = link.values_on(side)
        if any(not same(held.get(name), v) for name, v in change.before.items()):
            return _drifted("The record was changed after this was planned.")
        return None

    def archived(
        self, side: Side, change: Change, link: RecordLink, outcome: Outcome
    ) -> None:
        """Keep that a record is archived, and that it was us."""
        way = self.ways[side]
        how = way.how if way is not None else ARCHIVE
        before = next((change.before.get(name) for name in change.after), None)
        if change.after:
            self.writer.answers.take(side, link, change.after, outcome.record)
        more = {"undo": True} if change.undoes else {}
        note_ours(link, side, {"how": how, "before": before, **more})
        bury(link, side)
        link.dirty, link.state = False, RecordState.GONE
        link.attempts, link.retry_at = 0, None
        link.error_code = Code.RECORD_GONE
        word = "deleted" if how == DELETE else "archived"
        link.error_text = (
            f"{change.reason} Its record in {side} was {word}."
            if change.undoes
            else f"{change.reason} Its counterpart was {word} for that."
        )
        close(change, ChangeOutcome.APPLIED)

    # What takes one back ----------------------------------------------------------------

    def _restore(self, side: Side, batch: list[Change]) -> None:
        links = self._asked_again(batch)
        batch = self._right(batch, links, lambda c, link: self._not_back(side, c, link))
        if not batch:
            return
        self._intend(batch)
        patches = [
            Patch(links[c.link_id or 0].id_on(side) or "", c.after, trace=str(c.trace))
            for c in batch
        ]
        outcomes = self.session.connector(side).update(
            self.session.object_on(side), patches, self.session.want(side)
        )
        back: list[int] = []
        with transaction.atomic():
            self.session.lease.check()
            for change, outcome in zip(batch, outcomes, strict=True):
                link = links[change.link_id or 0]
                change.correlation_id = outcome.correlation_id
                if outcome.ok:
                    self.writer.answers.take(side, link, change.after, outcome.record)
                    setattr(link, f"{side}_gone_at", None)
                    note_ours(link, side, None)
                    if change.undoes and link.gone_on(side.other) is not None:
                        keep(link, UNDONE)
                    link.dirty = self.session.again = True
                    back.append(link.pk)
                    close(change, ChangeOutcome.APPLIED)
                elif outcome.uncertain:
                    code = Code.TIMED_OUT
                    close(change, ChangeOutcome.FAILED, code, outcome.message)
                    self.session.tally.error(code, outcome.message)
                    link.dirty = True
                else:
                    if outcome.code == Code.RECORD_GONE:
                        note_ours(link, side, {"how": LOST})
                    self._refused(change, link, outcome)
            save_changes(batch)
            save_links([links[c.link_id or 0] for c in batch])
            self.writer.keys.save()
            for stage in self.session.stages if back else ():
                stage.revived(back)
        self.session.tally.add("updated", side, len(back))
        self._progress(len(batch))

    def _not_back(self, side: Side, change: Change, link: RecordLink) -> Refusal | None:
        if change.reserved_id != link.id_on(side) or ours(link, side) is None:
            return _drifted("The record is another, or was untied from its pair.")
        if link.gone_on(side.other) is not None and not change.undoes:
            return _drifted("The other record is gone again.")
        if not is_archived(self.session.sync, side, link.values_on(side)):
            return _drifted("It is out of the archive already.")
        return None

    # What both share --------------------------------------------------------------------

    def _asked_again(self, batch: Sequence[Change]) -> dict[int, RecordLink]:
        """The links with both sides read anew by id."""
        ids = [c.link_id for c in batch if c.link_id]
        self._unsure: set[int] = set()
        for side in Side:
            links = [
                link
                for link in RecordLink.objects.filter(pk__in=ids)
                if link.id_on(side) is not None
            ]
            size = self.session.connector(side).capabilities.fetch_batch
            for start in range(0, len(links), size):
                some = links[start : start + size]
                self._unsure |= confirm(self.session, side, some)
        return RecordLink.objects.in_bulk(ids)

    def _right(
        self,
        batch: Sequence[Change],
        links: dict[int, RecordLink],
        wrong: Callable[[Change, RecordLink], Refusal | None],
    ) -> list[Change]:
        """The changes that are still right; the others get their outcome."""
        right: list[Change] = []
        left: list[Change] = []
        for change in batch:
            link = links.get(change.link_id or 0)
            found = wrong(change, link) if link else _drifted("The pair was dissolved.")
            if found is None:
                right.append(change)
                continue
            close(change, found.outcome, found.code, found.text)
            left.append(change)
            if found.outcome == ChangeOutcome.DRIFTED:
                self.session.again = True
        if left:
            save_changes(left)
            RecordLink.objects.filter(
                pk__in=[c.link_id for c in left if c.link_id]
            ).update(dirty=True)
        return right

    def _intend(self, batch: Sequence[Change]) -> None:
        for change in batch:
            change.outcome, change.sent_at = ChangeOutcome.SENT, now()
        with transaction.atomic():
            save_changes(batch)

    def _refused(self, change: Change, link: RecordLink, outcome: Outcome) -> None:
        close(change, ChangeOutcome.FAILED, outcome.code, outcome.message)
        if change.undoes:  # the record stays as it was
            self.session.tally.error(outcome.code, outcome.message)
            return
        link.state, link.dirty = RecordState.FAILING, False
        link.error_code, link.error_text = outcome.code, outcome.message
        link.error_field = outcome.field
        back_off(link)
        if outcome.code == Code.RECORD_GONE:
            link.state, link.dirty, link.retry_at = RecordState.GONE, True, None

    def _progress(self, count: int) -> None:
        self.session.advance("writing", self.session.run.progress_done + count)


def confirm(session: Session, side: Side, links: list[RecordLink]) -> set[int]:
    """Read records again by id; those that are gone are so still.

    Returns: links whose record on that side is known to be gone, and of which the
    system now says neither that nor that it is there.
    """
    before = {x.pk: x.id_on(side) for x in links if x.gone_on(side) is not None}
    answered = reread(session, side, links)
    return {pk for pk, record_id in before.items() if record_id not in answered}
