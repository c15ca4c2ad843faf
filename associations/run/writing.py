"""Write planned links, a batch at a time, and keep what both sides have now."""

from __future__ import annotations

from collections.abc import Sequence

from django.db import transaction

from associations.models import AssociationLink, LinkState
from associations.run.insisting import Insister, Types
from associations.run.mappings import Mapped, Pair
from associations.run.restoring import HEAVY, RESTORE, Restorer, Standing
from associations.run.stored import far_ids, stored_ids, types_json, types_of
from connections.catalogue import Code
from connections.records import (
    Edge,
    InlineEdge,
    Outcome,
    Patch,
    Reference,
    Side,
    Want,
)
from syncs.models import Change, RecordLink
from syncs.models.choices import ChangeKind, ChangeOutcome, RecordState
from syncs.run.identity import marked
from syncs.run.idset import IdSet
from syncs.run.plan import wait_after
from syncs.run.pull import reread
from syncs.run.scope import scope_elsewhere, still_in_scope
from syncs.run.session import ALONE, Session, now
from syncs.run.stage import Inline
from syncs.run.store import update_rows
from syncs.run.writes import FRESH, close, planned, save_changes

KINDS = (ChangeKind.LINK, ChangeKind.UNLINK, ChangeKind.RELABEL)
COUNTED = {
    ChangeKind.LINK: "added",
    ChangeKind.UNLINK: "removed",
    ChangeKind.RELABEL: "changed",
}
HUBSPOT_BATCH = 2000  # pairs one call to HubSpot may write


