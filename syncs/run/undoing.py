"""Plan what takes back the writes of a run, some records at a time.

It is a plan like any other: rows that a person can look at first, written by the same
writers, which read both sides again and leave what moved meanwhile. A value goes back
only where the field still holds what the run left there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from django.db import transaction

from connections.catalogue import Code
from connections.records import Canon, Side, ValueType
from syncs.engine.values import is_blank, same
from syncs.models import Change, RecordLink
from syncs.models.choices import ChangeKind, ChangeOutcome
from syncs.run.gone import DELETE, FIELD, RESTORED, ways
from syncs.run.session import PROBLEMS, Session
from syncs.run.stage import MOVED, Undoing, why_final
from syncs.run.store import update_rows
from syncs.run.tombstones import is_archived, ours

BATCH = 500  # changes looked at together
PHASE = "undo"
GONE, FINAL, UNKNOWN, SAME = "gone", "cannot be undone", "not known", "nothing to do"


def plan_undo(session: Session) -> None:
    """Plan what takes back the run's original, newest first, a batch at a time."""
    run = session.run
    done = Change.objects.filter(run=run.undo_of_id, outcome=ChangeOutcome.APPLIED)
    place = run.place if run.place.get("phase") == PHASE else {}
    last = place.get("last")
    rows = done.order_by("-pk")
    session.advance("planning", place.get("done", 0), done.count())
    while True:
        batch = list(rows[:BATCH] if last is None else rows.filter(pk__lt=last)[:BATCH])
        if not batch:
            return
        session.lease.check()
        last = batch[-1].pk
        undoing = _gather(session, batch)
        for stage in session.stages:
            stage.undo(undoing)
        seen = run.progress_done + len(batch)
        run.place = {"phase": PHASE, "last": last, "done": seen}
        with transaction.atomic():
            Change.objects.bulk_create(undoing.changes, batch_size=300)
            run.save(update_fields=["place"])
        session.advance("planning", seen)
        session.breathe()


def _gather(session: Session, batch: Sequence[Change]) -> Undoing:
    """All that the run wrote of the batch's records, but of those looked at before."""
    ids = {change.link_id for change in batch if change.link_id}
    done: dict[int, list[Change]] = {}
    rows = (
        Change.objects.filter(
            run=session.run.undo_of_id, outcome=ChangeOutcome.APPLIED, link__in=ids
        )
        .select_related("other_link")
        .order_by("-pk")
    )
    for change in rows:
        done.setdefault(change.link_id or 0, []).append(change)
    mine = {i: some for i, some in done.items() if some[0].pk <= batch[0].pk}
    undoing = Undoing(session, RecordLink.objects.in_bulk(list(mine)), mine)
    for change in batch:
        if not change.link_id:
            text = "Its record is not known any more."
            undoing.leave(None, [change], UNKNOWN, text, Code.RECORD_GONE)
    return undoing


def undo_records(undoing: Undoing) -> None:
    """Plan for fields and for records as a whole; links come after them."""
    for link_id, done in undoing.done.items():
        link = undoing.links[link_id]
        for side in Side:
            mine = [c for c in done if c.side == side]
            created = [c for c in mine if c.kind == ChangeKind.CREATE]
            updates = [c for c in mine if c.kind == ChangeKind.UPDATE]
            for change in mine:
                if change.kind == ChangeKind.ARCHIVE:
                    _bring_back(undoing, link, side, change)
            for change in [c for c in updates if c.rule == RESTORED]:
                updates.remove(change)
                text = "Its counterpart is back: archive it by hand if that is wrong."
                undoing.leave(link, [change], FINAL, text)
            if created and _take_away(undoing, link, side, created, updates):
                continue
            if updates:
                _put_back(undoing, link, side, updates)


def whereabouts(link: RecordLink, side: Side) -> tuple[str, str, Code] | None:
    """Why nothing can be taken back on a side of a record: why, in a sentence, code."""
    if link.id_on(side) is None:
        text = "The two records are not paired any more."
        return UNKNOWN, text, Code.RECORD_GONE
    if link.lost_on(side):
        return GONE, f"The record is gone from {side}.", Code.RECORD_GONE
    return None


