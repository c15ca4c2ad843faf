"""Go on where a sync was, once something it reads is there again.

While a field is missing, a record that is read keeps what the field held only where
nothing shows that the record changed: of the others it is not known. When the field is
there again, perhaps under another name, some records that did not change are asked for it.
If they show what is known, it is the field that it was; then the records of which it is not
known are read, and no others. If not (a column that was made anew is empty, and nobody
emptied it), the side is read completely and the field begins as a first sync.

A table that was away is tried in the same way, by all that is read of it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.db.models import QuerySet

from connections.catalogue import Code
from connections.records import Record, Side
from syncs.models import RecordLink
from syncs.run.idset import pages
from syncs.run.session import AWAY, MISSED, PROBLEMS, READS, MappedField, Session
from syncs.run.store import references_json, update_rows

PROVEN = "proven"  # in a sync's read_state: {"run": pk, side: {name: name it had}}
VALUES_TRIED = 10  # different values of a field that are looked for
OF_EACH = 5  # records with one of them
AT_ONCE = 100  # records that one call reads in any system

JsonDict = dict[str, Any]


# What is to be taken up -----------------------------------------------------------------


def look_for_returned(session: Session) -> None:
    """Note the fields that an earlier run missed and that are there again, and those that
    the set-up calls by another name now."""
    missed = session.sync.read_state.get(MISSED, {})
    for side in Side:
        lacking = set(session.missing.get(side, ()))
        if side is Side.APP:
            lacking |= session.lost_references
        there = set(missed.get(side, ())) - lacking
        session.returned[side] = there & _asked(session, side)
        session.renamed[side] = _renamed(session, side)
    if session.run.place:  # past reading: what was missing then stays so in this run
        for side, names in session.returned.items():
            session.missing[side] = session.missing.get(side, set()) | names
        session.returned, session.renamed = {s: set() for s in Side}, {}
    session.note_missed()


def _asked(session: Session, side: Side) -> set[str]:
    references = set(session.references) if side is Side.APP else set()
    return session.names(side) | references


def _renamed(session: Session, side: Side) -> dict[str, str]:
    """Fields that are mapped in place of ones that are not there any more: {new: old}."""
    held = session.sync.read_state.get(READS) or {}
    exists = session.object_on(side).field
    before = {
        pair[side.other]: pair[side]
        for pair in held.get("pairs", ())
        if exists(pair[side]) is None
    }
    return {
        name: old
        for mapped in session.fields
        if (old := before.get(mapped.name_on(side.other)))
        and (name := mapped.name_on(side)) not in held.get(side, ())
        and name in session.names(side)
    }


def forget(state: JsonDict) -> None:
    """Note in a sync's read_state that both sides were read: nothing is left to take up."""
    state.pop(PROVEN, None)
    state.pop(AWAY, None)


# Taking it up ---------------------------------------------------------------------------


def take_up(session: Session, side: Side) -> bool:
    """Find out what is as it was, and go on there; what is not begins as a first sync.

    Call it when what changed on the side was read.
    Returns: whether that was all; if not, the side has to be read completely.
    """
    wanted = dict.fromkeys(session.returned.get(side, ()), "")
    wanted = {name: name for name in wanted} | session.renamed.get(side, {})
    away = bool(session.sync.read_state.get(AWAY, {}).get(side))
    if not wanted and not away:
        return True
    tried = {name: name for name in _asked(session, side)} if away else {}
    proven = _proven(session, side, tried | wanted)
    resumed = {new: old for new, old in wanted.items() if new in proven}
    session.resumed[side] = resumed
    session.returned[side] -= resumed.keys()
    fresh = sorted(wanted.keys() - resumed.keys())
    _say(session, side, sorted(resumed), fresh)
    if side is Side.APP and fresh:
        for stage in session.stages:
            stage.unknown(session, fresh)
    _carry_over(session, side, {n: o for n, o in resumed.items() if n != o})
    return not fresh and proven >= tried.keys()


