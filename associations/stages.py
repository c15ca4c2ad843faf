"""The association stage: links three-way, after the records they hang on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from django.db import transaction
from django.db.models import Count, Q, QuerySet

from associations.models import AssociationLink, AssociationMapping, By, LinkState
from associations.run import explaining
from associations.run.answers import (
    Pairs,
    note_answers,
    remember_half,
    took_effect,
)
from associations.run.closing import (
    LATER,
    Later,
    can_close,
    paired_by_now,
    read_by_now,
    renew,
)
from associations.run.ends import AppEnd, by_end, by_kind
from associations.run.keeping import COUNTED, KINDS
from associations.run.key_ends import named_by_now
from associations.run.ledger import NOTE
from associations.run.mappings import Pair, load_pairs
from associations.run.planning import Edges, LinkPlanner
from associations.run.proving import PLACE, Proof
from associations.run.reading import read_links
from associations.run.restoring import Standing
from associations.run.retrying import targets_moved
from associations.run.sharing import shares
from associations.run.skipping import count_skipped, in_scope_again
from associations.run.troubles import forget_links
from associations.run.undoing import LinkUndoer
from associations.run.writing import LinkWriter
from connections.records import Side
from syncs.models import Change, RecordLink, SyncRun
from syncs.models.choices import ChangeKind, ChangeOutcome, RecordState
from syncs.run.closing import closes
from syncs.run.gates import Question, Relation, Walk
from syncs.run.holding import check_limits
from syncs.run.idset import IdSet, pages
from syncs.run.planning import show
from syncs.run.pull import reread
from syncs.run.sending import close, note_planned, save_changes
from syncs.run.session import Session
from syncs.run.stage import Chunk, Ids, Inline, Undoing
from syncs.run.store import save_links
from syncs.run.unknown import unfinished

FROZEN = (RecordState.GONE, RecordState.EXCLUDED)
READ_AT_ONCE = 1000  # records whose links one call reads
SETTLING_PASSES = 2  # reads back of what was written, each with its own writes


class AssociationStage:
    """Links, unlinks and relabels."""

    name = "associations"

    def __init__(self) -> None:
        self.pairs: tuple[Pair, ...] = ()
        self._mapped = True  # that work or not
        self._edges: dict[str, Edges] = {}
        self._writer: LinkWriter | None = None
        self._proof: Proof | None = None
        self._later: Later | None = None

    def targets(self, sync_ids: Sequence[int]) -> Mapping[int, set[int]]:
        found: dict[int, set[int]] = {}
        rows = AssociationMapping.objects.filter(sync__in=sync_ids)
        for sync_id, target in rows.values_list("sync_id", "to_sync_id"):
            found.setdefault(sync_id, set()).add(target)
        return found

    def prepare(self, session: Session) -> None:
        # Also of mappings whose target is off now: a change read past is not seen again.
        mine = AssociationMapping.objects.filter(sync=session.sync)
        rows = list(mine.select_related("to_sync__app"))
        by_key = {row.app_field for row in rows if row.by == By.MATCH_KEY}
        session.extra_fields.setdefault(Side.APP, set()).update(by_key)
        names = {row.app_field for row in rows if row.by == By.REFERENCE}
        if any(session.object_on(Side.APP).reference(name) is None for name in names):
            session.refresh(Side.APP)  # it may be there again
        known = session.object_on(Side.APP).reference
        session.references = tuple(sorted(n for n in names if known(n)))
        session.lost_references = names - set(session.references)
        self.pairs, self._mapped = load_pairs(session, rows), bool(rows)
        self._writer = LinkWriter(session, self.pairs)
        self._proof = Proof(session, self.pairs)
        self._later = Later(session.run)

    @property
    def later(self) -> Later:
        assert self._later is not None, "prepare() comes first"
        return self._later

    @property
    def writer(self) -> LinkWriter:
        assert self._writer is not None, "prepare() comes first"
        return self._writer

    # Plan -------------------------------------------------------------------------------

    def read(self, chunk: Chunk) -> None:
        """Read HubSpot's links of the chunk's records, a call per pair of objects."""
        session = chunk.session
        ids = [
            link.hubspot_id
            for link in chunk.links
            if link.hubspot_id is not None and link.hubspot_gone_at is None
        ]
        self._edges = {
            pair.to_object: read_links(session, pair.to_object, ids) if ids else {}
            for pair in self.pairs
        }
        for end in self.writer.ends.values():
            end.load(session, chunk.links)
        self._confirm_ends(chunk)

    def _confirm_ends(self, chunk: Chunk) -> None:
        """Make sure that records which seem to have lost every link still exist.

        HubSpot answers "no associations" for a record that is gone, too, and a row of an
        app may take its links with it.
        """
        beside = [e for e in self.writer.ends.values() if not e.with_record]
        bare = {
            Side.HUBSPOT: [
                link
                for link in chunk.links
                if link.hubspot_id is not None
                and any(e.get(link.hubspot_id) == () for e in self._edges.values())
            ],
            Side.APP: [
                link
                for link in chunk.links
                if link.app_id is not None and any(e.ids(link) == [] for e in beside)
            ],
        }
        suspects = {side: _that_had_links(links) for side, links in bare.items()}
        for side, links in suspects.items():
            size = chunk.session.connector(side).capabilities.fetch_batch
            for start in range(0, len(links), size):
                reread(chunk.session, side, links[start : start + size])
        known = [link.pk for links in suspects.values() for link in links]
        if known:
            fresh = RecordLink.objects.in_bulk(known)
            chunk.links = [fresh.get(link.pk, link) for link in chunk.links]
            for end in self.writer.ends.values():
                if end.with_record:  # what it held may mean another record by now
                    end.load(chunk.session, list(fresh.values()))

    def plan(self, chunk: Chunk) -> None:
        for pair in self.pairs:
            edges = self._edges.get(pair.to_object, {})
            for links in shares(chunk.links, partial(_links_of, pair, edges)):
                planner = LinkPlanner(chunk, pair, edges, self._proof, links=links)
                planner.plan()
                if pair.to_sync.pk in self.later.targets:
                    self.later.add(planner.waiting)

    def place(self) -> Mapping[str, Any]:
        if self._proof is None:
            return {}
        later = self.later.json()
        return {PLACE: self._proof.json()} | ({LATER: later} if later else {})

    def swept(self, session: Session) -> None:
        if self._proof is not None:
            self._proof.keep()

    # Write ------------------------------------------------------------------------------

    def inline(
        self, session: Session, creates: Sequence[Change]
    ) -> Mapping[int, Inline]:
        return self.writer.inline(creates)

    def created(self, session: Session, creates: Sequence[Change]) -> None:
        self.writer.created(creates)

    def undo(self, undoing: Undoing) -> None:
        LinkUndoer(undoing, self.pairs).plan()

    def apply(self, session: Session) -> None:
        """Write the links, read back what was written, and settle what that shows."""
        if session.run.as_planned and closes(session.run):
            renew(session, self._look)
        self._writer_apply()
        if session.run.undo_of_id is not None:
            return  # what was taken back was read back, and nothing else is written
        for _ in range(SETTLING_PASSES):
            links, self.writer.touched = self.writer.touched, IdSet()
            for some in self._resolvable(session):
                links.update(some)
            if not links or not self._settle(session, links):
                break
            check_limits(session)
            note_planned(session)
            self._writer_apply()

    def interrupted(self, session: Session) -> None:
        """Let the run's next plan read back what was written in this slice."""
        for some in self.writer.touched.chunks(READ_AT_ONCE):
            RecordLink.objects.filter(pk__in=some).update(dirty=True)
            session.again = True

    def _writer_apply(self) -> None:
        self.writer.apply()

    def _settle(self, session: Session, link_ids: IdSet) -> int:
        """Plan the links of some records again. Returns how many changes that made."""
        planned = 0
        for some in link_ids.chunks(READ_AT_ONCE):
            chunk = self._look(session, some, told=True)
            if session.run.as_planned:
                _leave_unplanned(chunk)
            with transaction.atomic():
                session.lease.check()
                Change.objects.bulk_create(chunk.changes, batch_size=300)
                save_links([x for x in chunk.links if x.pk in chunk.touched])
            planned += len(chunk.changes)
        return planned

    def _look(
        self, session: Session, link_ids: Sequence[int], *, told: bool = False
    ) -> Chunk:
        """Read and plan the links of some records. Args: told, what this run wrote is
        noted as it is read back."""
        links = list(RecordLink.objects.filter(pk__in=link_ids).order_by("pk"))
        chunk = Chunk(session, links, set())
        self.read(chunk)
        if told:
            note_answers(session, link_ids, self._edges)
        self.plan(chunk)
        return chunk

    def _resolvable(self, session: Session) -> Iterator[list[int]]:
        """Records with a pending link whose far record is paired by now, or with one
        that was skipped while its far record was out of scope, some at a time.

        What waits for a person is looked at when a side changes."""
        if not self.pairs:
            return
        for skipped in in_scope_again(session, self.pairs):
            yield from _link_ids(skipped)
        yield from _link_ids(paired_by_now(session.sync.pk))

    # What earlier runs left -------------------------------------------------------------

    def resolve(self, session: Session) -> None:
        """Links sent without an answer are read again; pending ones may have a far end."""
        left = [c for c in unfinished(session, ChangeOutcome.SENT) if c.kind in KINDS]
        self._reread_app(session, left)
        self._resolve_undone(session, [c for c in left if c.undoes])
        if not session.run.dry_run:
            self.writer.recover([c for c in left if not c.undoes])
        for change in left:
            if change.undoes or session.run.dry_run:
                continue  # a preview puts nothing back, so that the next run must
            if change.error_code:  # its run noted that no answer came
                close(
                    change, ChangeOutcome.FAILED, change.error_code, change.error_text
                )
            else:
                text = "Unknown; read again by the next run."
                close(change, ChangeOutcome.SKIPPED, "", text)
        session.lease.check()
        save_changes([c for c in left if not c.undoes])
        asked = [c.link_id for c in left if c.link_id]
        for due in (
            asked,
            *self._possible_now(session),
            *(_link_ids(targets_moved(session)) if self._mapped else ()),
        ):
            if due:
                RecordLink.objects.filter(pk__in=due).update(dirty=True)

    def _resolve_undone(self, session: Session, left: Sequence[Change]) -> None:
        """Whether or not it took effect: what stands on one side alone stands apart."""
        if not left:
            return
        links = RecordLink.objects.in_bulk([c.link_id for c in left if c.link_id])
        known: list[Change] = []
        for change in left:
            change.link = links.get(change.link_id or 0)
            if change.link is not None and change.mapping_key in self.writer.pairs:
                known.append(change)
            else:
                close(change, ChangeOutcome.SKIPPED, "", "It is not known any more.")
        standing = Standing(session, self.writer.pairs, known).read()
        halves: list[tuple[Change, Pairs]] = []
        for change in known:
            held = standing.of(change)
            if held is None and change.side == Side.HUBSPOT:
                continue  # still not known
            assert change.link is not None
            end = self.writer.ends[change.mapping_key]
            if took_effect(change, held or {}, change.link, end):
                close(change, ChangeOutcome.APPLIED)
            else:
                close(change, ChangeOutcome.SKIPPED, "", "It did not take effect.")
                halves.append((change, held or {}))
        with transaction.atomic():
            session.lease.check()
            standing.keep()
            for change, found in halves:
                remember_half(change, found)
            save_changes(left)

    def _reread_app(self, session: Session, left: Sequence[Change]) -> None:
        """Not every app moves a record's change time with its links."""
        sent = [c for c in left if c.side == Side.APP and c.link_id]
        there = RecordLink.objects.filter(
            app_id__isnull=False, app_gone_at__isnull=True
        ).in_bulk([c.link_id for c in sent if c.link_id])
        work: dict[AppEnd, list[RecordLink]] = {}
        for end, changes in by_end(self.writer.ends, sent).items():
            ids = {c.link_id or 0 for c in changes}
            work[end] = [there[i] for i in ids if i in there]
        for kind, links in by_kind(work):
            kind.refresh(session, links)

    # Circles of syncs --------------------------------------------------------------------

    def can_close(self, run: SyncRun, later: Collection[int]) -> bool:
        return can_close(run, later)

    def closable(self, session: Session) -> Iterator[list[int]]:
        if session.run.dry_run:
            yield from self.later.ids(session.sync.pk)
        else:
            yield from self._possible_now(session)

    def _possible_now(self, session: Session) -> Iterator[list[int]]:
        """Records with a link that waited, and may wait for nothing any more."""
        if not self._mapped:
            return
        yield from self._resolvable(session)
        sync_id = session.sync.pk
        for rows in (*read_by_now(sync_id), *named_by_now(sync_id)):
            yield from _link_ids(rows)

    def absorbed(self, links: Mapping[int, int]) -> None:
        rows = AssociationLink.objects.filter(
            Q(link__in=list(links)) | Q(other__in=list(links))
        )
        for row in rows:
            row.link_id = links.get(row.link_id, row.link_id)
            if row.other_id is not None:
                row.other_id = links.get(row.other_id, row.other_id)
            same = AssociationLink.objects.filter(
                mapping=row.mapping_id,
                link=row.link_id,
                other=row.other_id,
                other_remote_id=row.other_remote_id,
                state=row.state,
            ).exclude(pk=row.pk)
            if same.exists():
                row.delete()
            else:
                row.save(update_fields=["link", "other"])

    def unknown(self, session: Session, names: Collection[str]) -> None:
        """Begin the links of such fields as a first sync: they came back empty, perhaps,
        and nobody took links off."""
        rows = AssociationMapping.objects.filter(sync=session.sync, app_field__in=names)
        with session.storing:
            for row in rows.exclude(by=By.JOIN_TABLE):
                forget_links(row)

    def revived(self, link_ids: Sequence[int]) -> None:
        """What vanished with a record is no unlink once it is back: without types, a
        link of the baseline counts as new wherever it still is."""
        AssociationLink.objects.filter(
            Q(link__in=link_ids) | Q(other__in=link_ids), state=LinkState.IN_SYNC
        ).update(types=[])

    def released(self, link_id: int) -> None:
        AssociationLink.objects.filter(Q(link=link_id) | Q(other=link_id)).delete()
        link = RecordLink.objects.get(pk=link_id)
        link.stage_state = {k: v for k, v in link.stage_state.items() if k != NOTE}
        link.save(update_fields=["stage_state"])

    def retry(self, sync_id: int) -> None:
        rows = AssociationLink.objects.filter(
            mapping__sync=sync_id, state=LinkState.FAILING
        )
        # A record that is due has none of its links rest.
        RecordLink.objects.filter(pk__in=rows.values("link")).update(dirty=True)

    # Explain ----------------------------------------------------------------------------

    def relations(self, sync_id: int) -> Sequence[Relation]:
        return explaining.relations(sync_id)

    def waits(self, relation: Relation, near: RecordLink, far_ids: Ids) -> str:
        return explaining.waits(relation, near, far_ids)

    def explain(self, walk: Walk, question: Question) -> None:
        explaining.LinkLook(walk, question, self.pairs).explain()

    # Count ------------------------------------------------------------------------------

    def work(self, session: Session) -> None:
        planned = (
            Change.objects.filter(
                run=session.run, outcome=ChangeOutcome.PLANNED, kind__in=KINDS
            )
            .values_list("kind", "side")
            .annotate(count=Count("pk"))
            .order_by()
        )
        for kind, side, count in planned:
            session.tally.add_link(COUNTED[ChangeKind(kind)], side, count)

    def totals(self, session: Session) -> Mapping[str, Any]:
        rows = AssociationLink.objects.filter(mapping__sync=session.sync)
        states = dict(rows.values_list("state").annotate(count=Count("pk")).order_by())
        failing = rows.filter(state=LinkState.FAILING).select_related("link")
        by_code = failing.values_list("code").annotate(Count("pk")).order_by()
        for code, count in by_code if LinkState.FAILING in states else ():
            row = failing.filter(code=code).order_by("pk")[0]
            session.tally.error(code, f"{show(row.link)}: {row.text}", count=count)
        frozen = _frozen(session, rows) if states else Counter()
        return {
            "associations": {
                "in_sync": states.get(LinkState.IN_SYNC, 0)
                - frozen.get(LinkState.IN_SYNC, 0),
                "pending": states.get(LinkState.PENDING, 0)
                - frozen.get(LinkState.PENDING, 0),
                "skipped": states.get(LinkState.APART, 0)
                + (count_skipped(rows) if LinkState.SKIPPED in states else 0)
                + sum(frozen.values()),
                "failing": states.get(LinkState.FAILING, 0),
            }
        }