# Records that the run created ------------------------------------------------------------


def _take_away(
    undoing: Undoing,
    link: RecordLink,
    side: Side,
    created: Sequence[Change],
    updates: Sequence[Change],
) -> bool:
    """Archive what the run created, if it is as the run left it.

    Returns: whether that also takes back what the run wrote to it since.
    """
    create = created[0]
    nowhere = whereabouts(link, side)
    if nowhere:
        undoing.leave(link, created, *nowhere)
        return True
    way = ways(undoing.session)[side]
    if not create.undoable or way is None or way.how == DELETE:
        text = create.undo_text or why_final(undoing.session, side)
        undoing.leave(link, created, FINAL, text or "It cannot be archived now.")
        return False
    moved = _moved_since(undoing.session, link, side, create, updates)
    if moved:
        text = f"{', '.join(moved)} changed since: the record stays."
        undoing.leave(link, created, MOVED, text, Code.CHANGED_SINCE_PLAN)
        return False
    undoing.archives[link.pk] = undoing.plan(
        link,
        [*created, *updates],
        side=side,
        kind=ChangeKind.ARCHIVE,
        before={k: v for k, v in link.values_on(side).items() if k != PROBLEMS},
        reserved_id=link.id_on(side) or "",
        **way.columns,
    )
    return True


def _moved_since(
    session: Session,
    link: RecordLink,
    side: Side,
    create: Change,
    updates: Sequence[Change],
) -> list[str]:
    left = {**create.after, **create.answered}
    for change in reversed(updates):  # the oldest first
        left |= {**change.after, **change.answered}
    here = link.values_on(side)
    return sorted(n for n in session.names(side) if not same(here.get(n), left.get(n)))


def _bring_back(undoing: Undoing, link: RecordLink, side: Side, change: Change) -> None:
    """Take a record that the run archived out of the archive, where we can."""
    how = ours(link, side)
    name = next(iter(change.after), "")
    if not change.undoable:
        undoing.leave(link, [change], FINAL, change.undo_text)
    elif link.id_on(side) != change.reserved_id or how is None or how["how"] != FIELD:
        text = "The record is another, or was untied from its pair."
        undoing.leave(link, [change], UNKNOWN, text, Code.RECORD_GONE)
    elif not is_archived(undoing.session.sync, side, link.values_on(side)):
        text = "It is out of the archive already."
        undoing.leave(link, [change], MOVED, text, Code.CHANGED_SINCE_PLAN)
    else:
        undoing.plan(
            link,
            [change],
            side=side,
            kind=ChangeKind.UPDATE,
            rule=RESTORED,
            before={name: link.values_on(side).get(name)},
            after={name: how.get("before")},
            reserved_id=change.reserved_id,
        )


# Fields ----------------------------------------------------------------------------------


@dataclass
class _Fields:
    """What goes back into one record on one side, and what does not, by field."""

    before: dict[str, Canon] = field(default_factory=dict)
    after: dict[str, Canon] = field(default_factory=dict)
    left: dict[str, tuple[str, str, str]] = field(default_factory=dict)


def _put_back(
    undoing: Undoing, link: RecordLink, side: Side, updates: Sequence[Change]
) -> None:
    """Write the former values where the fields hold what the run left in them."""
    nowhere = whereabouts(link, side)
    if nowhere:
        undoing.leave(link, updates, *nowhere)
        return
    fields = _sort_out(undoing.session, link, side, updates)
    names = fields.after.keys()
    mine = [c for c in updates if c.after.keys() & names]
    if names:
        undoing.plan(
            link,
            mine,
            side=side,
            kind=ChangeKind.UPDATE,
            before=fields.before,
            after=fields.after,
        )
    for why in sorted({why for why, _, _ in fields.left.values()}):
        some = {n: why_not for n, why_not in fields.left.items() if why_not[0] == why}
        undoing.leave(
            link,
            [c for c in updates if c.after.keys() & some.keys()],
            why,
            " ".join(text for _, text, _ in some.values()),
            next(iter(some.values()))[2],
            before={n: link.values_on(side).get(n) for n in some},
            after={n: _former(updates, n) for n in some},
        )