def _say(
    session: Session, side: Side, resumed: Sequence[str], fresh: Sequence[str]
) -> None:
    name = session.object_on(side).name
    if resumed:
        session.log(
            f"{name}: {', '.join(resumed)} can be read again and holds what it held; only "
            "records that changed meanwhile are read again."
        )
    if fresh:
        session.log(
            f"{name}: {', '.join(fresh)} can be read again, and nothing shows that it is "
            "what it was: everything is read, and it begins as a first sync."
        )


def read_lacking(session: Session, side: Side, reread: Any) -> None:
    """Read the records of which a resumed field is not known.

    Args: reread, `pull.reread`.
    """
    names = set(session.resumed.get(side, ()))
    if not names:
        return
    size = session.connector(side).capabilities.fetch_batch
    waiting: list[int] = []
    columns = ("pk", f"{side}_values", "app_references")
    for rows in pages(_there(session, side), *columns):
        waiting += [pk for pk, *held in rows if names - _known(session, side, *held)]
        while len(waiting) >= size:
            _read(session, side, waiting[:size], reread)
            del waiting[:size]
    if waiting:
        _read(session, side, waiting, reread)


def _read(session: Session, side: Side, keys: Sequence[int], reread: Any) -> None:
    links = list(RecordLink.objects.filter(pk__in=keys))
    reread(session, side, links, conclude=False)
    session.breathe()


def _there(session: Session, side: Side) -> QuerySet[RecordLink]:
    gone = {f"{side}_gone_at__isnull": True, f"{side}_vanished_at__isnull": True}
    return RecordLink.objects.filter(
        sync=session.sync, **{f"{side}_id__isnull": False}, **gone
    )


def _known(
    session: Session, side: Side, values: JsonDict, references: JsonDict
) -> set[str]:
    """The names of which something is known, that they are unreadable perhaps.

    The record by which a field was missed first has that noted, and is read again, too.
    """
    problems = values.get(PROBLEMS) or {}
    odd = {n for n, (code, _) in problems.items() if code != Code.FIELD_MISSING}
    known = values.keys() | odd
    return known | references.keys() if side is Side.APP else set(known)


def _carry_over(session: Session, side: Side, names: Mapping[str, str]) -> None:
    """Call fields by their new names in what is stored."""
    if not names:
        return
    keys = {
        _key_before(mapped, side, names[name]): mapped.key
        for mapped in session.fields
        if (name := mapped.name_on(side)) in names
    }
    last = 0
    mine = RecordLink.objects.filter(sync=session.sync)
    while rows := list(mine.filter(pk__gt=last).order_by("pk")[:1000]):
        last = rows[-1].pk
        for row in rows:
            values = row.values_on(side)
            held = {
                new: values[old]
                for new, old in names.items()
                if old in values and new not in values
            }
            setattr(row, f"{side}_values", values | held)
            row.baseline |= {
                new: row.baseline[old]
                for old, new in keys.items()
                if old in row.baseline and new not in row.baseline
            }
        with session.storing:
            update_rows(rows, [f"{side}_values", "baseline"])
        session.lease.check()


def _key_before(mapped: MappedField, side: Side, old: str) -> str:
    """The key that a mapping of the same meaning had under a field's old name."""
    now = {s: mapped.name_on(s) for s in Side}
    before = now | {side: old}
    rest = mapped.key.removeprefix(f"{now[Side.HUBSPOT]}={now[Side.APP]}")
    return f"{before[Side.HUBSPOT]}={before[Side.APP]}{rest}"


# Proof ----------------------------------------------------------------------------------


def _proven(session: Session, side: Side, names: Mapping[str, str]) -> set[str]:
    """Those fields of {name now: name it had} that are what they were: one call."""
    noted = session.sync.read_state.get(PROVEN, {})
    if noted.get("run") == session.run.pk and side in noted:
        return (
            set(noted[side]) & names.keys()
        )  # in an earlier slice, before all was read
    witnesses = _witnesses(session, side, names)
    found = dict(_compare(session, side, names, witnesses)) if witnesses.rows else {}
    proven = {name for name in names if _same(found.get(name, []))}
    run = session.run.pk
    session.keep(
        lambda state: state.update(
            {PROVEN: _of_run(state.get(PROVEN), run) | {side: sorted(proven)}}
        ),
    )
    return proven


