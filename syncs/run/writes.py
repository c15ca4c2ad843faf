"""Write planned creates and updates, and keep what the systems answered.

A create's intent is committed as `sent`, with its trace and its reserved id, before the
request leaves; what a killed run left as `sent` is looked up by the next one
(`syncs.run.unknown`) and never sent again blindly.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress

from django.db import transaction
from django.db.models import Q

from connections.catalogue import Code
from connections.connectors.base import ConnectorError
from connections.records import Canon, Draft, Outcome, Patch, Record, Side, Want
from syncs.engine.values import is_blank, same
from syncs.models import Change, RecordLink
from syncs.models.choices import ChangeKind, ChangeOutcome, RecordState
from syncs.run.answers import Answers
from syncs.run.drift import still_right
from syncs.run.match import join
from syncs.run.mending import note_refused
from syncs.run.plan import back_off
from syncs.run.pull import reread
from syncs.run.review import written
from syncs.run.scope import only_filtered, scope_of
from syncs.run.sending import close, planned, save_changes
from syncs.run.session import ALONE, PROBLEMS, Session, now
from syncs.run.stage import Stage
from syncs.run.store import save_links, update_rows

CLOCK_NOISE_S = 5.0  # that two right clocks may differ by


def alike(held: Canon, sent: Canon) -> bool:
    """Whether a system may have made one value of the other: letter case aside."""
    return same(held, sent) or str(held).casefold() == str(sent).casefold()


class RecordWriter:
    """Applies a run's record changes: creates, then updates, on either side."""

    def __init__(self, session: Session, stages: Sequence[Stage] = ()) -> None:
        self.session = session
        self.stages = stages or session.stages
        self.answers = Answers(session)
        self.keys = self.answers.keys
        self._only_filtered = {side: only_filtered(session, side) for side in Side}

    def apply(self) -> None:
        for side in (Side.HUBSPOT, Side.APP):
            size = self.session.connector(side).capabilities.write_batch
            for batch in planned(self.session, size, side, ChangeKind.CREATE):
                self._create(side, batch)
        for side in (Side.HUBSPOT, Side.APP):
            size = self.session.connector(side).capabilities.write_batch
            for batch in planned(self.session, size, side, ChangeKind.UPDATE):
                self._update(side, batch)

    # Creates ---------------------------------------------------------------------------

    def _create(self, side: Side, batch: list[Change]) -> None:
        links = self._links(batch)
        batch = still_right(self.session, side, batch, links, creating=True)
        if not batch:
            return
        drafts = self._drafts(side, batch)
        with transaction.atomic():
            for change in batch:
                change.outcome, change.sent_at = ChangeOutcome.SENT, now()
            save_changes(batch)
            self._note_clock(side)
        outcomes = self.session.connector(side).create(
            self.session.object_on(side), drafts, self._answer(side)
        )
        self._look_for_missing(side, outcomes)
        made: list[Change] = []
        with transaction.atomic():
            self.session.lease.check()  # else another run settles what was sent
            for change, outcome in zip(batch, outcomes, strict=True):
                link = links[change.link_id or 0]
                if self._created(side, change, link, outcome):
                    made.append(change)
            save_changes(batch)
            save_links([links[c.link_id or 0] for c in batch if c.link_id in links])
            self.keys.save()
            for stage in self.stages:
                stage.created(self.session, made)
            self._have_come([links[c.link_id or 0] for c in made])
        note_refused(self.session, side, outcomes)
        self.session.tally.add("created", side, len(made))
        self._progress(len(batch))

    def _have_come(self, made: Sequence[RecordLink]) -> None:
        """What was created alone may carry links from here on."""
        alone = [link for link in made if link.stage_state.pop(ALONE, False)]
        update_rows(alone, ["stage_state"])

    def _drafts(self, side: Side, batch: list[Change]) -> list[Draft]:
        connector, obj = self.session.connector(side), self.session.object_on(side)
        carried = [stage.inline(self.session, batch) for stage in self.stages]
        reserved_ids = connector.reserve(obj, len(batch))
        ids: Sequence[str | None] = reserved_ids or [None for _ in batch]
        drafts: list[Draft] = []
        for change, reserved in zip(batch, ids, strict=True):
            change.reserved_id = reserved or ""
            inlines = [c[change.pk] for c in carried if change.pk in c]
            if any(inline.edges for inline in inlines):
                self.answers.carrying.update([change.pk])
            references = {k: v for i in inlines for k, v in i.references.items()}
            values = {k: v for i in inlines for k, v in i.values.items()}
            drafts.append(
                Draft(
                    trace=str(change.trace),
                    values=change.after | values,
                    references=references,
                    edges=tuple(edge for i in inlines for edge in i.edges),
                    id=reserved,
                    marker=self.session.sync.marker.get(side, ""),
                )
            )
        return drafts

    def _created(
        self, side: Side, change: Change, link: RecordLink, outcome: Outcome
    ) -> bool:
        change.correlation_id = outcome.correlation_id
        if outcome.ok and outcome.record is not None:
            self.attach(side, change, link, outcome.record)
            close(change, ChangeOutcome.APPLIED)
            return True
        if outcome.uncertain:
            change.error_code = Code.UNCERTAIN
            change.error_text = outcome.message
            link.state = RecordState.UNCERTAIN
            link.error_code, link.error_text = Code.UNCERTAIN, outcome.message
        elif outcome.existing_id:
            self._exists(side, change, link, outcome)
        else:
            self.answers.refused(change, link, outcome)
        return False

    def attach(
        self,
        side: Side,
        change: Change,
        link: RecordLink,
        record: Record,
        *,
        recovered: bool = False,
    ) -> None:
        """Pair a link with the record that its create made.

        `recovered`: no answer came, and the record was found later. What it holds now and
        was not sent may be another's work: a first sync decides about that.
        """
        setattr(link, f"{side}_id", record.id)
        link.paired_at = now()
        setattr(link, f"{side}_seen", self.session.run.pk)
        self.answers.take(side, link, dict(change.after), record)
        holds = link.values_on(side)
        change.answered = {
            name: holds.get(name)
            for name in self.session.names(side)
            if not same(holds.get(name), change.after.get(name))
        }
        self.answers.settled(link)
        untouched = record.modified_at is not None and (
            record.modified_at == record.created_at
        )
        # Somebody else may have made it, where ours never arrived.
        ours = untouched and all(
            alike(link.values_on(side).get(name), sent)
            for name, sent in change.after.items()
        )
        if recovered and not ours:
            change.undoable = False
            change.undo_text = "Its create got no answer: it may be another's record."
        for mapped in self.session.fields:
            here, there = mapped.name_on(side.other), mapped.name_on(side)
            if here in (link.values_on(side.other).get(PROBLEMS) or {}):
                continue
            if self.session.lacks(mapped):
                continue  # nothing of it was sent: a first sync, once it is back
            held = link.values_on(side).get(there)
            sent = change.after.get(there)
            if recovered and not ours and not same(held, sent):
                continue
            given = link.values_on(side.other).get(here)
            if not mapped.writes(side):
                # What the new record holds by itself travels as a first sync.
                if not is_blank(held):
                    self.answers.plan_again(link)
                continue
            if here in change.origin:
                given = change.origin[here]
                if given is not None and there not in change.after:
                    continue  # it could not be converted: still a first sync
            pair = {side: held, side.other: given}
            link.baseline[mapped.key] = [pair[Side.HUBSPOT], pair[Side.APP]]

    def _exists(
        self, side: Side, change: Change, link: RecordLink, outcome: Outcome
    ) -> None:
        """The system says who has the unique value: a match, if nobody is paired with it."""
        session, existing = self.session, outcome.existing_id or ""
        other = RecordLink.objects.filter(
            sync=session.sync, **{f"{side}_id": existing}
        ).first()
        if other is not None and (other.paired or other.keep_apart or other.lost):
            self.answers.refused(change, link, outcome)
            return
        close(
            change,
            ChangeOutcome.SKIPPED,
            Code.DUPLICATE_KEY,
            f"It exists already as {existing}: paired with it instead.",
        )
        if other is not None:
            with transaction.atomic():
                absorb(session, self.stages, side, link, other)
        else:
            setattr(link, f"{side}_id", existing)
            link.paired_at, link.baseline = now(), {}
        link.dirty = True
        link.state = RecordState.NEW
        session.again = True

    def _note_clock(self, side: Side) -> None:
        """Keep how far ahead our clock is: a create of unknown effect is looked for by
        the system's own times."""
        run = self.session.run
        ahead = round(self.session.meters[side].ahead_s(now()), 1)
        if ahead > run.ahead.get(side, CLOCK_NOISE_S):
            run.ahead[side] = ahead
            run.save(update_fields=["ahead"])

    # Updates ---------------------------------------------------------------------------

    def _update(self, side: Side, batch: list[Change]) -> None:
        links = self._links(batch)
        planned_from = dict(links)
        batch = still_right(self.session, side, batch, links, creating=False)
        self.answers.looked_again(side, planned_from, links)
        if not batch:
            return
        with transaction.atomic():
            for change in batch:
                change.outcome, change.sent_at = ChangeOutcome.SENT, now()
            save_changes(batch)
        patches = [
            Patch(links[c.link_id or 0].id_on(side) or "", c.after, trace=str(c.trace))
            for c in batch
        ]
        outcomes = self.session.connector(side).update(
            self.session.object_on(side), patches, self._answer(side)
        )
        self._look_for_missing(side, outcomes)
        done = 0
        gone: list[RecordLink] = []
        moved: list[RecordLink] = []
        unsettled = self._unsettled(batch)
        with transaction.atomic():
            self.session.lease.check()
            for change, outcome in zip(batch, outcomes, strict=True):
                link = links[change.link_id or 0]
                change.correlation_id = outcome.correlation_id
                if outcome.ok:
                    self.updated(side, change, link, outcome.record)
                    done += 1
                elif outcome.uncertain and change.undoes:
                    # Read back by the next run: if it arrived, it must not travel.
                    change.error_code = Code.TIMED_OUT
                    change.error_text = outcome.message
                    self.session.tally.error(Code.TIMED_OUT, outcome.message)
                elif outcome.uncertain:
                    # An update is safe to repeat: the next run reads and decides anew.
                    close(change, ChangeOutcome.FAILED, Code.TIMED_OUT, outcome.message)
                    self.session.tally.error(Code.TIMED_OUT, outcome.message)
                    link.dirty = True
                elif outcome.code == Code.RECORD_GONE:
                    close(change, ChangeOutcome.FAILED, outcome.code, outcome.message)
                    gone.append(link)
                elif outcome.code == Code.CHANGED_SINCE_PLAN:
                    close(change, ChangeOutcome.DRIFTED, outcome.code, outcome.message)
                    self.answers.plan_again(link)
                    moved.append(link)
                else:
                    self.answers.refused(change, link, outcome)
            for link_id in unsettled & links.keys():
                links[link_id].dirty = True
            save_changes(batch)
            written([c for c in batch if c.outcome == ChangeOutcome.APPLIED], links)
            save_links(list(links.values()))
            self.keys.save()
        note_refused(self.session, side, outcomes)
        self._reread_gone(side, gone)
        if moved:
            reread(self.session, side, moved)
        self.session.tally.add("updated", side, done)
        self._progress(len(batch))

    def _reread_gone(self, side: Side, gone: Sequence[RecordLink]) -> None:
        """What a write said is gone becomes a tombstone, if it is; a row that is there
        and takes no write (a policy, a trigger) fails."""
        if not gone:
            return
        reread(self.session, side, list(gone))
        links = RecordLink.objects.filter(
            pk__in=[link.pk for link in gone], **{f"{side}_gone_at__isnull": True}
        )
        there = list(links)
        for link in there:
            link.state, link.dirty = RecordState.FAILING, False
            link.error_code = Code.RECORD_GONE
            link.error_text = (
                f"Record {link.id_on(side)} is there and took no write: a policy or a "
                "trigger may keep it from us."
            )
            back_off(link)
        save_links(there)

    def _unsettled(self, batch: Sequence[Change]) -> set[int]:
        """Records whose write to the other side drifted or timed out in this run: that
        this one went through does not settle them."""
        rows = Change.objects.filter(
            run=self.session.run, link__in=[c.link_id for c in batch if c.link_id]
        ).filter(
            Q(outcome=ChangeOutcome.DRIFTED)
            | Q(outcome=ChangeOutcome.FAILED, error_code=Code.TIMED_OUT)
        )
        return set(rows.values_list("link_id", flat=True))

    def updated(
        self, side: Side, change: Change, link: RecordLink, record: Record | None
    ) -> None:
        """Move the baselines of the written fields to what the system answered."""
        before = dict(link.values_on(side))
        self.answers.take(side, link, change.after, record)
        after = link.values_on(side)
        change.answered = {
            name: after.get(name)
            for name, sent in change.after.items()
            if not same(after.get(name), sent)
        }
        if not change.undoes:
            self.answers.settled(link)
        elif scope_of(self.session):
            link.dirty = True  # it may be in scope again, or not any more
        if any(
            not same(before.get(name), after.get(name))
            for name in after.keys() - change.after.keys() - self._only_filtered[side]
        ):
            # Somebody changed another field meanwhile, and no read will show it anew.
            self.answers.plan_again(link)
        for name in change.after:
            for mapped in self.answers.mapped(side, name):
                if change.undoes:
                    self.answers.stand_apart(side, link, mapped)
                else:
                    self.answers.move_baseline(side, change, link, mapped)
        close(change, ChangeOutcome.APPLIED)

    # What both share -------------------------------------------------------------------

    def _links(self, batch: Sequence[Change]) -> dict[int, RecordLink]:
        return RecordLink.objects.in_bulk([c.link_id for c in batch if c.link_id])

    def _answer(self, side: Side) -> Want:
        want = self.session.want(side)
        return Want(want.fields, (), want.changed_field)

    def _look_for_missing(self, side: Side, outcomes: Sequence[Outcome]) -> None:
        """A refusal that names a field we know of: the schema changed under the run.

        What was answered counts, whether or not the system can be asked about that now.
        """
        if any(outcome.code == Code.FIELD_MISSING for outcome in outcomes):
            with suppress(ConnectorError):
                self.session.refresh(side)

    def _progress(self, count: int) -> None:
        self.session.advance("writing", self.session.run.progress_done + count)


def absorb(
    session: Session,
    stages: Sequence[Stage],
    side: Side,
    link: RecordLink,
    other: RecordLink,
) -> None:
    """Make one link of a record and the link that its counterpart already has.

    `link` lacks `side`, `other` has only it; `link` is what is left, up to date in memory.
    """

    def moved(absorbed: dict[int, int]) -> None:
        for stage in stages:
            stage.absorbed(absorbed)

    pair = (other.pk, link.pk) if side is Side.HUBSPOT else (link.pk, other.pk)
    join(session, [pair], moved)
    survivor = RecordLink.objects.get(pk=pair[0])
    link.pk = survivor.pk
    link.refresh_from_db()
