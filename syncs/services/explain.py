"""Why a record, or a link between two records, is or is not in sync."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from connections.catalogue import Code
from connections.connectors.base import ConnectorError
from connections.records import Side
from syncs.models import ObjectSync, RecordLink, SyncRun
from syncs.run.gates import Gate, Question, Relation, Shut, Walk
from syncs.run.lease import Lease
from syncs.run.looking import BadId, End
from syncs.run.session import Session, open_session
from syncs.run.stage import Stage, make_stages

# Why a mapping has nothing to do with a link that another may follow, the nearest first.
NOT_MINE = (Code.DIRECTION_FORBIDS, Code.TYPE_NOT_MAPPED)
ENDS = ("synced", "enabled", "read", "in_scope", "matched")  # asked of both records


@dataclass(frozen=True, slots=True)
class Explanation:
    """The gates up to the first that is shut, and what the next run would do.

    `about` names what was asked; `linked` says, for two records, which side has the link
    (None where it was not looked at).
    """

    about: str
    in_sync: bool
    gates: tuple[Gate, ...]
    next_run: str = ""
    linked: dict[str, bool] | None = None

    def as_json(self) -> dict[str, Any]:
        """As `explain --json` prints it."""
        gates = [
            {
                "gate": gate.name,
                "ok": gate.ok,
                "code": gate.code,
                "text": gate.text,
                "remedy": gate.remedy,
            }
            for gate in self.gates
        ]
        found: dict[str, Any] = {"in_sync": self.in_sync, "gates": gates}
        if self.linked is not None:
            found["linked"] = self.linked
        return {**found, "about": self.about, "next_run": self.next_run}


def explain(
    *,
    sync: ObjectSync,
    side: Side,
    record_id: str,
    to: tuple[Side, str] | None = None,
    relation: str = "",
) -> Explanation:
    """Go through the gates for one record, or for its link `to` another record.

    Nothing is written. Both systems are asked for the records by id, and HubSpot for the
    one's links; what cannot be reached is said, and our own rows are gone by.

    Args: relation, the key of the only one to look at ("": every one that fits; the first
        that is not in sync is explained).
    Raises: BadId where a system says that the id is none of its.
    """
    with _Asking() as asking:
        if to is None:
            return asking.record(sync, side, record_id)
        return asking.pair(sync, (side, record_id), to, relation)


class _Asking:
    """The sessions of one question: one for each sync that it touches."""

    def __init__(self) -> None:
        self._sessions: dict[int, Session] = {}
        self._stages: dict[int, tuple[Stage, ...]] = {}

    def __enter__(self) -> _Asking:
        return self

    def __exit__(self, *exc: object) -> None:
        for session in self._sessions.values():
            with suppress(ConnectorError):
                session.close()

    def _session(self, sync: ObjectSync) -> Session:
        """A session that can write nothing: its lease is nobody's.

        Raises: Shut where the sync's objects or connections cannot be opened.
        """
        if sync.pk not in self._sessions:
            run = SyncRun(pk=0, sync=sync, dry_run=True)  # never saved
            try:
                session = open_session(run, Lease(sync))
                self._sessions[sync.pk] = session
                session.stages = self._stages[sync.pk] = make_stages()
                for stage in session.stages:
                    stage.prepare(session)
            except ConnectorError as exc:
                text = f"{sync} cannot be looked at: {exc.message}"
                raise Shut(exc.code, text, exc.remedy) from exc
        return self._sessions[sync.pk]

    # One record -------------------------------------------------------------------------

    def record(self, sync: ObjectSync, side: Side, record_id: str) -> Explanation:
        walk, about = Walk(), f"{sync}: {_side(sync, side)} {record_id}"
        with suppress(Shut):
            (end,) = self._ends(walk, [(sync, side, record_id)])
            about = f"{sync}: {end.name()}"
            end.rest(walk)
        in_sync = walk.shut is None and not walk.next_run
        return Explanation(about, in_sync, tuple(walk.gates), " ".join(walk.next_run))

    def _ends(
        self, walk: Walk, asked: Sequence[tuple[ObjectSync, Side, str]]
    ) -> list[End]:
        """Take records through the gates that each must pass, gate by gate.

        Raises: Shut.
        """
        ends: list[End] = []

        def open_() -> str:
            for sync, side, record_id in asked:
                ends.append(End(self._session(sync), side, record_id))
            return _joined(end.synced() for end in ends)

        walk.through("synced", open_)
        walk.through("enabled", lambda: _joined(end.enabled() for end in ends))
        walk.through("read", lambda: _joined(end.read() for end in ends))
        walk.through("in_scope", lambda: _joined(end.in_scope() for end in ends))
        if len(ends) == 1:
            walk.through("matched", ends[0].matched)
        return ends

    # Two records ------------------------------------------------------------------------

    def pair(
        self,
        sync: ObjectSync,
        near: tuple[Side, str],
        far: tuple[Side, str],
        only: str = "",
    ) -> Explanation:
        ways = [way for way in _relations(sync) if not only or way.key == only]
        if not ways:
            return self._untied(sync, near, far)
        first: Explanation | None = None
        tied: Explanation | None = None
        aside: list[Explanation] = []  # of mappings that leave this link alone
        for way in _likely(ways, sync, far):
            # One that points the other way is looked at from its own end.
            turned = way.sync.pk != sync.pk
            found = self._link(way, far, near) if turned else self._link(way, near, far)
            if found.gates[-1].code in NOT_MINE:
                aside.append(found)  # another mapping may hold the two in step
                continue
            if not found.in_sync:
                return found
            first = first or found
            if found.linked and any(found.linked.values()):
                tied = tied or found
        aside.sort(key=lambda found: NOT_MINE.index(found.gates[-1].code))
        answer = tied or next(iter(aside), first)
        assert answer is not None, "there is a way"
        return answer

    def _untied(
        self, sync: ObjectSync, near: tuple[Side, str], far: tuple[Side, str]
    ) -> Explanation:
        """No association mapping leads to another sync or from one."""
        walk = Walk()
        about = f"{sync}: {near[1]} and {_side(sync, far[0])} {far[1]}"

        def none() -> str:
            raise Shut(
                Code.TARGET_NOT_SYNCED,
                f"No association mapping leads from {sync.name} to another sync of "
                f"{sync.app.name}, or from one to it.",
                f"Set up an association mapping of {sync.name}.",
            )

        with suppress(Shut):
            (end,) = self._ends(walk, [(sync, *near)])
            about = f"{sync}: {end.name()} and {_side(sync, far[0])} {far[1]}"
            walk.through("mapped", none)
        return Explanation(about, False, tuple(walk.gates))

    def _link(
        self, way: Relation, near: tuple[Side, str], far: tuple[Side, str]
    ) -> Explanation:
        walk = Walk()
        about = f"{way.name}: {near[1]} and {far[1]}"
        with suppress(Shut):
            asked = [(way.sync, *near), (way.to_sync, *far)]
            ends = self._ends(walk, asked)
            walk.through("matched", lambda: _joined(map(_paired, ends)))
            about = f"{way.name}: {ends[0].name()} and {ends[1].name()}"
            question = Question(
                self._session(way.sync),
                way,
                ends[0].link,
                ends[1].link,
                frozenset(ends[0].unreached),
            )
            for stage in self._stages[way.sync.pk]:
                stage.explain(walk, question)
        gates = self._waiting(walk, way, near, far)
        linked = walk.linked
        same = linked is None or len(set(linked.values())) == 1
        in_sync = walk.shut is None and not walk.next_run and same
        shown = None if linked is None else {str(s): has for s, has in linked.items()}
        return Explanation(about, in_sync, gates, " ".join(walk.next_run), shown)

    def _waiting(
        self, walk: Walk, way: Relation, near: tuple[Side, str], far: tuple[Side, str]
    ) -> tuple[Gate, ...]:
        """The gates; one that is shut before the link is looked at says since when the
        link waits."""
        shut = walk.shut
        if shut is None or shut.name not in ENDS:
            return tuple(walk.gates)
        link = _row(way.sync, near)
        if link is None:
            return tuple(walk.gates)
        other = _row(way.to_sync, far)
        ids = {s: other.id_on(s) if other else None for s in Side} | {far[0]: far[1]}
        known = [stage.waits(way, link, ids) for stage in make_stages()]
        text = " ".join((shut.text, *filter(None, known)))
        last = Gate(shut.name, False, text, shut.code, shut.remedy)
        return (*walk.gates[:-1], last)


def _paired(end: End) -> str:
    """Passed by a pair alone: what has no counterpart cannot be linked there.

    Raises: Shut, with what stands against a counterpart.
    """
    inner = Walk()
    with suppress(Shut):
        inner.through("matched", end.matched)
        if end.link.paired:
            return inner.gates[0].text
        end.rest(inner)
    shut = inner.shut
    if shut is not None and end.link.paired:
        raise Shut(shut.code, shut.text, shut.remedy)
    why = f"{shut.code}: {shut.text}" if shut else " ".join(inner.next_run)
    text = f"{end.name()} is not paired with a record on the other side. {why}"
    raise Shut(Code.TARGET_NOT_MATCHED, text, shut.remedy if shut else "Run the sync.")


def _relations(sync: ObjectSync) -> list[Relation]:
    """What ties a sync to others: what leads from it first, then what leads to it."""
    found = [way for stage in make_stages() for way in stage.relations(sync.pk)]
    return sorted(found, key=lambda way: way.sync.pk != sync.pk)


def _likely(
    ways: Sequence[Relation], sync: ObjectSync, far: tuple[Side, str]
) -> list[Relation]:
    """The ways to a record by its id: to syncs that know it, else to any.

    What leads from the sync is asked before what leads to it.
    """
    known = [way for way in ways if _row(_beyond(way, sync), far) is not None]
    found = known or list(ways)
    out = [way for way in found if way.sync.pk == sync.pk]
    return out or found


def _beyond(way: Relation, sync: ObjectSync) -> ObjectSync:
    return way.to_sync if way.sync.pk == sync.pk else way.sync


def _row(sync: ObjectSync, record: tuple[Side, str]) -> RecordLink | None:
    side, record_id = record
    return RecordLink.objects.filter(sync=sync, **{f"{side}_id": record_id}).first()


def _side(sync: ObjectSync, side: Side) -> str:
    return "HubSpot" if side is Side.HUBSPOT else sync.app.name


def _joined(texts: Iterator[str]) -> str:
    return " ".join(dict.fromkeys(texts))


__all__ = ["BadId", "Explanation", "explain"]