def _links_of(pair: Pair, edges: Edges, link: RecordLink) -> int:
    """How many links of a pair of objects a record has, as either side was read."""
    in_app = sum(len(m.end.ids(link) or ()) for m in pair.mappings)
    return len(edges.get(link.hubspot_id or "", ())) + in_app


def _that_had_links(links: Sequence[RecordLink]) -> list[RecordLink]:
    """Those of some records that both sides had a link of."""
    if not links:
        return []
    rows = AssociationLink.objects.filter(
        link__in=[link.pk for link in links], state=LinkState.IN_SYNC
    )
    had = set(rows.values_list("link_id", flat=True))
    return [link for link in links if link.pk in had]


def _leave_unplanned(chunk: Chunk) -> None:
    """Settle nothing that the plan at work does not hold: what a person did not see, still
    has to decide, dropped, or what moved since. The next run looks at those records."""
    rows = Change.objects.filter(
        run=chunk.session.run,
        link__in=[link.pk for link in chunk.links],
        kind__in=KINDS,
    ).exclude(outcome=ChangeOutcome.DRIFTED)
    mine = set(rows.values_list("link_id", "mapping_key", "other_link_id"))
    left = [
        c
        for c in chunk.changes
        if (c.link_id, c.mapping_key, c.other_link_id) not in mine
    ]
    chunk.changes = [c for c in chunk.changes if c not in left]
    ids = {c.link_id for c in left}
    for link in chunk.links:
        if link.pk in ids:
            link.dirty = True
            chunk.touched.add(link.pk)


def _frozen(session: Session, rows: QuerySet[AssociationLink]) -> dict[str, int]:
    """By state, links that rest because a record at one end is gone or excluded.

    Led by those records, mostly few: a join of all links would cost each run seconds.
    """
    mappings = AssociationMapping.objects.filter(sync=session.sync)
    ends = [session.sync.pk, *mappings.values_list("to_sync", flat=True)]
    resting = RecordLink.objects.filter(sync__in=ends, state__in=FROZEN)
    if not resting.exists():
        return {}
    near = Q(link__in=resting.values("pk"))
    far = Q(other__in=resting.values("pk"))
    found: Counter[str] = Counter()
    for some in (rows.filter(near), rows.filter(far).exclude(near)):
        counted = some.filter(state__in=(LinkState.IN_SYNC, LinkState.PENDING))
        found.update(
            dict(counted.values_list("state").annotate(Count("pk")).order_by())
        )
    return dict(found)


def _link_ids(rows: QuerySet[AssociationLink]) -> Iterator[list[int]]:
    """The records that links belong to, some at a time."""
    for some in pages(rows, "link_id"):
        yield [link_id for (link_id,) in some]
