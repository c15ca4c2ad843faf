"""What a system's answers to writes mean for our rows: values, baselines, states."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from connections.catalogue import Code
from connections.records import Canon, Outcome, Record, Side
from syncs.engine.values import ValueProblem, canonical
from syncs.models import Change, RecordLink
from syncs.models.choices import ChangeOutcome, RecordState
from syncs.run.idset import IdSet
from syncs.run.keys import KeyKeeper
from syncs.run.plan import back_off
from syncs.run.scope import left_by_write
from syncs.run.sending import close
from syncs.run.session import ALONE, REFUSED, MappedField, Session, now


class Answers:
    """Takes what a run's record writes were answered into their record links."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self.keys = KeyKeeper(session)
        self.carrying = IdSet()  # creates that were sent with links
        # Records of which an answer showed more than was written: to be planned again,
        # whatever a write to their other side says.
        self._moved = IdSet()
        self._by_name: dict[Side, dict[str, list[MappedField]]] = {
            side: {} for side in Side
        }
        for side in Side:
            for mapped in session.fields:
                same_name = self._by_name[side].setdefault(mapped.name_on(side), [])
                same_name.append(mapped)

    def mapped(self, side: Side, name: str) -> Sequence[MappedField]:
        return self._by_name[side].get(name, ())

    def take(
        self,
        side: Side,
        link: RecordLink,
        written: dict[str, Canon],
        record: Record | None,
    ) -> None:
        """Take the answer into the link's values: the system's word, else what we sent."""
        values = {**link.values_on(side), **written}
        if record is not None:
            for name in self.session.names(side):
                if name in record.values:
                    try:
                        values[name] = canonical(
                            record.values[name],
                            self.session.field_of(side, name),
                            zone=self.session.zone,
                        )
                    except ValueProblem:
                        continue  # the next read names it
            if record.modified_at is not None:
                setattr(link, f"{side}_modified_at", record.modified_at)
        self.keys.moved(side, link, link.values_on(side), values, written)
        setattr(link, f"{side}_values", values)
        setattr(link, f"{side}_read_at", now())

    def plan_again(self, link: RecordLink) -> None:
        self._moved.update([link.pk])
        link.dirty = self.session.again = True

    def looked_again(
        self,
        side: Side,
        before: Mapping[int, RecordLink],
        links: Mapping[int, RecordLink],
    ) -> None:
        """What a look before the write shows to have changed besides is planned again:
        no later read shows it anew."""
        for pk, link in links.items():
            was = before[pk]
            if (
                link.values_on(side) != was.values_on(side)
                or link.app_references != was.app_references
            ):
                self.plan_again(link)

    def settled(self, link: RecordLink) -> None:
        if left_by_write(self.session, link):
            self.plan_again(link)
        # A plan made before knows nothing of what else moved since: that stays due.
        due = self.session.run.as_planned and link.dirty
        link.dirty = due or link.pk in self._moved
        if link.error_code in ("", Code.CONFLICT):  # a conflict holds up only its field
            link.state = RecordState.IN_SYNC
            link.attempts, link.retry_at = 0, None

    def refused(self, change: Change, link: RecordLink, outcome: Outcome) -> None:
        close(change, ChangeOutcome.FAILED, outcome.code, outcome.message)
        side = Side(change.side)
        if change.undoes:
            self._undo_refused(change, outcome)
            return
        if change.pk in self.carrying and not (outcome.field or outcome.existing_id):
            # It may be a link that is at fault: the record comes first, alone.
            link.stage_state[ALONE] = True
            link.state, link.dirty = RecordState.NEW, True
            self.session.again = True
            return
        if change.after.keys() & self.session.missing.get(side, set()):
            # Known to be gone by now: planned again without it.
            link.state, link.dirty = RecordState.NEW, True
            self.session.again = True
            return
        link.state = RecordState.FAILING
        link.error_code, link.error_text = outcome.code, outcome.message
        link.error_field = outcome.field
        link.dirty = False
        if outcome.field in change.after and len(change.after) > 1:
            # One value is at fault: the rest is planned again without it.
            refused = link.stage_state.setdefault(REFUSED, {}).setdefault(side, {})
            value = change.after[outcome.field]
            refused[outcome.field] = [value, outcome.code, outcome.message]
            link.dirty = self.session.again = True
            return
        back_off(link)

    def _undo_refused(self, change: Change, outcome: Outcome) -> None:
        """The record stays as in sync as it was. Where one value is at fault, the rest
        is sent once more without it."""
        self.session.tally.error(outcome.code, f"{change.record}: {outcome.message}")
        name = outcome.field
        if name not in change.after or len(change.after) == 1:
            return
        Change.objects.create(
            run_id=change.run_id,
            sync_id=change.sync_id,
            link_id=change.link_id,
            side=change.side,
            kind=change.kind,
            record=change.record,
            reason=change.reason,
            rule=change.rule,
            undoes=change.undoes,
            before={n: v for n, v in change.before.items() if n != name},
            after={n: v for n, v in change.after.items() if n != name},
        )
        change.after = {name: change.after[name]}

    def move_baseline(
        self, side: Side, change: Change, link: RecordLink, mapped: MappedField
    ) -> None:
        """A mapping that made the write is settled; one that only reads the field is not."""
        other = mapped.name_on(side.other)
        if other not in change.origin or not mapped.writes(side):
            self.plan_again(link)
            return
        pair = {
            side: link.values_on(side).get(mapped.name_on(side)),
            side.other: change.origin.get(other),
        }
        link.baseline[mapped.key] = [pair[Side.HUBSPOT], pair[Side.APP]]

    def stand_apart(self, side: Side, link: RecordLink, mapped: MappedField) -> None:
        """A value that was put back does not travel, nor does the other side's come
        back by itself. What the other side was given since still travels."""
        other = side.other
        pair = {s: link.values_on(s).get(mapped.name_on(s)) for s in Side}
        stored = link.baseline.get(mapped.key)
        if stored is not None:
            pair[other] = stored[0 if other is Side.HUBSPOT else 1]
        link.baseline[mapped.key] = [pair[Side.HUBSPOT], pair[Side.APP]]
