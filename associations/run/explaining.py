"""Why two records are linked or not: the gates of a link, from `mapped` on.

The link is looked at as a run would: HubSpot's links are read now, and the record is
planned as a preview would be. Nothing is written.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from django.db.models import Q, QuerySet
from django.utils.timesince import timesince

from associations.engine.edges import Result
from associations.models import AssociationLink, AssociationMapping, LinkState
from associations.run.key_ends import names_nobody
from associations.run.mappings import Mapped, Pair
from associations.run.naming import types_text
from associations.run.planning import LinkPlanner
from associations.run.reading import read_links
from associations.run.types import missing
from connections.catalogue import Code
from connections.connectors.base import ConnectorError
from connections.records import AssociationType, Side
from syncs.models import Change, RecordLink
from syncs.models.choices import Awaiting, ChangeOutcome
from syncs.run.gates import Question, Relation, Shut, Walk, sentence
from syncs.run.looking import run_failed, why_held
from syncs.run.naming import show
from syncs.run.session import now
from syncs.run.stage import Chunk, Ids

WAITING = (LinkState.PENDING, LinkState.SKIPPED)


def relations(sync_id: int) -> list[Relation]:
    """The association mappings that lead from a sync, or to it."""
    rows = AssociationMapping.objects.filter(
        Q(sync=sync_id) | Q(to_sync=sync_id),
        sync__archived_at=None,
        to_sync__archived_at=None,
    ).select_related("sync__app__hubspot", "to_sync__app__hubspot")
    return [
        Relation(str(row.pk), _name(row), row.sync, row.to_sync)
        for row in rows.order_by("position", "pk")
    ]


def _name(row: AssociationMapping) -> str:
    how = types_text(row.sync, row.types) or "type not known"
    return f"{row.sync}: {row} ({how})"


def waits(relation: Relation, near: RecordLink, far_ids: Ids) -> str:
    """Since when a link waits for its far record, and for what; "" if it does not."""
    far = Q(other_remote_id__in=[i for i in far_ids.values() if i])
    for side, remote_id in far_ids.items():
        if remote_id:
            far |= Q(**{f"other__{side}_id": remote_id})
    rows = AssociationLink.objects.filter(
        far, mapping=int(relation.key), link=near, state__in=WAITING
    )
    row = rows.order_by("since").first()
    if row is None:
        return ""
    where = "HubSpot" if row.side == Side.HUBSPOT else relation.sync.app.name
    age = timesince(row.since, depth=1)
    return f"{where} has the link, which has waited for {age}: {row.text}"


class LinkLook:
    """One link looked at from its near record."""

    def __init__(self, walk: Walk, question: Question, pairs: Sequence[Pair]) -> None:
        self.walk = walk
        self.question, self.session = question, question.session
        self.near, self.far = question.near, question.far
        self.row = AssociationMapping.objects.select_related("to_sync").get(
            pk=int(question.relation.key)
        )
        found = [
            (pair, mapped)
            for pair in pairs
            for mapped in pair.mappings
            if mapped.row.pk == self.row.pk
        ]
        self.pair: Pair | None = found[0][0] if found else None
        self.mapped: Mapped | None = found[0][1] if found else None
        # Why an association type of the mapping is not known; "" where all are.
        self.lost = missing(self.session, self.row)
        self.app = self.session.sync.app.name
        self.types: frozenset[AssociationType] | None = None  # None: not linked
        self.unknown = ""  # why HubSpot's links are not known
        self.ids: list[str] = []  # what the app holds, as it names far records
        self.shown_whole = True
        self.result = Result()
        self.changes: list[Change] = []

    def explain(self) -> None:
        """Raises: Shut at the first gate that is."""
        walk = self.walk
        walk.through("mapped", self._is_mapped)
        if self.pair is not None and self.mapped is not None:
            self._look(self.pair, self.mapped)
        walk.next_run += [sentence(change, self.app) for change in self.changes]
        walk.through("direction", self._direction)
        walk.through("type", self._type)
        walk.through("limits", self._limits)
        walk.through("last_error", self._last_error)
        linked = self.walk.linked
        if linked and len(set(linked.values())) > 1 and not walk.next_run:
            walk.next_run.append("The next run looks at this link again.")

    # What both sides have ----------------------------------------------------------------

    def _look(self, pair: Pair, mapped: Mapped) -> None:
        near, far = self.near, self.far
        edges = None
        try:
            if Side.HUBSPOT not in self.question.unreached:
                ids = [near.hubspot_id or ""]
                edges = read_links(self.session, pair.to_object, ids)
        except ConnectorError as exc:
            self.unknown = f"{exc.code}: {exc.message}"
        held = edges.get(near.hubspot_id or "") if edges is not None else None
        mapped.end.load(self.session, [near])
        self.ids = mapped.end.ids(near) or []
        self.shown_whole = mapped.end.ids(near) is not None
        in_app = mapped.end.name_of(far) in self.ids
        if edges is None or held is None:
            self.unknown = self.unknown or "HubSpot cannot be asked now"
            stood = self._rows(LinkState.IN_SYNC).exists()
            self.walk.linked = {Side.HUBSPOT: stood, Side.APP: in_app}
            return
        self.types = next((e.types for e in held if e.to_id == far.hubspot_id), None)
        on_hubspot = self.types is not None and mapped.rule.counts(self.types)
        self.walk.linked = {Side.HUBSPOT: on_hubspot, Side.APP: in_app}
        chunk = Chunk(self.session, [near], {near.pk})
        planner = LinkPlanner(chunk, pair, edges)
        planner.plan()
        self.changes = [c for c in chunk.changes if self._is_about(c, mapped)]
        self.result = planner.result(near)
        self.lost = missing(self.session, self.row)  # a label may have been looked for

    def _is_about(self, change: Change, mapped: Mapped) -> bool:
        if change.mapping_key != mapped.key:
            return False
        ends = change.after.get("ends", ())
        return change.other_link_id == self.far.pk or self.far.pk in ends

    def _rows(self, *states: LinkState) -> QuerySet[AssociationLink]:
        return AssociationLink.objects.filter(
            mapping=self.row, link=self.near, other=self.far, state__in=states
        )

    def _has(self, side: Side) -> bool:
        linked = self.walk.linked
        return linked is not None and linked[side]

    @property
    def _one_sided(self) -> Side | None:
        """The one side that has the link, if only one has."""
        sides = [side for side in Side if self._has(side)]
        return sides[0] if len(sides) == 1 else None

    # The gates ---------------------------------------------------------------------------

    def _is_mapped(self) -> str:
        name = self.question.relation.name
        if self.mapped is None and not self.lost:
            obj = self.session.object_on(Side.APP)
            raise Shut(
                Code.FIELD_MISSING,
                f"{name}: {obj.name} has no {self.row.place} (any more).",
            )
        return f"They are tied by the association mapping {name}."

    def _direction(self) -> str:
        if self.mapped is None:
            return f"The mapping syncs {self.row.direction or self.session.sync.direction}."
        rule, here = self.mapped.rule, self._one_sided
        said = f"The mapping syncs {rule.direction}. {self._state()}"
        if here is None or self.changes:
            return said
        apart = self._rows(LinkState.APART).first()
        if apart is not None:
            raise Shut(
                Code.CONFLICT,
                f"{self._state()} An undo left it so {timesince(apart.since, depth=1)} "
                "ago, and neither side travels until somebody changes it.",
                "Change the link on the side that should win.",
            )
        asked = [p for p in self.result.pending if p.code and self._concerns(p.far_key)]
        if asked:
            text = f"{self._state()} {asked[0].message}"
            raise Shut(asked[0].code, text)
        had = self._rows(LinkState.IN_SYNC).exists()
        target = here if had else here.other
        if not rule.lets(target):
            where = "HubSpot" if target is Side.HUBSPOT else self.app
            what = "taken off" if had else "added to"
            raise Shut(
                Code.DIRECTION_FORBIDS,
                f"{self._state()} It is not {what} {where}: the mapping syncs "
                f"{rule.direction} only.",
            )
        return said

    def _concerns(self, far_key: int | None) -> bool:
        return far_key is None or far_key in (self.far.pk, self._held_in_app())

    def _held_in_app(self) -> int | None:
        """The record link of what the app's field holds, where it holds one."""
        if self.mapped is None or self.mapped.rule.many:
            return None
        found = self.mapped.end.find(self.row.to_sync, self.ids[:1])
        return next((link.pk for _, link in found), None)

    def _state(self) -> str:
        """Which side has the link, and what it is made of there."""
        assert self.mapped is not None
        field, name = self.mapped.end.name, show(self.far)
        ids = [names_nobody(i) or i for i in self.ids]
        held = f"holds {', '.join(ids[:5])}" if ids else "is empty"
        held = held if self.shown_whole else "was not shown whole"
        app = f"{self.app}'s {field} {held}"
        if self.unknown:
            return (
                f"{app}. HubSpot's links are not known ({self.unknown}); the last run "
                f"found {'a' if self._has(Side.HUBSPOT) else 'no'} link to {name} on "
                "both sides."
            )
        if self.types is None:
            return f"{app}; HubSpot has no link to {name}."
        return f"{app}; HubSpot links {name} as {self._texts(self.types)}."

    def _texts(self, types: Iterable[AssociationType]) -> str:
        """Types as people read them; the plain one only where it stands alone."""
        plain = self.pair.plain if self.pair else None
        listed = sorted(types, key=lambda t: (t.category, t.type_id))
        shown = [t for t in listed if t != plain] or listed
        return types_text(self.session.sync, shown) or "no type"

    def _type(self) -> str:
        row, sync = self.row, self.session.sync
        if self.lost or self.pair is None:
            raise Shut(Code.TYPE_UNKNOWN, self.lost)
        types = [*row.types, *row.label_types.values()]
        mine = types_text(sync, types)
        if self.types is not None and not any(map(self._has, Side)):
            raise Shut(
                Code.TYPE_NOT_MAPPED,
                f"HubSpot links {show(self.near)} to {show(self.far)} as "
                f"{self._texts(self.types)}; this mapping follows {mine} only.",
            )
        ids = ", ".join(f"{t.category} {t.type_id}" for t in types)
        return f"Its association type is {mine} ({ids})."

    def _limits(self) -> str:
        held = (
            Change.objects.filter(
                link=self.near,
                mapping_key=str(self.row.pk),
                outcome=ChangeOutcome.HELD,
                awaiting=Awaiting.LIMITS,
            )
            .filter(Q(other_link=self.far) | Q(other_link=None))
            .select_related("run")
            .first()
        )
        if held is not None:
            raise Shut(
                Code.HELD_BY_LIMITS,
                f"{held.get_kind_display()} to {held.other_record} waits for a person in "
                f"run {held.run_id}: {why_held(held.run)}.",
                f"Look at it with approve {held.run_id} --list; approve or drop it.",
            )
        full = self._rows(LinkState.FAILING).filter(code=Code.LIMIT_REACHED).first()
        if full is not None:
            raise Shut(full.code, full.text)
        if self._is_extra():
            assert self.mapped is not None
            raise Shut(
                Code.LIMIT_REACHED,
                f"{self._state()} The field holds one record and keeps that one; "
                "HubSpot's further links stay as they are.",
                "Map a field that holds several, or change the field in the app.",
            )
        return "No limit of HubSpot, the app or the sync is in its way."

    def _is_extra(self) -> bool:
        """Whether HubSpot has the link beside the one that the app's field holds."""
        if self.mapped is None or self.mapped.rule.many or self.changes:
            return False
        held = self._held_in_app()
        failing = any(f.mapping_key == self.mapped.key for f in self.result.failing)
        alone = self._one_sided is Side.HUBSPOT and held is not None
        return alone and held != self.far.pk and not failing

    def _last_error(self) -> str:
        rows = AssociationLink.objects.filter(
            Q(other=self.far) | Q(other=None, other_remote_id=""),
            mapping=self.row,
            link=self.near,
            state=LinkState.FAILING,
        )
        row = rows.order_by("-pk").first()
        if row is not None and self._one_sided is not None:
            again = ""
            if row.retry_at is not None and row.retry_at > now():
                again = f" Tried {row.attempts} times; again at {row.retry_at:%Y-%m-%d %H:%M} UTC."
            raise Shut(row.code, f"{row.text}{again}")
        failing = [
            f
            for f in self.result.failing
            if f.mapping_key == str(self.row.pk) and self._concerns(f.far_key)
        ]
        if failing and self._one_sided is not None:
            raise Shut(failing[0].code, failing[0].message)
        if self.changes:
            run_failed(self.session.sync)
        if self.walk.linked and not any(map(self._has, Side)):
            return "Nothing was refused: neither side links the two records."
        return "Nothing was refused."


__all__ = ["LinkLook", "relations", "waits"]
