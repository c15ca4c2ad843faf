"""Write planned links, a batch at a time, and keep what both sides have now."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from django.db import transaction
from django.db.models import Q

from associations.run.carrying import Carrier
from associations.run.closing import later_syncs
from associations.run.ends import AppEnd, by_end, by_kind
from associations.run.insisting import Ends, Insister, Types, less
from associations.run.keeping import COUNTED, KINDS, count, keep, keep_failing
from associations.run.mappings import Pair
from associations.run.parting import part
from associations.run.reading import read_links
from associations.run.restoring import RESTORE, Restorer, Standing
from associations.run.stored import FOLLOWS, types_json, types_of
from associations.run.unmoved import Edges, unmoved
from connections.catalogue import Code
from connections.records import Edge, Linked, Outcome, Side
from syncs.models import Change, RecordLink
from syncs.models.choices import ChangeKind, ChangeOutcome, RecordState
from syncs.run.closing import closes
from syncs.run.identity import marked
from syncs.run.idset import IdSet
from syncs.run.scope import scope_elsewhere, still_in_scope
from syncs.run.sending import FRESH, close, planned, save_changes
from syncs.run.session import Session, now
from syncs.run.stage import Inline
from syncs.run.store import update_rows

TAKING = ("dissociate", "unlabel")
PRIMARY_OPS = ("unlabel", "associate")  # they may take a pair's primary off first
HUBSPOT_BATCH = 2000  # pairs one call to HubSpot may write


class LinkWriter:
    """Applies a run's link changes."""

    def __init__(self, session: Session, pairs: Sequence[Pair]) -> None:
        self.session = session
        self.pairs = {m.key: pair for pair in pairs for m in pair.mappings}
        self.ends = {m.key: m.end for pair in pairs for m in pair.mappings}
        self.carrier = Carrier(session, self.ends, self._in_scope)
        # Syncs whose records the plan at work may still make.
        run = session.run
        plans = run.as_planned and run.undo_of_id is None and not closes(run)
        self.later = later_syncs(run) if plans else set()
        self.touched = IdSet()  # record links whose links were written

    def apply(self) -> None:
        # What is taken off first makes room; an undo's order is its own.
        ops: tuple[tuple[str, ...], ...] = (TAKING, ("associate",))
        if self.session.run.undo_of_id is not None:
            ops = ((),)
        for some in ops:
            which = {"after__op__in": some} if some else {}
            for batch in planned(
                self.session, HUBSPOT_BATCH, Side.HUBSPOT, *KINDS, **which
            ):
                self._to_hubspot(batch)
        size = self.session.app.capabilities.write_batch
        for batch in planned(self.session, size, Side.APP, *KINDS):
            self._to_app(batch)

    def recover(self, left: Sequence[Change]) -> None:
        """Put back what sent changes without an answer may have taken along."""
        grouped: dict[tuple[str, str], list[Change]] = {}
        for change in left:
            near, far = change.link, change.other_link
            if (
                _may_take_along(change)
                and near
                and far
                and near.hubspot_id
                and far.hubspot_id
            ):
                at = str(change.after["to_object"]), str(change.after["op"])
                grouped.setdefault(at, []).append(change)
        for (to_object, op), changes in grouped.items():
            from_object = self.session.object_on(Side.HUBSPOT).id
            known = less(_known(changes), _taken(changes))
            insister = Insister(self.session.hubspot, from_object, to_object, known)
            insister.recover(_edges(changes), taken_off=op == "unlabel")

    def inline(self, creates: Sequence[Change]) -> Mapping[int, Inline]:
        """What records that are about to be created carry."""
        return self.carrier.inline(creates)

    def created(self, creates: Sequence[Change]) -> None:
        """What the creates carried is done."""
        self.touched.update(c.link_id for c in creates)
        self.carrier.created(creates)

    # HubSpot ----------------------------------------------------------------------------

    def _to_hubspot(self, batch: list[Change]) -> None:
        batch = self._ready(batch)
        whole = len(batch)
        batch = self._unmoved(batch)
        if self.session.run.as_planned or len(batch) < whole:
            alone = part(self.session, batch, self.pairs)
            text = "What was to keep the link in HubSpot is not written with this."
            batch = self._without(batch, alone, text)
        grouped: dict[tuple[str, str], list[Change]] = {}
        for change in batch:
            op = str(change.after["op"])
            grouped.setdefault((change.after["to_object"], op), []).append(change)
        for (to_object, op), changes in grouped.items():
            if op == RESTORE:
                self._restore(changes)
            else:
                self._send(to_object, op, changes)

    def _restore(self, changes: list[Change]) -> None:
        """Take links back: several mappings may share a pair of objects, not its plan."""
        self._intend(changes)
        pair = self.pairs[changes[0].mapping_key]
        self._settle(Restorer(self.session, pair, changes).write())

    def _send(self, to_object: str, op: str, changes: list[Change]) -> None:
        edges = _edges(changes)
        hubspot = self.session.hubspot
        call = {
            "associate": hubspot.associate,
            "dissociate": hubspot.dissociate,
            "unlabel": hubspot.unlabel,
        }[op]
        self._intend(changes)
        from_object = self.session.object_on(Side.HUBSPOT).id
        insister = Insister(hubspot, from_object, to_object, _known(changes))
        off = _left_out(changes) if op == "associate" else {}
        kept = insister.take_off(off)
        outcomes = dict(
            zip(edges, call(from_object, to_object, list(edges.values())), strict=True)
        )
        if op == "associate":
            outcomes |= insister.associate(edges, outcomes)
        elif op == "unlabel":
            outcomes |= insister.unlabel(edges, outcomes)
            taken = {ends: edge for ends, edge in edges.items() if outcomes[ends].ok}
            outcomes |= insister.put_back(taken)
        still = insister.still_on(off, kept)
        answered = []
        for change in changes:
            assert change.link is not None
            assert change.other_link is not None
            key = (change.link.hubspot_id or "", change.other_link.hubspot_id or "")
            unlinks = change.kind == ChangeKind.UNLINK
            found = still.get(key) if unlinks else None
            answered.append((change, found or outcomes[key]))
        self._settle(answered)

    def _unmoved(self, batch: list[Change]) -> list[Change]:
        """Read pairs again that were read too long ago; set aside what moved."""
        limit = now() - FRESH
        always = self.session.run.as_planned
        stale = [c for c in batch if always or c.created_at <= limit]
        if not stale:
            return batch
        moved: list[Change] = []
        for to_object in {c.after["to_object"] for c in stale}:
            mine = [c for c in stale if c.after["to_object"] == to_object]
            ids = sorted({c.link.hubspot_id or "" for c in mine if c.link})
            held = read_links(self.session, to_object, ids)
            for change in mine:
                assert change.link is not None
                assert change.other_link is not None
                seen = _stored(held.get(change.link.hubspot_id or "", ()))
                far = change.other_link.hubspot_id or ""
                if change.link_id in self.touched:
                    # Written by this run already: only this pair can be judged.
                    same = seen.get(far, []) == change.before.get("types", [])
                else:
                    same = self._stands(change, seen)
                if not same:
                    moved.append(change)
        if always:
            moved += self._moved_in_app([c for c in batch if c not in moved])
        return self._without(batch, moved)

    # The app ----------------------------------------------------------------------------

    def _to_app(self, batch: list[Change]) -> None:
        batch = self._ready(batch)
        batch = self._without(batch, self._moved_in_app(batch))
        follows = [c for c in batch if c.after.get(FOLLOWS)]
        stay = self._led_nowhere(follows)
        batch = [c for c in batch if c not in stay]
        if self.session.run.as_planned:
            batch = self._unmoved_origin(batch)
        if not batch:
            return
        self._intend(batch)
        for kind, changes in by_kind(by_end(self.ends, batch)):
            written = kind.write(self.session, changes)
            self._settle(written.answered, written.held, written.columns)

    def _moved_in_app(self, batch: list[Change]) -> list[Change]:
        """The changes whose links in the app are not what they were when planned."""
        limit = now() - FRESH
        always = self.session.run.as_planned
        stale: dict[AppEnd, list[RecordLink]] = {}
        for end, changes in by_end(self.ends, batch).items():
            near = {c.link.pk: c.link for c in changes if c.link is not None}
            stale[end] = [
                link for link in near.values() if always or end.stale(link, limit)
            ]
        for kind, work in by_kind(stale):
            kind.refresh(self.session, work)
        fresh = RecordLink.objects.in_bulk([c.link_id for c in batch if c.link_id])
        for change in batch:
            change.link = fresh.get(change.link_id or 0, change.link)
        return [
            c
            for c in batch
            if c.mapping_key not in self.ends or self.ends[c.mapping_key].moved(c)
        ]

    def _led_nowhere(self, follows: Sequence[Change]) -> list[Change]:
        """Set aside those whose pair this run did not take off HubSpot before."""
        if not follows:
            return []
        gone = Change.objects.filter(
            run=self.session.run,
            link__in={c.link_id for c in follows},
            side=Side.HUBSPOT,
            after__op="dissociate",
            outcome=ChangeOutcome.APPLIED,
        )
        ends = set(gone.values_list("link_id", "other_link_id"))
        stay = [c for c in follows if (c.link_id, c.other_link_id) not in ends]
        for change in stay:
            # Nothing moved: to look again now would try again what was just refused.
            text = "The unlink in HubSpot that was to take this along was not written."
            close(change, ChangeOutcome.SKIPPED, "", text)
        save_changes(stay)
        return stay

    def _unmoved_origin(self, batch: list[Change]) -> list[Change]:
        """In an applied plan HubSpot's links must still be what the plan was made from."""
        moved: list[Change] = []
        judged = [c for c in batch if not c.after.get(FOLLOWS)]
        for to_object in {c.origin.get("to_object") for c in judged} - {None}:
            mine = [c for c in judged if c.origin.get("to_object") == to_object]
            ids = sorted({c.link.hubspot_id or "" for c in mine if c.link})
            held = read_links(self.session, str(to_object), ids)
            for change in mine:
                assert change.link is not None
                seen = _stored(held.get(change.link.hubspot_id or "", ()))
                if not self._stands(change, seen):
                    moved.append(change)
        return self._without(batch, moved)

    def _stands(self, change: Change, seen: Edges) -> bool:
        """Whether HubSpot's links are still what the change was decided from."""
        pair = self.pairs.get(change.mapping_key)
        rule = pair.mapped(change.mapping_key).rule if pair else None
        far = change.other_link.hubspot_id if change.other_link else None
        return unmoved(change.origin.get("edges") or {}, seen, far or "", rule)

    # Common -----------------------------------------------------------------------------

    def _ready(self, batch: list[Change]) -> list[Change]:
        """Changes whose two records exist on the written side; the others wait."""
        ids = {i for c in batch for i in (c.link_id, c.other_link_id) if i}
        links = RecordLink.objects.in_bulk(list(ids))
        ready: list[Change] = []
        waiting: list[Change] = []
        for change in batch:
            change.link = links.get(change.link_id or 0)
            change.other_link = links.get(change.other_link_id or 0)
            if all(
                end is not None and end.id_on(Side(change.side)) is not None
                for end in (change.link, change.other_link)
            ):
                ready.append(change)
            else:
                waiting.append(change)
        # Of a plan that was made whole; they stay planned for the second look.
        waiting = [
            c
            for c in waiting
            if c.other_link is None or c.other_link.sync_id not in self.later
        ]
        for change in waiting:
            close(
                change,
                ChangeOutcome.SKIPPED,
                Code.TARGET_NOT_MATCHED,
                "One of the two records is not on this side yet.",
            )
        save_changes(waiting)
        self._dirty(waiting)
        return self._without(ready, [c for c in ready if not self._in_scope(c)])

    def _in_scope(self, change: Change) -> bool:
        """Whether neither end left its filters, or may be another record by now, since
        this was planned."""
        near, far = change.link, change.other_link
        if any(end is not None and marked(end) for end in (near, far)):
            return False
        if near is None or not still_in_scope(self.session, near):
            return False
        pair = self.pairs.get(change.mapping_key)
        if far is None or pair is None or self.session.run.undo_of_id is not None:
            return True
        return scope_elsewhere(self.session, pair.to_sync).inside(far)

    def _without(
        self,
        batch: list[Change],
        moved: list[Change],
        text: str = "The link changed after this was planned.",
    ) -> list[Change]:
        for change in moved:
            close(
                change,
                ChangeOutcome.DRIFTED,
                Code.CHANGED_SINCE_PLAN,
                text,
            )
        save_changes(moved)
        self._dirty(moved)
        if moved:
            self.session.again = True
        gone = {c.pk for c in moved}
        return [c for c in batch if c.pk not in gone]

    def _dirty(self, changes: Sequence[Change]) -> None:
        """Look at records again; one that failed itself waits for its own time."""
        ids = [c.link_id for c in changes if c.link_id]
        links = RecordLink.objects.filter(pk__in=ids)
        links.exclude(state__in=(RecordState.FAILING, RecordState.UNCERTAIN)).update(
            dirty=True
        )

    def _intend(self, changes: Sequence[Change]) -> None:
        for change in changes:
            change.outcome, change.sent_at = ChangeOutcome.SENT, now()
        save_changes(changes)

    def _settle(
        self,
        answered: Sequence[tuple[Change, Outcome]],
        held: Sequence[RecordLink] = (),
        columns: Sequence[str] = (),
    ) -> None:
        """Keep outcomes, links and what the app holds together: a kill between them
        would make the next run take a written link for one that the app took off."""
        done: list[Change] = []
        undone: list[Change] = []
        refused: list[Change] = []
        drifted: list[Change] = []
        for change, outcome in answered:
            change.correlation_id = outcome.correlation_id
            if outcome.code == Code.CHANGED_SINCE_PLAN:
                close(change, ChangeOutcome.DRIFTED, outcome.code, outcome.message)
                drifted.append(change)
            elif outcome.ok:
                close(change, ChangeOutcome.APPLIED)
                (undone if change.undoes else done).append(change)
            elif change.undoes:
                self._not_undone(change, outcome)
            elif outcome.uncertain and _may_take_along(change):
                # It stays sent: the next run puts back what went with a primary.
                change.error_code, change.error_text = Code.TIMED_OUT, outcome.message
                refused.append(change)
            else:
                code = Code.TIMED_OUT if outcome.uncertain else outcome.code
                close(change, ChangeOutcome.FAILED, code, outcome.message)
                refused.append(change)
        # Also of what was refused: some of it may be written, and must not travel.
        looked = [c for c, o in answered if c.undoes and not o.uncertain]
        standing = Standing(self.session, self.pairs, looked).read()
        with transaction.atomic():
            self.session.lease.check()  # else another run looks at what was sent
            save_changes([c for c, _ in answered])
            keep(done)
            standing.keep(held)
            count(self.session, [*done, *undone])
            keep_failing(refused)
            update_rows(held, columns)
            unknown = [c for c in refused if c.error_code == Code.TIMED_OUT]
            self._dirty([*unknown, *drifted])
        self.session.again |= bool(drifted)
        self.touched.update(c.link_id for c in (*done, *undone))
        self.session.advance(
            "writing links", self.session.run.progress_done + len(answered)
        )

    def _not_undone(self, change: Change, outcome: Outcome) -> None:
        """The link stands as it stood; one without an answer is read back later."""
        code = Code.TIMED_OUT if outcome.uncertain else outcome.code
        if outcome.uncertain:
            change.error_code, change.error_text = code, outcome.message
        else:
            close(change, ChangeOutcome.FAILED, code, outcome.message)
        self.session.tally.error(code, f"{change.record}: {outcome.message}")