def _former(updates: Sequence[Change], name: str) -> Canon:
    """What a field held before the run wrote it first."""
    held: Canon = None
    for change in updates:  # the newest first
        if name in change.after:
            held = change.before.get(name)
    return held


def _sort_out(
    session: Session, link: RecordLink, side: Side, updates: Sequence[Change]
) -> _Fields:
    found, here = _Fields(), link.values_on(side)
    for change in updates:
        for name, sent in change.after.items():
            if name in found.left:
                continue
            left = change.answered.get(name, sent)
            if name in found.after:
                # Written twice by the run: as far back as nobody else came between.
                if same(found.after[name], left):
                    found.after[name] = change.before.get(name)
                continue
            problem = _unreadable(session, link, side, name)
            if problem:
                found.left[name] = problem
            elif not same(here.get(name), left):
                text = f"{name} changed since: it holds {_short(here.get(name))}."
                found.left[name] = (MOVED, text, Code.CHANGED_SINCE_PLAN)
            else:
                found.before[name] = here.get(name)
                found.after[name] = change.before.get(name)
    for name, value in list(found.after.items()):
        refusal = _refusal(session, side, name, found.before[name], value)
        if refusal:
            del found.before[name], found.after[name]
            found.left[name] = refusal
    return found


def _short(value: Canon) -> str:
    text = "nothing" if is_blank(value) else str(value)
    return text if len(text) <= 60 else f"{text[:59]}…"


def _unreadable(
    session: Session, link: RecordLink, side: Side, name: str
) -> tuple[str, str, str] | None:
    problems = link.values_on(side).get(PROBLEMS) or {}
    if name in problems:
        code, text = problems[name]
        return UNKNOWN, text, code
    if name not in session.names(side):
        text = f"{name} is not mapped any more: what it holds is not read."
        return UNKNOWN, text, Code.FIELD_MISSING
    return None


def _refusal(
    session: Session, side: Side, name: str, held: Canon, value: Canon
) -> tuple[str, str, str] | None:
    """Why a former value cannot be written, as far as that is known beforehand."""
    about = session.field_of(side, name)
    if same(held, value):
        return SAME, f"{name} holds what it held before.", ""
    if about.read_only:
        why = about.read_only_reason or "it is read-only"
        return FINAL, f"{name} cannot be written: {why}.", Code.FIELD_READ_ONLY
    if is_blank(value):
        if about.required:
            return FINAL, f"{name} must have a value.", Code.REQUIRED_MISSING
        return None
    known = {option.value for option in about.options}
    given = set(value) if isinstance(value, list) else {str(value)}
    optional = about.type in (ValueType.OPTION, ValueType.OPTIONS)
    if optional and known and not given <= known:
        text = f"{name} has no option {', '.join(sorted(given - known))} any more."
        return FINAL, text, Code.OPTION_UNKNOWN
    return None


# Afterwards ------------------------------------------------------------------------------


def mark_reverted(changes: Sequence[Change]) -> None:
    """Note which changes are taken back, now that what takes them back is written."""
    done = [c for c in changes if c.undoes and c.outcome == ChangeOutcome.APPLIED]
    by = {pk: change for change in done for pk in change.undoes}
    if not by:
        return
    originals = list(
        Change.objects.filter(pk__in=list(by), outcome=ChangeOutcome.APPLIED)
    )
    for original in originals:
        change = by[original.pk]
        original.outcome = ChangeOutcome.REVERTED
        if change.kind == original.kind == ChangeKind.UPDATE:
            kept = sorted(original.after.keys() - change.after.keys())
            if kept:
                original.error_text = f"Taken back but for {', '.join(kept)}."
    update_rows(originals, ["outcome", "error_text"])
