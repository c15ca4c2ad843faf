"""What our own rows know of a chunk's links: baselines, and what is open."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from associations.engine.edges import Pending, Result
from associations.models import AssociationLink, LinkState
from associations.run.ends import parts
from associations.run.fars import Fars
from associations.run.key_ends import is_shared, names_nobody
from associations.run.mappings import Mapped, Pair
from associations.run.stored import types_json, types_of
from connections.catalogue import Code
from connections.records import AssociationType, Side
from syncs.models import RecordLink
from syncs.run.plan import rested, wait_after
from syncs.run.scope import Scope
from syncs.run.session import now
from syncs.run.stage import Chunk

NOTE = "links"  # this stage's key in RecordLink.stage_state: mappings with a baseline

Types = frozenset[AssociationType]


class Ledger:
    """The rows of some records' links under one pair of objects, read and brought up."""

    def __init__(
        self,
        chunk: Chunk,
        pair: Pair,
        links: Sequence[RecordLink],
        share: Sequence[RecordLink],
    ) -> None:
        """Args: links, the records that are planned; share, those besides them, too,
        that take no part."""
        self.chunk, self.pair, self.run = chunk, pair, chunk.session.run
        self._share = share
        self._base: dict[tuple[str, int], dict[int, Types]] = {}
        self._rows: dict[tuple[str, int, int], int] = {}
        self._apart: dict[tuple[str, int], dict[int, AssociationLink]] = {}
        self._open: dict[tuple[str, int], list[AssociationLink]] = {}
        self._new: list[AssociationLink] = []
        self._old: list[int] = []
        rows = AssociationLink.objects.filter(
            mapping__in=[m.row.pk for m in pair.mappings],
            link__in=[link.pk for link in links],
        )
        for row in rows:
            at = (str(row.mapping_id), row.link_id)
            if row.state == LinkState.IN_SYNC and row.other_id is not None:
                self._base.setdefault(at, {})[row.other_id] = types_of(row.types)
                self._rows[(*at, row.other_id)] = row.pk
            elif row.state == LinkState.APART and row.other_id is not None:
                self._apart.setdefault(at, {})[row.other_id] = row
            else:
                self._open.setdefault(at, []).append(row)

    @property
    def keys(self) -> set[int]:
        """The far records that are named."""
        known = (self._base, self._apart)
        return {k for kept in known for ends in kept.values() for k in ends}

    def base(self, mapped: Mapped, link: RecordLink) -> Mapping[int, Types] | None:
        """The links that both sides had; None where they never agreed yet."""
        if mapped.row.pk not in link.stage_state.get(NOTE, ()):
            return None
        return self._base.get((mapped.key, link.pk), {})

    def apart(self, mapped: Mapped, link: RecordLink) -> dict[int, Side]:
        held = self._apart.get((mapped.key, link.pk), {})
        return {k: Side(row.side) for k, row in held.items()}

    def open(self, mapped: Mapped, link: RecordLink) -> list[AssociationLink]:
        """What is pending, skipped or failing."""
        return self._open.get((mapped.key, link.pk), [])

    def differ(self, mapped: Mapped, link: RecordLink) -> dict[int, Types]:
        """By what types the sides of what stands apart differ, where they have sets."""
        held = self._apart.get((mapped.key, link.pk), {})
        return {k: types_of(row.types) for k, row in held.items()}

    def resting(self, link: RecordLink) -> set[tuple[str, int | None]]:
        """Links that were refused and are not due again, though nothing moved."""
        if link.pk in self.chunk.due:
            return set()
        moment = now()
        # A full run tries again what was refused before it.
        since = self.run.started_at if self.run.full else None
        return {
            (key, row.other_id)
            for (key, link_id), rows in self._open.items()
            for row in rows
            if link_id == link.pk
            and row.state == LinkState.FAILING
            and row.retry_at is not None
            and not rested(row.retry_at, moment)
            and (since is None or row.retry_at - wait_after(row.attempts) >= since)
        }

    # Brought up -------------------------------------------------------------------------

    def take(
        self,
        link: RecordLink,
        mapped: Mapped,
        result: Result,
        changing: set[int],
        fars: Fars,
    ) -> None:
        """Note what a merge found. Args: changing, the far records about to change."""
        if mapped.key not in result.base:
            return  # it could not be judged
        self._bases(link, mapped, result, changing)
        self._opens(link, mapped, result, fars)

    def save(self, scope: Scope) -> None:
        if self.run.dry_run:
            return
        self.chunk.session.lease.check()  # links were read meanwhile
        self._forget_outside(scope)
        for some in parts(self._old):
            AssociationLink.objects.filter(pk__in=some).delete()
        AssociationLink.objects.bulk_create(
            self._new, batch_size=300, ignore_conflicts=True
        )

    def _forget_outside(self, scope: Scope) -> None:
        """Nothing of a record that is out of scope is waiting or failing."""
        due = [link for link in self._share if link.pk in self.chunk.due]
        outside = [link.pk for link in due if not scope.inside(link)]
        if outside:
            AssociationLink.objects.filter(
                mapping__in=[m.row.pk for m in self.pair.mappings], link__in=outside
            ).exclude(state__in=(LinkState.IN_SYNC, LinkState.APART)).delete()

    def _bases(
        self, link: RecordLink, mapped: Mapped, result: Result, changing: set[int]
    ) -> None:
        """Keep, at once, what both sides have already or both lost."""
        held = self._base.get((mapped.key, link.pk), {})
        wanted = result.base[mapped.key]
        for key, types in wanted.items():
            if key > 0 and key not in changing and held.get(key) != types:
                if key in held:
                    self._old.append(self._rows[mapped.key, link.pk, key])
                self._new.append(
                    AssociationLink(
                        mapping=mapped.row,
                        link=link,
                        other_id=key,
                        types=types_json(types),
                    )
                )
        for key in held.keys() - wanted.keys() - changing:
            self._old.append(self._rows[mapped.key, link.pk, key])
        for key, row in self._apart.get((mapped.key, link.pk), {}).items():
            if key not in result.apart.get(mapped.key, ()):
                self._old.append(row.pk)
        noted = link.stage_state.get(NOTE, [])
        if mapped.row.pk not in noted and not self.run.dry_run:
            link.stage_state = {**link.stage_state, NOTE: [*noted, mapped.row.pk]}
            self.chunk.touched.add(link.pk)

    def _opens(
        self, link: RecordLink, mapped: Mapped, result: Result, fars: Fars
    ) -> None:
        """Pending and failing links, kept with the age they have."""
        # What was refused stays known until the system takes it.
        tried = {c.far_key for c in result.changes if c.mapping_key == mapped.key}
        held = {
            (r.other_id, r.other_remote_id, r.state, r.code): r
            for r in self._open.get((mapped.key, link.pk), ())
            if r.state != LinkState.FAILING or r.other_id not in tried
        }
        for row in self._open_rows(link, mapped, result, fars):
            at = (row.other_id, row.other_remote_id, row.state, row.code)
            if held.pop(at, None) is None:
                self._new.append(row)
        self._old += [row.pk for row in held.values()]

    def _open_rows(
        self, link: RecordLink, mapped: Mapped, result: Result, fars: Fars
    ) -> Iterator[AssociationLink]:
        for pending in result.pending:
            if pending.mapping_key != mapped.key:
                continue
            remote_id = fars.remote_id(pending.far_key)
            code, text = _why_pending(remote_id, self.pair.to_sync.name)
            shared = code == Code.TARGET_AMBIGUOUS
            yield AssociationLink(
                mapping=mapped.row,
                link=link,
                other_id=pending.far_key if pending.far_key > 0 else None,
                other_remote_id=remote_id,
                side=pending.side,
                state=LinkState.FAILING if shared else LinkState.PENDING,
                code=pending.code or code,
                text=pending.message or text,
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
        for noted in result.noted:
            if noted.mapping_key == mapped.key:
                far = fars.link_of(noted.far_key)
                yield AssociationLink(
                    mapping=mapped.row,
                    link=link,
                    other_id=noted.far_key,
                    side=noted.side,
                    state=LinkState.SKIPPED,
                    code=_why_noted(noted, far),
                    text=noted.message,
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


def _why_noted(noted: Pending, far: RecordLink | None) -> str:
    """The code of a note; an end that is there and cannot be linked to says itself why."""
    if noted.code == Code.RECORD_GONE and far is not None and not far.lost:
        return str(far.error_code or noted.code)
    return noted.code


def _why_pending(remote_id: str, target: str) -> tuple[Code, str]:
    """What a link waits for that one side names so."""
    text = names_nobody(remote_id)
    if is_shared(remote_id):
        return (
            Code.TARGET_AMBIGUOUS,
            f"Several records of {target} go by {text!r}: only one can be meant.",
        )
    if text:
        return Code.TARGET_NOT_MATCHED, f"No record of {target} goes by {text!r} yet."
    return (
        Code.TARGET_NOT_MATCHED,
        "The linked record is not paired with one on the other side yet.",
    )
