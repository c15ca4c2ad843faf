"""Plan the links of a chunk's records: both sides' links against what both had."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar
from zoneinfo import ZoneInfo

from django.db.models import Q

from associations.engine.links import EdgeChange, Far, PairWrite, Result, State, merge
from associations.models import AssociationLink, LinkState
from associations.run.mappings import Mapped, Pair
from associations.run.stored import stored_ids, types_json, types_of
from connections import schemas
from connections.catalogue import Code
from connections.records import (
    AssociationType,
    Linked,
    ObjectType,
    Record,
    Side,
    Want,
)
from syncs.engine.values import ValueProblem, canonical
from syncs.models import Change, RecordLink
from syncs.models.choices import ChangeKind, ChangeOutcome, RecordState
from syncs.run.identity import marked
from syncs.run.plan import rested, wait_after
from syncs.run.planning import show
from syncs.run.scope import Scope, scope_elsewhere, scope_of
from syncs.run.session import now
from syncs.run.stage import Chunk, Note
from syncs.run.store import update_rows
from syncs.run.tombstones import is_archived

IDS_AT_ONCE = 5000
NOTE = "links"  # this stage's key in RecordLink.stage_state: mappings with a baseline

T = TypeVar("T")
Edges = Mapping[str, tuple[Linked, ...]]
Types = frozenset[AssociationType]


@dataclass
class Fars:
    """The far records of a chunk, by what either side calls them."""

    scope: Scope
    links: dict[int, RecordLink] = field(default_factory=dict)
    by_hubspot: dict[str, int] = field(default_factory=dict)
    by_app: dict[str, int] = field(default_factory=dict)
    unknown: dict[int, tuple[Side, str]] = field(default_factory=dict)
    creating: set[int] = field(default_factory=set)

    def add(self, links: Iterable[RecordLink]) -> None:
        for link in links:
            self.links[link.pk] = link
            if link.hubspot_id is not None:
                self.by_hubspot[link.hubspot_id] = link.pk
            if link.app_id is not None:
                self.by_app[link.app_id] = link.pk

    def key(self, side: Side, remote_id: str) -> int:
        """The far record's link id, or a negative number for one never read."""
        known = self.by_hubspot if side is Side.HUBSPOT else self.by_app
        if remote_id not in known:
            known[remote_id] = -(len(self.unknown) + 1)
            self.unknown[known[remote_id]] = (side, remote_id)
        return known[remote_id]

    def far(self, key: int) -> Far:
        link = self.links.get(key)
        if link is None:
            return Far(key, "pending")
        if link.lost or marked(link):
            return Far(key, "invisible")
        if not self.scope.inside(link):
            return Far(key, "excluded")
        if link.paired or key in self.creating:
            return Far(key, "paired")
        no_key = link.state == RecordState.EXCLUDED and link.error_code
        return Far(key, "invisible" if no_key else "pending")


@dataclass
class Stored:
    """What our own rows know of the chunk's links under one pair of objects."""

    base: dict[tuple[str, int], dict[int, Types]] = field(default_factory=dict)
    rows: dict[tuple[str, int, int], int] = field(default_factory=dict)
    apart: dict[tuple[str, int], dict[int, AssociationLink]] = field(
        default_factory=dict
    )
    open: dict[tuple[str, int], list[AssociationLink]] = field(default_factory=dict)