def _may_take_along(change: Change) -> bool:
    """Whether a write may take off a pair more than it names."""
    return change.side == Side.HUBSPOT and change.after.get("op") in PRIMARY_OPS


def _edges(changes: Sequence[Change]) -> dict[tuple[str, str], Edge]:
    """One write a pair, even where several mappings change it."""
    edges: dict[tuple[str, str], Edge] = {}
    for change in changes:
        near, far = change.link, change.other_link
        assert near is not None
        assert far is not None
        edge = Edge(
            near.hubspot_id or "",
            far.hubspot_id or "",
            types_of(change.after["types"]),
        )
        held = edges.get((edge.from_id, edge.to_id))
        types = edge.types | held.types if held else edge.types
        edges[edge.from_id, edge.to_id] = Edge(edge.from_id, edge.to_id, types)
    return edges


def _left_out(changes: Sequence[Change]) -> dict[tuple[str, str], Edge]:
    """The types that pairs have and shall not have beside what is written to them."""
    found: dict[tuple[str, str], Edge] = {}
    for change in changes:
        off = types_of(change.after.get("off", ()))
        if off and change.link is not None and change.other_link is not None:
            ends = (change.link.hubspot_id or "", change.other_link.hubspot_id or "")
            found[ends] = Edge(*ends, off)
    return found