def _of_run(noted: JsonDict | None, run: int) -> JsonDict:
    return noted if noted and noted.get("run") == run else {"run": run}


@dataclass
class Witnesses:
    """Records whose values of some fields are known, several of each of some values.

    `rows` by record id; `values` are the different ones known of each field, as text.
    """

    rows: dict[str, tuple[JsonDict, datetime | None]] = field(default_factory=dict)
    values: dict[str, dict[str, int]] = field(default_factory=dict)

    def take(self, record_id: str, held: JsonDict, at: datetime | None) -> None:
        """Have a record bear witness where it adds to the others."""
        if not any(self._adds(name, text) for name, text in held.items()):
            return
        self.rows[record_id] = held, at
        for name, text in held.items():
            seen = self.values.setdefault(name, {})
            if text in seen or len(seen) < VALUES_TRIED:
                seen[text] = seen.get(text, 0) + 1

    def _adds(self, name: str, text: str) -> bool:
        seen = self.values.get(name, {})
        if text not in seen and len(seen) < 2:
            return True
        room = len(self.rows) < AT_ONCE
        return room and len(seen) < VALUES_TRIED and seen.get(text, 0) < OF_EACH

    def enough(self, names: Mapping[str, str]) -> bool:
        """Whether a field that was made anew could not show the same any more."""
        seen = [self.values.get(name, {}) for name in names]
        return all(len(v) > 1 and sum(v.values()) > OF_EACH for v in seen)


def _same(shown: Sequence[tuple[str, str]]) -> bool:
    """Whether what records show of a field, beside what is known, proves it the same.

    A new field has one value everywhere, a blank or a default.
    """
    known = {known for known, _ in shown}
    return len(known) > 1 and all(known == now for known, now in shown)


def _witnesses(session: Session, side: Side, names: Mapping[str, str]) -> Witnesses:
    found = Witnesses()
    rows = _there(session, side).filter(**{f"{side}_seen__lt": session.run.pk})
    columns = (f"{side}_id", f"{side}_values", "app_references", f"{side}_modified_at")
    for some in pages(rows, *columns):
        for record_id, values, references, at in some:
            found.take(record_id, _texts(side, names, values, references), at)
        if found.enough(names):
            break
    return found


def _texts(
    side: Side, names: Mapping[str, str], values: JsonDict, references: JsonDict
) -> dict[str, str]:
    """What is known of a record's fields, in words to compare."""
    held = {new: values[old] for new, old in names.items() if old in values}
    if side is Side.APP:
        held |= {n: references[o] for n, o in names.items() if o in references}
    return {name: json.dumps(value, sort_keys=True) for name, value in held.items()}


def _compare(
    session: Session, side: Side, names: Mapping[str, str], witnesses: Witnesses
) -> Iterator[tuple[str, list[tuple[str, str]]]]:
    """By field, what is known of records and what they show, of those that did not move
    meanwhile by their own time."""
    fetched = session.connector(side).fetch(
        session.object_on(side), list(witnesses.rows), session.want(side)
    )
    session.seen(side, list(fetched.records.values()))
    shown: dict[str, list[tuple[str, str]]] = {name: [] for name in names}
    for record_id, (known, at) in witnesses.rows.items():
        record = fetched.records.get(record_id)
        if record is None or record.id != record_id or record.modified_at != at:
            continue
        now = _texts(side, {n: n for n in names}, *_held(session, side, record))
        for name, text in known.items():
            shown[name].append((text, now.get(name, "")))
    yield from shown.items()


def _held(session: Session, side: Side, record: Record) -> tuple[JsonDict, JsonDict]:
    values = session.canonical_values(side, record)
    return dict(values), references_json(record.references.items())