class LinkWriter:
    """Applies a run's link changes."""

    def __init__(self, session: Session, pairs: Sequence[Pair]) -> None:
        self.session = session
        self.pairs = {m.key: pair for pair in pairs for m in pair.mappings}
        self.touched = IdSet()  # record links whose links were written

    def apply(self) -> None:
        one_by_one = (ChangeKind.UNLINK, ChangeKind.RELABEL, ChangeKind.LINK)
        undo = self.session.run.undo_of_id is not None
        for kinds in [KINDS] if undo else [(kind,) for kind in one_by_one]:
            for batch in planned(
                self.session, HUBSPOT_BATCH, kind__in=kinds, side=Side.HUBSPOT
            ):
                self._to_hubspot(batch)
        size = self.session.app.capabilities.write_batch
        for batch in planned(self.session, size, kind__in=KINDS, side=Side.APP):
            self._to_app(batch)

    # What a create carries --------------------------------------------------------------

    def inline(self, creates: Sequence[Change]) -> dict[int, Inline]:
        """References and links of records that are about to be created."""
        by_link = {c.link_id: c for c in creates}
        found: dict[int, Inline] = {}
        for change in self._carried(creates):
            create = by_link[change.link_id]
            far = change.other_link
            there = far.id_on(Side(change.side)) if far is not None else None
            if there is None:
                continue
            inline = found.setdefault(create.pk, Inline())
            if change.side == Side.HUBSPOT:
                inline.edges.append(
                    InlineEdge(
                        change.after["to_object"],
                        there,
                        types_of(change.after["types"]),
                    )
                )
            else:
                field = change.after["field"]
                before = inline.references.get(field, Reference())
                inline.references[field] = Reference((*before.ids, there))
        return {pk: _merged(inline) for pk, inline in found.items()}

    def _carried(self, creates: Sequence[Change]) -> list[Change]:
        """Link changes that go with creates: not of one that must come alone first."""
        ids = [c.link_id for c in creates if c.link_id]
        alone = set(
            RecordLink.objects.filter(
                pk__in=ids, stage_state__has_key=ALONE
            ).values_list("pk", flat=True)
        )
        found = (
            Change.objects.filter(
                run__in={c.run_id for c in creates},
                link__in=ids,
                kind__in=KINDS,
                outcome=ChangeOutcome.PLANNED,
            )
            .select_related("other_link")
            .defer(*(f"other_link__{name}" for name in HEAVY))
        )
        return [
            change
            for change in found
            if change.after.get("inline")
            and change.mapping_key in self.pairs
            and not (change.side == Side.HUBSPOT and change.link_id in alone)
            # Only a plan made before can have outlived its records' scope.
            and (not self.session.run.as_planned or self._in_scope(change))
        ]

    def created(self, creates: Sequence[Change]) -> None:
        """What the creates carried is done."""
        self.touched.update(c.link_id for c in creates)
        sides = {c.link_id: c.side for c in creates}
        done: list[Change] = []
        for change in self._carried(creates):
            far = change.other_link
            if change.side != sides[change.link_id]:
                continue
            if far is None or far.id_on(Side(change.side)) is None:
                continue
            close(change, ChangeOutcome.APPLIED)
            done.append(change)
        links = RecordLink.objects.in_bulk(
            [c.link_id for c in creates if c.link_id and c.side == Side.APP]
        )
        for link in links.values():
            for field in self.session.references:
                if field not in link.app_references:
                    _set_ids(link, field, ())  # a new record holds what it was given
        for change in done:
            if change.side == Side.APP:
                link = links[change.link_id or 0]
                _set_ids(link, change.after["field"], far_ids(change))
        self._keep(done)
        self._count(done)
        update_rows(list(links.values()), ["app_references"])
        save_changes(done)

    # HubSpot ----------------------------------------------------------------------------

    def _to_hubspot(self, batch: list[Change]) -> None:
        batch = self._ready(batch)
        batch = self._unmoved(batch)
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
        hubspot = self.session.hubspot
        call = {
            "associate": hubspot.associate,
            "dissociate": hubspot.dissociate,
            "unlabel": hubspot.unlabel,
        }[op]
        self._intend(changes)
        from_object = self.session.object_on(Side.HUBSPOT).id
        outcomes = dict(
            zip(edges, call(from_object, to_object, list(edges.values())), strict=True)
        )
        insister = Insister(hubspot, from_object, to_object, _known(changes))
        if op == "associate":
            outcomes |= insister.associate(edges, outcomes)
        elif op == "unlabel":
            outcomes |= insister.unlabel(edges, outcomes)
        answered = []
        for change in changes:
            assert change.link is not None
            assert change.other_link is not None
            key = (change.link.hubspot_id or "", change.other_link.hubspot_id or "")
            answered.append((change, outcomes[key]))
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
            held = self.session.hubspot.associations(
                self.session.object_on(Side.HUBSPOT).id, to_object, ids
            )
            for change in mine:
                assert change.link is not None
                assert change.other_link is not None
                links = held.get(change.link.hubspot_id or "", ())
                seen = {e.to_id: types_json(e.types) for e in links}
                if change.link_id in self.touched:
                    # Written by this run already: only this pair can be judged.
                    far = change.other_link.hubspot_id or ""
                    same = seen.get(far, []) == change.before.get("types", [])
                else:
                    same = seen == change.origin.get("edges")
                if not same:
                    moved.append(change)
        if always:
            moved += self._moved_refs([c for c in batch if c not in moved])
        return self._without(batch, moved)

    # The app ----------------------------------------------------------------------------

    def _to_app(self, batch: list[Change]) -> None:
        batch = self._ready(batch)
        batch = self._without(batch, self._moved_refs(batch))
        if self.session.run.as_planned:
            batch = self._unmoved_origin(batch)
        patches: dict[int, dict[str, Reference]] = {}
        rows: dict[int, list[Change]] = {}
        for change in batch:
            fields = patches.setdefault(change.link_id or 0, {})
            fields[change.after["field"]] = Reference(tuple(far_ids(change)))
            rows.setdefault(change.link_id or 0, []).append(change)
        if not patches:
            return
        self._intend(batch)
        sent = [
            Patch(rows[i][0].link.app_id or "", references=references)  # type: ignore[union-attr]
            for i, references in patches.items()
        ]
        outcomes = self.session.app.update(
            self.session.object_on(Side.APP), sent, Want((), self.session.references)
        )
        answered = [
            (change, outcome)
            for link_id, outcome in zip(patches, outcomes, strict=True)
            for change in rows[link_id]
        ]
        self._settle(answered, self._now_held(answered))

    def _now_held(
        self, answered: Sequence[tuple[Change, Outcome]]
    ) -> Sequence[RecordLink]:
        """The app's records with what their reference fields hold now, unsaved."""
        done = [(change, outcome) for change, outcome in answered if outcome.ok]
        links = RecordLink.objects.in_bulk([c.link_id for c, _ in done if c.link_id])
        for change, outcome in done:
            link = links[change.link_id or 0]
            _set_ids(link, change.after["field"], far_ids(change))
            if outcome.record is not None and outcome.record.modified_at:
                link.app_modified_at = outcome.record.modified_at
        return list(links.values())

    def _moved_refs(self, batch: list[Change]) -> list[Change]:
        """The changes whose app record's reference is not what it was when planned."""
        limit = now() - FRESH
        always = self.session.run.as_planned
        near = {c.link.pk: c.link for c in batch if c.link is not None}
        links = [
            link
            for link in near.values()
            if always or (link.app_read_at or limit) <= limit
        ]
        size = self.session.app.capabilities.fetch_batch
        for start in range(0, len(links), size):
            reread(self.session, Side.APP, links[start : start + size])
        fresh = RecordLink.objects.in_bulk([c.link_id for c in batch if c.link_id])
        moved = []
        for change in batch:
            change.link = fresh.get(change.link_id or 0, change.link)
            field = change.after.get("field") or change.before.get("field")
            if not field or change.link is None or "ids" not in change.before:
                continue
            if stored_ids(change.link, field) != change.before["ids"]:
                moved.append(change)
        return moved

    def _unmoved_origin(self, batch: list[Change]) -> list[Change]:
        """In an applied plan HubSpot's links must still be what the plan was made from."""
        moved: list[Change] = []
        for to_object in {c.origin.get("to_object") for c in batch} - {None}:
            mine = [c for c in batch if c.origin.get("to_object") == to_object]
            ids = sorted({c.link.hubspot_id or "" for c in mine if c.link})
            held = self.session.hubspot.associations(
                self.session.object_on(Side.HUBSPOT).id, str(to_object), ids
            )
            for change in mine:
                assert change.link is not None
                seen = {
                    e.to_id: types_json(e.types)
                    for e in held.get(change.link.hubspot_id or "", ())
                }
                if seen != change.origin.get("edges"):
                    moved.append(change)
        return self._without(batch, moved)

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

    def _without(self, batch: list[Change], moved: list[Change]) -> list[Change]:
        for change in moved:
            close(
                change,
                ChangeOutcome.DRIFTED,
                Code.CHANGED_SINCE_PLAN,
                "The link changed after this was planned.",
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
    ) -> None:
        """Keep outcomes, links and what the app holds together: a kill between them
        would make the next run take a written link for one that the app took off."""
        done: list[Change] = []
        undone: list[Change] = []
        refused: list[Change] = []
        for change, outcome in answered:
            change.correlation_id = outcome.correlation_id
            if outcome.ok:
                close(change, ChangeOutcome.APPLIED)
                (undone if change.undoes else done).append(change)
            elif change.undoes:
                self._not_undone(change, outcome)
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
            self._keep(done)
            standing.keep(held)
            self._count([*done, *undone])
            self.keep_failing(refused)
            update_rows(held, ["app_references", "app_modified_at"])
            self._dirty([c for c in refused if c.error_code == Code.TIMED_OUT])
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

    def _count(self, done: Sequence[Change]) -> None:
        for change in done:
            name = COUNTED[ChangeKind(change.kind)]
            self.session.tally.add_link(name, change.side)

    def _keep(self, done: Sequence[Change]) -> None:
        """Both sides have the links written and lack the links removed."""
        rows = [
            AssociationLink(
                mapping_id=int(c.mapping_key),
                link_id=c.link_id,
                other_id=c.other_link_id,
                types=c.after.get("types", []),
            )
            for c in done
            if c.kind != ChangeKind.UNLINK and c.other_link_id and c.link_id
        ]
        ended = {
            (int(c.mapping_key), c.link_id, other)
            for c in done
            for other in c.after.get("ends", [])
        }
        if ended:
            held = AssociationLink.objects.filter(
                link__in={i for _, i, _ in ended}, state=LinkState.IN_SYNC
            ).values_list("pk", "mapping_id", "link_id", "other_id")
            gone = [pk for pk, *at in held if tuple(at) in ended]
            AssociationLink.objects.filter(pk__in=gone).delete()
        self._forget_open(done)
        AssociationLink.objects.bulk_create(rows, batch_size=300, ignore_conflicts=True)

    def _forget_open(self, done: Sequence[Change]) -> None:
        """A link that was pending or failing and is written now is neither."""
        AssociationLink.objects.filter(
            mapping__in={int(c.mapping_key) for c in done},
            link__in={c.link_id for c in done},
            other__in={c.other_link_id for c in done},
        ).exclude(state=LinkState.IN_SYNC).delete()

    def keep_failing(self, refused: Sequence[Change]) -> None:
        """Note links that HubSpot or the app would not take."""
        known = {
            (row.mapping_id, row.link_id, row.other_id): row
            for row in AssociationLink.objects.filter(
                link__in=[c.link_id for c in refused if c.link_id],
                state=LinkState.FAILING,
            )
        }
        new: list[AssociationLink] = []
        for change in refused:
            if not change.link_id:
                continue
            at = (int(change.mapping_key), change.link_id, change.other_link_id)
            row = known.get(at)
            if row is None:
                row = known[at] = AssociationLink(
                    mapping_id=at[0],
                    link_id=at[1],
                    other_id=at[2],
                    state=LinkState.FAILING,
                )
                new.append(row)
            row.side, row.code, row.text = (
                change.side,
                change.error_code,
                change.error_text,
            )
            row.attempts += 1
            row.retry_at = now() + wait_after(row.attempts)
        names = ["side", "code", "text", "attempts", "retry_at"]
        update_rows([row for row in known.values() if row.pk], names)
        AssociationLink.objects.bulk_create(new, batch_size=300, ignore_conflicts=True)


def _known(changes: Sequence[Change]) -> dict[str, dict[str, Types]]:
    """What HubSpot had when the changes were planned, by near and far record."""
    return {
        change.link.hubspot_id or "": {
            far: types_of(types) for far, types in change.origin["edges"].items()
        }
        for change in changes
        if change.link is not None
    }


def _merged(inline: Inline) -> Inline:
    """One edge a pair, with every type that its mappings put on it."""
    edges: dict[tuple[str, str], InlineEdge] = {}
    for edge in inline.edges:
        held = edges.get((edge.to_object, edge.to_id))
        types = edge.types | held.types if held else edge.types
        edges[edge.to_object, edge.to_id] = InlineEdge(
            edge.to_object, edge.to_id, types
        )
    return Inline(inline.references, list(edges.values()))


def _set_ids(link: RecordLink, field: str, ids: Sequence[str]) -> None:
    link.app_references = {
        **link.app_references,
        field: {"ids": list(ids), "complete": True},
    }


__all__ = ["COUNTED", "KINDS", "LinkWriter", "Mapped", "types_json", "types_of"]