def _stored(links: Sequence[Linked]) -> dict[str, list[Any]]:
    return {link.to_id: types_json(link.types) for link in links}


def _known(changes: Sequence[Change]) -> dict[str, dict[str, Types]]:
    """What HubSpot had when the changes were planned, by near and far record."""
    return {
        change.link.hubspot_id or "": {
            far: types_of(types) for far, types in change.origin["edges"].items()
        }
        for change in changes
        if change.link is not None
    }


def _taken(changes: Sequence[Change]) -> Iterator[tuple[Ends, Types | None]]:
    """What their runs took off pairs beside these changes, on purpose."""
    rows = Change.objects.filter(
        run__in={c.run_id for c in changes},
        link__in={c.link_id for c in changes},
        side=Side.HUBSPOT,
        after__op__in=TAKING,
    )
    done = Q(outcome__in=(ChangeOutcome.APPLIED, ChangeOutcome.SENT))
    done |= Q(outcome=ChangeOutcome.FAILED, error_code=Code.TIMED_OUT)
    for row in rows.filter(done).select_related("link", "other_link"):
        near, far = row.link, row.other_link
        if near is None or far is None or row.undoes:
            continue
        whole = row.after["op"] == "dissociate"
        ends = near.hubspot_id or "", far.hubspot_id or ""
        yield ends, None if whole else types_of(row.after["types"])


__all__ = ["COUNTED", "KINDS", "LinkWriter"]
