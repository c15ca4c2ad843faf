"""Links that go with the creation of their record."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from associations.run.ends import AppEnd
from associations.run.keeping import KINDS, count, keep
from associations.run.restoring import HEAVY
from associations.run.stored import set_ids, types_of
from connections.records import InlineEdge, Side
from syncs.models import Change, RecordLink
from syncs.models.choices import ChangeOutcome
from syncs.run.sending import close, save_changes
from syncs.run.session import ALONE, Session
from syncs.run.stage import Inline
from syncs.run.store import update_rows

CARRIED = "carried"  # in `Change.after`: the create was sent with this link


class Carrier:
    """Puts planned links on creates, and settles what they carried.

    Args: ends, the app's side by mapping key; in_scope, whether both ends of a change
        are what they were when it was planned.
    """

    def __init__(
        self,
        session: Session,
        ends: Mapping[str, AppEnd],
        in_scope: Callable[[Change], bool],
    ) -> None:
        self.session, self.ends, self._in_scope = session, ends, in_scope

    def inline(self, creates: Sequence[Change]) -> dict[int, Inline]:
        """References and links of records that are about to be created."""
        by_link = {c.link_id: c for c in creates}
        found: dict[int, Inline] = {}
        noted: list[Change] = []
        for change in self._carried(creates):
            create = by_link[change.link_id]
            carried = self._carry(found.get(create.pk) or Inline(), change)
            if carried is not None:
                found[create.pk] = carried
            if change.after.get(CARRIED, False) != (carried is not None):
                change.after[CARRIED] = carried is not None
                noted.append(change)
        # Before it is sent: a far record of the same batch has an id right after, and a
        # link to it that was not carried must not be taken for one that was.
        update_rows(noted, ["after"])
        return {pk: _merged(inline) for pk, inline in found.items()}

    def _carry(self, inline: Inline, change: Change) -> Inline | None:
        """Put one link on a create; None where it cannot go with it."""
        far = change.other_link
        there = far.id_on(Side(change.side)) if far is not None else None
        if there is None:
            return None
        if change.side == Side.HUBSPOT:
            types = types_of(change.after["types"])
            inline.edges.append(InlineEdge(change.after["to_object"], there, types))
            return inline
        return inline if self.ends[change.mapping_key].carry(inline, change) else None

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
            and change.mapping_key in self.ends
            and not (change.side == Side.HUBSPOT and change.link_id in alone)
            # Only a plan made before can have outlived its records' scope.
            and (not self.session.run.as_planned or self._in_scope(change))
        ]

    def created(self, creates: Sequence[Change]) -> None:
        """What the creates carried is done."""
        sides = {c.link_id: c.side for c in creates}
        done: list[Change] = []
        for change in self._carried(creates):
            if change.side != sides[change.link_id] or not change.after.get(CARRIED):
                continue
            close(change, ChangeOutcome.APPLIED)
            done.append(change)
        links = RecordLink.objects.in_bulk(
            [c.link_id for c in creates if c.link_id and c.side == Side.APP]
        )
        mine: dict[tuple[int, str], list[Change]] = {}
        for change in done:
            if change.side == Side.APP:
                at = (change.link_id or 0, change.mapping_key)
                mine.setdefault(at, []).append(change)
        for link in links.values():
            for key, end in self.ends.items():
                end.carried(link, mine.get((link.pk, key), []))
            for name in self.session.references:
                if name not in link.app_references:
                    set_ids(link, name, ())  # a new record holds what it was given
        keep(done)
        count(self.session, done)
        update_rows(list(links.values()), ["app_references", "app_values"])
        save_changes(done)


def _merged(inline: Inline) -> Inline:
    """One edge a pair, with every type that its mappings put on it."""
    edges: dict[tuple[str, str], InlineEdge] = {}
    for edge in inline.edges:
        held = edges.get((edge.to_object, edge.to_id))
        types = edge.types | held.types if held else edge.types
        edges[edge.to_object, edge.to_id] = InlineEdge(
            edge.to_object, edge.to_id, types
        )
    return Inline(inline.references, list(edges.values()), inline.values)