class LinkPlanner:
    """Plans one chunk's links under one pair of HubSpot objects."""

    def __init__(self, chunk: Chunk, pair: Pair, edges: Edges) -> None:
        self.chunk, self.pair, self.edges = chunk, pair, edges
        self.session = chunk.session
        self.scope = scope_of(self.session)
        self.links = [link for link in chunk.links if self._takes_part(link)]
        self.stored = self._stored()
        self.fars = self._fars()
        self.open_new: list[AssociationLink] = []
        self.open_old: list[int] = []
        self.base_new: list[AssociationLink] = []
        self.base_old: list[int] = []

    def _takes_part(self, link: RecordLink) -> bool:
        if link.lost:
            return False
        if link.state == RecordState.UNCERTAIN or marked(link):
            return False
        if not self.scope.inside(link):
            return False
        return link.paired or link.pk in self.chunk.creating

    # What is known ----------------------------------------------------------------------

    def _stored(self) -> Stored:
        stored = Stored()
        rows = AssociationLink.objects.filter(
            mapping__in=[m.row.pk for m in self.pair.mappings],
            link__in=[link.pk for link in self.links],
        )
        for row in rows:
            at = (str(row.mapping_id), row.link_id)
            if row.state == LinkState.IN_SYNC and row.other_id is not None:
                stored.base.setdefault(at, {})[row.other_id] = types_of(row.types)
                stored.rows[(*at, row.other_id)] = row.pk
            elif row.state == LinkState.APART and row.other_id is not None:
                stored.apart.setdefault(at, {})[row.other_id] = row
            else:
                stored.open.setdefault(at, []).append(row)
        return stored

    def _fars(self) -> Fars:
        hubspot = {e.to_id for link in self.links for e in self._edges_of(link) or ()}
        app = {
            i
            for link in self.links
            for m in self.pair.mappings
            for i in stored_ids(link, m.field.name)
        }
        known = (self.stored.base, self.stored.apart)
        keys = {k for kept in known for ends in kept.values() for k in ends}
        fars = Fars(scope_elsewhere(self.session, self.pair.to_sync))
        for name, values in (("hubspot_id", hubspot), ("app_id", app), ("pk", keys)):
            for some in _some(sorted(values, key=str)):
                found = RecordLink.objects.filter(
                    sync=self.pair.to_sync, **{f"{name}__in": some}
                )
                fars.add(found.defer("baseline"))
        fars.creating = self._creating(fars)
        return fars

    def _creating(self, fars: Fars) -> set[int]:
        """Far records that this run, or the plan it is part of, is about to create."""
        open_ = [k for k, link in fars.links.items() if not link.paired]
        run = self.session.run
        found: set[int] = set()
        for some in _some(open_):
            found |= set(
                Change.objects.filter(
                    Q(run=run) | Q(run__parent=run.parent_id),
                    kind=ChangeKind.CREATE,
                    outcome=ChangeOutcome.PLANNED,
                    link__in=some,
                ).values_list("link_id", flat=True)
            )
        found |= {k for k in open_ if k in self.chunk.creating}
        return found

    def _edges_of(self, link: RecordLink) -> tuple[Linked, ...] | None:
        """HubSpot's links of a record; None where they could not be read."""
        if link.hubspot_id is None:
            return ()
        return self.edges.get(link.hubspot_id)

    # The merge --------------------------------------------------------------------------

    def plan(self) -> None:
        results = {link.pk: self._merge(link) for link in self.links}
        again = self._confirm(results)
        for link in self.links:
            if link.pk in again:
                results[link.pk] = self._merge(link)
            self._take(link, results[link.pk])
        if not self.session.run.dry_run:
            self._forget_open()
            for some in _some([*self.open_old, *self.base_old]):
                AssociationLink.objects.filter(pk__in=some).delete()
            _insert([*self.open_new, *self.base_new])

    def _forget_open(self) -> None:
        """Nothing of a record that is out of scope is waiting or failing."""
        due = [link for link in self.chunk.links if link.pk in self.chunk.due]
        outside = [link.pk for link in due if not self.scope.inside(link)]
        if outside:
            AssociationLink.objects.filter(
                mapping__in=[m.row.pk for m in self.pair.mappings], link__in=outside
            ).exclude(state__in=(LinkState.IN_SYNC, LinkState.APART)).delete()

    def _merge(self, link: RecordLink) -> Result:
        edges = self._edges_of(link)
        hubspot: dict[int, Types] | None = None
        if edges is not None:
            hubspot = {self.fars.key(Side.HUBSPOT, e.to_id): e.types for e in edges}
        states = {m.key: self._state(link, m) for m in self.pair.mappings}
        keys = set(hubspot or {})
        for state in states.values():
            keys |= set(state.app or ()) | set(state.base or {}) | set(state.apart)
        fars = {key: self.fars.far(key) for key in keys}
        return merge(self.pair.rules, states, hubspot, fars, plain=self.pair.plain)

    def _state(self, link: RecordLink, mapped: Mapped) -> State:
        stored = link.app_references.get(mapped.field.name)
        app: tuple[int, ...] | None
        if link.app_id is None:
            app = ()
        elif stored is None or not stored.get("complete", True):
            app = None
        else:
            app = tuple(self.fars.key(Side.APP, i) for i in stored["ids"])
        known = mapped.row.pk in link.stage_state.get(NOTE, ())
        at = (mapped.key, link.pk)
        base = self.stored.base.get(at, {})
        apart = {k: Side(r.side) for k, r in self.stored.apart.get(at, {}).items()}
        return State(app=app, base=base if known else None, apart=apart)

    # What vanished because its end vanished ---------------------------------------------

    def _confirm(self, results: Mapping[int, Result]) -> set[int]:
        """Look whether the far records of vanished links still exist.

        A link whose far record was archived or deleted disappears with it: that is no
        unlink, and it must not travel. Returns the links to merge again.
        """
        vanished: dict[Side, dict[int, set[int]]] = {s: {} for s in Side}
        for link_id, result in results.items():
            for change in result.changes:
                for key in change.ends:
                    vanished[change.side.other].setdefault(key, set()).add(link_id)
        again: set[int] = set()
        for side, keys in vanished.items():
            for key in self._gone(side, list(keys)):
                again |= keys[key]
        return again

    def _gone(self, side: Side, keys: list[int]) -> list[int]:
        """Those of some far records that are gone, or archived, on a side.

        Their own sync concludes that, after counting how many vanished.
        """
        links = [self.fars.links[k] for k in keys if k in self.fars.links]
        if not links:
            return []
        session = self.session
        owner = self.pair.to_sync
        obj = self._far_object(side)
        declared = owner.archive.get(side)
        if declared and obj.field(declared["field"]) is None:
            declared = None
        want = Want((declared["field"],) if declared else ())
        ids = {link.id_on(side) or "": link for link in links}
        size = session.connector(side).capabilities.fetch_batch
        gone: list[RecordLink] = []
        for some in _some(list(ids), size):
            fetched = session.connector(side).fetch(obj, some, want)
            gone += [ids[i] for i in some if i in fetched.gone]
            gone += [
                ids[i]
                for i, record in fetched.records.items()
                if declared and self._archived(side, obj, record)
            ]
        for link in gone:
            link.refresh_from_db()
            setattr(link, f"{side}_vanished_at", now())
            session.log(
                f"{owner.name}: record {link.id_on(side)} no longer exists in {side}; "
                "its links are left as they are.",
                code=Code.RECORD_GONE,
            )
        # Only this column: another run may be at work on the far sync's records.
        update_rows(gone, [f"{side}_vanished_at"])
        return [link.pk for link in gone]

    def _archived(self, side: Side, obj: ObjectType, record: Record) -> bool:
        owner = self.pair.to_sync
        name = owner.archive[side]["field"]
        field = obj.field(name)
        if field is None or name not in record.values:
            return False
        try:
            value = canonical(record.values[name], field, zone=ZoneInfo(owner.timezone))
        except ValueProblem:
            return False
        return bool(is_archived(owner, side, {name: value}))

    def _far_object(self, side: Side) -> ObjectType:
        sync = self.pair.to_sync
        if side is Side.HUBSPOT:
            return schemas.load_object(sync.app.hubspot, sync.hubspot_object)
        return schemas.load_object(sync.app, sync.app_object)

    # From a result to rows --------------------------------------------------------------

    def _take(self, link: RecordLink, result: Result) -> None:
        if link.pk in self.chunk.creating and self._must_wait(link, result):
            return
        changing: dict[str, set[int]] = {}
        resting = self._resting(link)
        for change in result.changes:
            if (change.mapping_key, change.far_key) not in resting:
                self._change(link, change, result)
            mine = changing.setdefault(change.mapping_key, set())
            mine |= {*change.ends, *([change.far_key] if change.far_key else [])}
        for mapped in self.pair.mappings:
            self._bases(link, mapped, result, changing.get(mapped.key, set()))
            self._opens(link, mapped, result)

    def _resting(self, link: RecordLink) -> set[tuple[str, int | None]]:
        """Links that were refused and are not due again, though nothing moved."""
        if link.pk in self.chunk.due:
            return set()
        moment, run = now(), self.session.run
        # A full run tries again what was refused before it.
        since = run.started_at if run.full else None
        return {
            (key, row.other_id)
            for (key, link_id), rows in self.stored.open.items()
            for row in rows
            if link_id == link.pk
            and row.state == LinkState.FAILING
            and row.retry_at is not None
            and not rested(row.retry_at, moment)
            and (since is None or row.retry_at - wait_after(row.attempts) >= since)
        }

    def _must_wait(self, link: RecordLink, result: Result) -> bool:
        """A record whose reference must not be empty waits for its target."""
        create = self.chunk.creating[link.pk]
        if create.side != Side.APP:
            return False
        for mapped in self.pair.mappings:
            wanted = result.app.get(mapped.key)
            if not mapped.field.nullable and not wanted:
                self.chunk.drop_create(link)
                self.chunk.note(
                    link,
                    Note(
                        RecordState.WAITING,
                        Code.TARGET_NOT_MATCHED,
                        f"{mapped.field.name} must point to a record, and the linked "
                        "HubSpot record is not paired yet.",
                        mapped.field.name,
                    ),
                )
                return True
        return False

    def _change(self, link: RecordLink, change: EdgeChange, result: Result) -> None:
        mapped = self.pair.mapped(change.mapping_key)
        far = self.fars.links.get(change.far_key or 0)
        create = self.chunk.creating.get(link.pk)
        after: dict[str, object] = {"ends": sorted(change.ends)}
        before: dict[str, object] = {}
        if create is not None:
            after["inline"] = True
        if change.side is Side.HUBSPOT:
            write = self._write(result.hubspot, change.far_key)
            held = next(
                (
                    e.types
                    for e in self._edges_of(link) or ()
                    if far is not None and e.to_id == far.hubspot_id
                ),
                frozenset(),
            )
            before["types"] = types_json(held)
            after |= {
                "op": write.kind,
                "types": types_json(write.types),
                "to_object": self.pair.to_object,
            }
            before |= {
                "ids": stored_ids(link, mapped.field.name),
                "field": mapped.field.name,
            }
        else:
            wanted = result.app.get(mapped.key) or ()
            after |= {
                "field": mapped.field.name,
                "far": [k for k in wanted if k > 0],
                "unknown": [self.fars.unknown[k][1] for k in wanted if k < 0],
                "types": types_json(change.types),
            }
            before |= {
                "ids": stored_ids(link, mapped.field.name),
                "field": mapped.field.name,
            }
        self.chunk.plan(
            link,
            side=change.side,
            kind=ChangeKind(change.kind),
            other_link=far,
            record=show(link),
            other_record=self._name(change.far_key),
            association_type=mapped.label,
            mapping_key=mapped.key,
            reason=change.reason,
            rule=change.rule,
            before=before,
            after=after,
            origin={
                "to_object": self.pair.to_object,
                "edges": {
                    e.to_id: types_json(e.types) for e in self._edges_of(link) or ()
                },
            },
        )

    def _write(self, writes: Sequence[PairWrite], far_key: int | None) -> PairWrite:
        return next(w for w in writes if w.far_key == far_key)

    def _name(self, key: int | None) -> str:
        if key is None:
            return ""
        link = self.fars.links.get(key)
        return show(link) if link else self.fars.unknown.get(key, ("", ""))[1]

    def _bases(
        self, link: RecordLink, mapped: Mapped, result: Result, changing: set[int]
    ) -> None:
        """Keep, at once, what both sides have already or both lost."""
        if mapped.key not in result.base:
            return
        held = self.stored.base.get((mapped.key, link.pk), {})
        wanted = result.base[mapped.key]
        for key, types in wanted.items():
            if key > 0 and key not in changing and held.get(key) != types:
                if key in held:
                    self.base_old.append(self.stored.rows[mapped.key, link.pk, key])
                self.base_new.append(_row(mapped, link, key, types))
        for key in held.keys() - wanted.keys() - changing:
            self.base_old.append(self.stored.rows[mapped.key, link.pk, key])
        for key, row in self.stored.apart.get((mapped.key, link.pk), {}).items():
            if key not in result.apart.get(mapped.key, ()):
                self.base_old.append(row.pk)
        noted = link.stage_state.get(NOTE, [])
        if mapped.row.pk not in noted and not self.session.run.dry_run:
            link.stage_state = {**link.stage_state, NOTE: [*noted, mapped.row.pk]}
            self.chunk.touched.add(link.pk)

    def _opens(self, link: RecordLink, mapped: Mapped, result: Result) -> None:
        """Pending and failing links, kept with the age they have."""
        if mapped.key not in result.base:
            return  # it could not be judged
        # What was refused stays known until the system takes it.
        tried = {c.far_key for c in result.changes if c.mapping_key == mapped.key}
        held = {
            (r.other_id, r.other_remote_id, r.state, r.code): r
            for r in self.stored.open.get((mapped.key, link.pk), ())
            if r.state != LinkState.FAILING or r.other_id not in tried
        }
        for row in self._open_rows(link, mapped, result):
            at = (row.other_id, row.other_remote_id, row.state, row.code)
            if held.pop(at, None) is None:
                self.open_new.append(row)
        self.open_old += [row.pk for row in held.values()]

    def _open_rows(
        self, link: RecordLink, mapped: Mapped, result: Result
    ) -> Iterator[AssociationLink]:
        for pending in result.pending:
            if pending.mapping_key != mapped.key:
                continue
            _, remote = self.fars.unknown.get(pending.far_key, (None, ""))
            yield AssociationLink(
                mapping=mapped.row,
                link=link,
                other_id=pending.far_key if pending.far_key > 0 else None,
                other_remote_id=remote,
                side=pending.side,
                state=LinkState.PENDING,
                code=pending.code or Code.TARGET_NOT_MATCHED,
                text=pending.message
                or "The linked record is not paired with one on the other side yet.",
            )
        for skipped in result.skipped:
            if skipped.mapping_key == mapped.key:
                yield AssociationLink(
                    mapping=mapped.row,
                    link=link,
                    other_id=skipped.far_key,
                    side=skipped.side,
                    state=LinkState.SKIPPED,
                    text="The linked record is outside of the filters of "
                    f"{self.pair.to_sync.name}.",
                )
        for failing in result.failing:
            if failing.mapping_key == mapped.key:
                key = failing.far_key
                yield AssociationLink(
                    mapping=mapped.row,
                    link=link,
                    other_id=key if key is not None and key > 0 else None,
                    state=LinkState.FAILING,
                    code=failing.code,
                    text=failing.message,
                )


def _row(
    mapped: Mapped, link: RecordLink, key: int, types: Types = frozenset()
) -> AssociationLink:
    return AssociationLink(
        mapping=mapped.row, link=link, other_id=key, types=types_json(types)
    )


def _insert(rows: list[AssociationLink]) -> None:
    AssociationLink.objects.bulk_create(rows, batch_size=300, ignore_conflicts=True)


def _some(items: Sequence[T], size: int = IDS_AT_ONCE) -> Iterator[Sequence[T]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]
