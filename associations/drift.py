"""Every link that stands on one side only, and why.

HubSpot's links are read as the report is made, a thousand records at a time, and the
app's fields are taken as they were last read. Nothing is written and nothing kept.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from associations.engine.edges import Result, State
from associations.models import AssociationLink, LinkState
from associations.run.mappings import Mapped, Pair
from associations.run.planning import LinkPlanner
from associations.run.reading import read_links
from associations.stages import AssociationStage
from connections.catalogue import Code
from connections.connectors.base import ConnectorError
from connections.records import Side
from syncs.models import ObjectSync, RecordLink, SyncRun
from syncs.run.lease import Lease
from syncs.run.naming import show
from syncs.run.session import Session, open_session
from syncs.run.stage import Chunk

AT_ONCE = 1000  # records whose links one call reads
COLUMNS = (
    "mapping",
    "record",
    "hubspot_id",
    "app_id",
    "linked_record",
    "linked_hubspot_id",
    "linked_app_id",
    "stands_on",
    "reason",
    "code",
    "text",
)
WORDS = {
    "pending": "The linked record is not paired yet.",
    "invisible": "The linked record is gone, or not synced.",
    "excluded": "A record is outside of its sync's filters.",
    "direction": "The mapping's direction does not let it travel.",
    "apart": "An undo left it on one side; it stays until somebody changes it.",
    "ambiguous": "HubSpot has several links, none of them primary; the field holds one.",
    "single": "The field holds one record, and it holds another of HubSpot's links.",
    "conflict": "Both sides changed; a person decides.",
    "unknown": "A side did not show all of the record's links.",
    "next_run": "The next run writes it, or takes it off.",
    "kept": "It was left as it is when both sides were compared.",
}


@dataclass(frozen=True, slots=True)
class Drift:
    """One link on one side; `far` is None where a whole list is not known."""

    mapped: Mapped
    near: RecordLink
    far: RecordLink | None
    remote_id: str
    side: str
    reason: str
    code: str = ""
    text: str = ""

    def row(self) -> tuple[str, ...]:
        far = self.far
        on_hubspot = self.side == Side.HUBSPOT
        there, here = (self.remote_id, "") if on_hubspot else ("", self.remote_id)
        if far is not None:
            there, here = far.hubspot_id or "", far.app_id or ""
        return (
            str(self.mapped.row),
            show(self.near),
            self.near.hubspot_id or "",
            self.near.app_id or "",
            show(far) if far is not None else self.remote_id,
            there,
            here,
            self.side,
            self.reason,
            self.code,
            self.text or WORDS.get(self.reason, ""),
        )


def drift(sync: ObjectSync) -> Iterator[Drift]:
    """Compare the links of a sync's paired records, some at a time.

    Raises: ConnectorError.
    """
    with _looking(sync) as (session, pairs):
        last = 0
        while pairs:
            links = list(
                RecordLink.objects.filter(
                    sync=sync,
                    pk__gt=last,
                    hubspot_id__isnull=False,
                    app_id__isnull=False,
                ).order_by("pk")[:AT_ONCE]
            )
            if not links:
                return
            last = links[-1].pk
            for pair in pairs:
                yield from _Comparison(session, pair, links).rows()


@contextmanager
def _looking(sync: ObjectSync) -> Iterator[tuple[Session, tuple[Pair, ...]]]:
    """A session that can write nothing: its lease is nobody's, its run never saved."""
    session = open_session(SyncRun(pk=0, sync=sync, dry_run=True), Lease(sync))
    try:
        stage = AssociationStage()
        session.stages = (stage,)
        stage.prepare(session)
        yield session, stage.pairs
    finally:
        with suppress(ConnectorError):
            session.close()


class _Planner(LinkPlanner):
    """Looks also at records whose links rest."""

    def _takes_part(self, link: RecordLink) -> bool:
        return True

    def look(self, link: RecordLink) -> Result:
        return self._merge(link)


class _Comparison:
    """Some records' links under one pair of objects."""

    def __init__(self, session: Session, pair: Pair, links: list[RecordLink]) -> None:
        self.session, self.pair = session, pair
        ids = [x.hubspot_id for x in links if x.hubspot_id and not x.hubspot_gone_at]
        edges = read_links(session, pair.to_object, ids) if ids else {}
        for mapped in pair.mappings:
            mapped.end.load(session, links)
        chunk = Chunk(session, links, set())
        self.links, self.planner = links, _Planner(chunk, pair, edges)

    def rows(self) -> Iterator[Drift]:
        for near in self.links:
            if near.lost:
                continue  # its links went with it
            result = self.planner.look(near)
            for mapped in self.pair.mappings:
                yield from self._of(near, mapped, result)

    def _of(self, near: RecordLink, mapped: Mapped, result: Result) -> Iterator[Drift]:
        hubspot, states = self.planner.seen(near)
        state = states[mapped.key]
        if hubspot is None or state.app is None:
            side = Side.HUBSPOT if hubspot is None else Side.APP
            yield Drift(mapped, near, None, "", side, "unknown")
            return
        there = {k for k, types in hubspot.items() if mapped.rule.counts(types)}
        here, fars = set(state.app), self.planner.fars
        why = _Why(mapped, state, result, self.planner.ledger.open(mapped, near))
        inside = self.planner.scope.inside(near)
        single = not mapped.rule.many and bool(here & there)
        for key in sorted(there ^ here):
            side = Side.HUBSPOT if key in there else Side.APP
            status = fars.far(key).status
            if not inside:
                reason, code, text = "excluded", "", ""
            elif status != "paired":
                reason, code, text = str(status), "", ""
            else:
                reason, code, text = why.of(key, side)
                reason = "single" if single and reason == "kept" else reason
            far, remote = fars.link_of(key), fars.remote_id(key)
            yield Drift(mapped, near, far, remote, side, reason, code, text)


@dataclass
class _Why:
    """Why links between paired records stand on one side only."""

    mapped: Mapped
    state: State
    result: Result
    open: Sequence[AssociationLink]

    def of(self, key: int, side: Side) -> tuple[str, str, str]:
        """The reason, its code and its text, for one far record."""
        mine = self.mapped.key
        refused = [r for r in self.open if r.state == LinkState.FAILING]
        failing = [f for f in self.result.failing if f.mapping_key == mine]
        if key in self.state.apart:
            return "apart", "", ""
        for row in refused:
            if row.other_id == key:
                return "failing", row.code, row.text
        for found in failing:
            if found.far_key in (None, key):
                several = found.code == Code.TARGET_AMBIGUOUS
                return "ambiguous" if several else "failing", found.code, found.message
        for waiting in self.result.pending:
            if (waiting.mapping_key, waiting.far_key) == (mine, key):
                return "conflict", waiting.code, waiting.message
        changes = [c for c in self.result.changes if c.mapping_key == mine]
        if any(key == c.far_key or key in c.ends for c in changes):
            return "next_run", "", ""
        lost = key in (self.state.base or {})  # taken off there, and not here
        if not self.mapped.rule.lets(side if lost else side.other):
            return "direction", Code.DIRECTION_FORBIDS, ""
        return "kept", "", ""
