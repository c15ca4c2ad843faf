"""Plan what takes back the links that a run wrote.

Only where the links are what the run left: a pair in HubSpot with its types, a reference
field of the app with what it holds. Both records must still be there.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from associations.run.answers import Pairs, answers_of, left_in_hubspot
from associations.run.join_tables import JoinTableEnd
from associations.run.keeping import KINDS
from associations.run.mappings import Mapped, Pair
from associations.run.restoring import RESTORE, read_edges
from associations.run.stored import far_ids, stored_ids, types_of
from connections.catalogue import Code
from connections.records import Side
from syncs.models import Change, RecordLink
from syncs.models.choices import ChangeKind
from syncs.run.session import Session
from syncs.run.stage import MOVED, Undoing
from syncs.run.undoing import FINAL, GONE, UNKNOWN, whereabouts

REVERSED = {
    ChangeKind.LINK: ChangeKind.UNLINK,
    ChangeKind.UNLINK: ChangeKind.LINK,
    ChangeKind.RELABEL: ChangeKind.RELABEL,
}


class _Left(Exception):
    """This change is not taken back: why in a word or two, a sentence, a code."""

    def __init__(self, why: str, text: str, code: str = "") -> None:
        super().__init__(text)
        self.why, self.text, self.code = why, text, code


@dataclass
class _Near:
    """One record whose links are taken back: what it has, and what it will have then."""

    link: RecordLink
    held: dict[str, Pairs | None]  # by HubSpot object
    after: dict[str, Pairs] = field(default_factory=dict)
    fields: dict[str, list[str]] = field(default_factory=dict)  # the app's ids
    rows: dict[str, list[Change]] = field(default_factory=dict)  # planned, by app field
    # Of pairs in HubSpot, by object and far id: from what to what they are taken back.
    taken: dict[tuple[str, str], list[tuple[Any, Any]]] = field(default_factory=dict)
    # Of pairs in join tables, by mapping and far record: their labels, what is planned.
    pairs: dict[tuple[str, int], list[str | None]] = field(default_factory=dict)
    shared: dict[tuple[str, int], list[Change]] = field(default_factory=dict)

    def in_hubspot(self, to_object: str) -> Pairs:
        held = self.held.get(to_object)
        if held is None:
            raise _Left(UNKNOWN, "HubSpot's links of the record could not be read.")
        return self.after.setdefault(to_object, dict(held))

    def in_field(self, name: str) -> list[str]:
        if name not in self.fields:
            stored = self.link.app_references.get(name) or {}
            if not stored.get("complete", bool(stored)):
                raise _Left(UNKNOWN, f"{name} could not be read whole.")
            self.fields[name] = stored_ids(self.link, name)
        return self.fields[name]


class LinkUndoer:
    """Plans for the links of some records."""

    def __init__(self, undoing: Undoing, pairs: Sequence[Pair]) -> None:
        self.undoing = undoing
        self.session: Session = undoing.session
        self.pairs = {m.key: pair for pair in pairs for m in pair.mappings}
        self.done = {
            link_id: [c for c in done if c.kind in KINDS]
            for link_id, done in undoing.done.items()
        }
        self.names = {
            change.other_link_id: change.other_record
            for done in self.done.values()
            for change in done
        }
        self.near = self._nears(pairs)
        for pair in pairs:
            for mapped in pair.mappings:
                links = [near.link for near in self.near.values()]
                mapped.end.load(self.session, links)
        self.fars: dict[tuple[int, Side, str], RecordLink] = {}
        self._know_fars()

    def plan(self) -> None:
        for link_id, near in self.near.items():
            self._keep_what_moved(near)
            archived = self.undoing.archives.get(link_id)
            for change in self.done[link_id]:
                if archived is not None and archived.side == change.side:
                    archived.undoes = sorted([*archived.undoes, change.pk])
                    continue
                try:
                    self._take_back(near, change)
                except _Left as left:
                    self.undoing.leave(
                        near.link,
                        [change],
                        left.why,
                        left.text,
                        left.code,
                        kind=REVERSED[ChangeKind(change.kind)],
                    )
            self._share_lists(near)

    # What is known ----------------------------------------------------------------------

    def _nears(self, pairs: Sequence[Pair]) -> dict[int, _Near]:
        links = [
            self.undoing.links[link_id]
            for link_id, done in self.done.items()
            if done or link_id in self.undoing.archives
        ]
        ids = [link.hubspot_id for link in links if link.hubspot_id is not None]
        to_objects = {pair.to_object for pair in pairs}
        edges = read_edges(self.session, to_objects, ids) if ids else {}
        return {
            link.pk: _Near(
                link,
                {
                    to_object: mine.get(link.hubspot_id or "")
                    for to_object, mine in edges.items()
                },
            )
            for link in links
        }

    def _know_fars(self) -> None:
        """Find the records at the other ends, by what either side calls them."""
        wanted: dict[tuple[int, Side], set[str]] = {}
        for change in (c for done in self.done.values() for c in done):
            pair = self.pairs.get(change.mapping_key)
            if pair is None:
                continue
            at = wanted.setdefault((pair.to_sync.pk, Side(change.side)), set())
            if change.side == Side.APP:
                at |= set(change.before.get("ids", ()))
            else:
                at |= {*change.origin.get("edges", {}), *answers_of(change)}
        for (sync_id, side), ids in wanted.items():
            for some in _some(sorted(ids)):
                rows = RecordLink.objects.filter(
                    sync=sync_id, **{f"{side}_id__in": some}
                ).defer("hubspot_values", "app_values", "app_references", "baseline")
                for link in rows:
                    self.fars[sync_id, side, link.id_on(side) or ""] = link

    def _mapped(self, change: Change) -> tuple[Pair, Mapped]:
        pair = self.pairs.get(change.mapping_key)
        if pair is None:
            text = "Its association mapping is not set up any more."
            raise _Left(UNKNOWN, text, Code.TYPE_UNKNOWN)
        return pair, pair.mapped(change.mapping_key)

    def _far(self, pair: Pair, side: Side, remote_id: str) -> RecordLink | None:
        return self.fars.get((pair.to_sync.pk, side, remote_id))

    def _must_be_there(self, pair: Pair, side: Side, ids: Iterable[str]) -> None:
        for remote_id in ids:
            far = self._far(pair, side, remote_id)
            if far is not None and getattr(far, f"{side}_gone_at") is not None:
                text = f"The linked record {remote_id} is gone from {side}."
                raise _Left(GONE, text, Code.RECORD_GONE)

    # One change -------------------------------------------------------------------------

    def _take_back(self, near: _Near, change: Change) -> None:
        side = Side(change.side)
        if change.after.get("inline"):
            raise _Left(FINAL, "It came with the record, which stays.")
        nowhere = whereabouts(near.link, side)
        if nowhere:
            raise _Left(*nowhere)
        if change.other_link is None or change.other_link.id_on(side) is None:
            text = "The linked record is not paired any more."
            raise _Left(UNKNOWN, text, Code.RECORD_GONE)
        if side is Side.HUBSPOT:
            self._in_hubspot(near, change, change.other_link)
        else:
            self._in_app(near, change, change.other_link)

    def _in_hubspot(self, near: _Near, change: Change, far: RecordLink) -> None:
        pair, mapped = self._mapped(change)
        now = near.in_hubspot(pair.to_object)
        left = left_in_hubspot(change, far)
        self._must_be_there(pair, Side.HUBSPOT, left)
        origin: Pairs = change.origin.get("edges", {})
        former = {i: origin.get(i, []) for i in left}
        # One write does what several mappings want of a pair: each takes back the same.
        moved = sorted(
            i
            for i, types in left.items()
            if now.get(i, []) != types
            and (types, former[i]) not in near.taken.get((pair.to_object, i), ())
        )
        if moved:
            named = ", ".join(self._name(pair, Side.HUBSPOT, i) for i in moved)
            text = f"The link to {named} changed since."
            raise _Left(MOVED, text, Code.CHANGED_SINCE_PLAN)
        held = dict(near.held[pair.to_object] or {})
        for i, types in left.items():
            near.taken.setdefault((pair.to_object, i), []).append((types, former[i]))
        now.update(former)
        shown = self._shown(pair, mapped, former, far)
        self.undoing.plan(
            near.link,
            [change],
            kind=REVERSED[ChangeKind(change.kind)],
            other_link=shown,
            other_record=self._name(pair, Side.HUBSPOT, shown.hubspot_id or ""),
            before={"types": held.get(shown.hubspot_id or "", [])},
            after={
                "op": RESTORE,
                "to_object": pair.to_object,
                "types": former.get(shown.hubspot_id or "", []),
                "pairs": former,
                "touched": self._touched(pair, change, former),
            },
            origin={"to_object": pair.to_object, "edges": held},
        )

    def _shown(
        self, pair: Pair, mapped: Mapped, former: Pairs, far: RecordLink
    ) -> RecordLink:
        """The record that the mapping's link goes back to, else the one it leaves."""
        for remote_id, types in former.items():
            back = self._far(pair, Side.HUBSPOT, remote_id)
            if mapped.rule.types & types_of(types) and back is not None:
                return back
        return far

    def _touched(self, pair: Pair, change: Change, former: Pairs) -> list[int]:
        found = {change.other_link_id, *change.after.get("ends", ())}
        for remote_id in former:
            far = self._far(pair, Side.HUBSPOT, remote_id)
            found.add(far.pk if far is not None else None)
        found |= set(change.after.get("touched", ()))
        return sorted(i for i in found if i is not None)

    def _in_app(self, near: _Near, change: Change, far: RecordLink) -> None:
        pair, mapped = self._mapped(change)
        if isinstance(mapped.end, JoinTableEnd):
            self._in_rows(near, change, far, mapped.end)
            return
        name = str(change.after["field"])
        now = near.in_field(name)
        target = self._target(mapped, change, now, far)
        if mapped.end.read_only:
            raise _Left(FINAL, f"{name} cannot be written.", Code.FIELD_READ_ONLY)
        if not target and not mapped.end.nullable:
            text = f"{name} must point to a record."
            raise _Left(FINAL, text, Code.REQUIRED_MISSING)
        back = [i for i in target if i not in now]
        self._must_be_there(pair, Side.APP, back)
        near.fields[name] = target
        shown = next((f for i in back if (f := self._far(pair, Side.APP, i))), far)
        ends = {self._far(pair, Side.APP, i) for i in {*now, *target}}
        touched = {far.pk, *(f.pk for f in ends if f)}
        touched |= {*change.after.get("ends", ()), *change.after.get("touched", ())}
        planned = self.undoing.plan(
            near.link,
            [change],
            kind=REVERSED[ChangeKind(change.kind)],
            other_link=shown,
            other_record=self._name(pair, Side.APP, shown.app_id or ""),
            before={"ids": stored_ids(near.link, name), "field": name},
            after={"field": name, "types": [], "touched": sorted(touched)},
            origin={"edges": near.held.get(pair.to_object) or {}},
        )
        near.rows.setdefault(name, []).append(planned)

    def _in_rows(
        self, near: _Near, change: Change, far: RecordLink, end: JoinTableEnd
    ) -> None:
        """Give the rows of a pair the labels that they had."""
        held = end.rows_of(near.link, far.app_id)
        if held is None:
            raise _Left(UNKNOWN, f"The rows of {end.name} could not be read.")
        at = (change.mapping_key, far.pk)
        if near.pairs.get(at, held) != change.after["rows"]:
            text = f"The link to {self._name_of(far)} changed since."
            raise _Left(MOVED, text, Code.CHANGED_SINCE_PLAN)
        wanted = near.pairs[at] = list(change.before["rows"])
        planned = self.undoing.plan(
            near.link,
            [change],
            kind=REVERSED[ChangeKind(change.kind)],
            other_link=far,
            other_record=self._name_of(far),
            before={"table": end.name, "rows": held},
            after={"table": end.name, "rows": wanted, "types": [], "touched": [far.pk]},
            origin={"edges": near.held.get(self._mapped(change)[0].to_object) or {}},
        )
        # Every change of one pair writes what all of them lead to.
        shared = near.shared.setdefault(at, [])
        shared.append(planned)
        for other in shared:
            other.after["rows"] = wanted

    def _target(
        self, mapped: Mapped, change: Change, now: Sequence[str], far: RecordLink
    ) -> list[str]:
        """What the app's field holds once this change is taken back."""
        there = far.app_id or ""
        removed = change.kind == ChangeKind.UNLINK
        if mapped.end.many:
            if (there in now) == removed:
                text = f"The link to {self._name_of(far)} changed since."
                raise _Left(MOVED, text, Code.CHANGED_SINCE_PLAN)
            return [*now, there] if removed else [i for i in now if i != there]
        left = [] if removed else [there]
        if list(now) != left:
            text = f"{mapped.end.name} changed since."
            raise _Left(MOVED, text, Code.CHANGED_SINCE_PLAN)
        return list(change.before.get("ids", ()))

    def _share_lists(self, near: _Near) -> None:
        """Every change of one field writes the whole list that all of them lead to."""
        for name, rows in near.rows.items():
            wanted = near.fields[name]
            for change in rows:
                pair = self.pairs[change.mapping_key]
                known = {i: self._far(pair, Side.APP, i) for i in wanted}
                change.after |= {
                    "far": [f.pk for f in known.values() if f is not None],
                    "unknown": [i for i, f in known.items() if f is None],
                }

    def _name(self, pair: Pair, side: Side, remote_id: str) -> str:
        far = self._far(pair, side, remote_id)
        return self._name_of(far) if far is not None else remote_id

    def _name_of(self, far: RecordLink) -> str:
        return self.names.get(far.pk) or str(far)

    # Records that the run created -------------------------------------------------------

    def _keep_what_moved(self, near: _Near) -> None:
        """A created record whose links changed since is not archived."""
        archive = self.undoing.archives.get(near.link.pk)
        if archive is None:
            return
        mine = [c for c in self.done[near.link.pk] if c.side == archive.side]
        moved = (
            self._pairs_moved(near, mine)
            if archive.side == Side.HUBSPOT
            else self._fields_moved(near, mine)
        )
        if moved:
            text = f"{moved} changed since: the record stays."
            self.undoing.keep_record(near.link, text, Code.CHANGED_SINCE_PLAN)

    def _pairs_moved(self, near: _Near, mine: Sequence[Change]) -> str:
        for to_object, held in near.held.items():
            left: Pairs = {}
            for change in reversed(mine):
                if change.after.get("to_object") == to_object and change.other_link:
                    left |= left_in_hubspot(change, change.other_link)
            if held is None or held != {i: types for i, types in left.items() if types}:
                return "Its links"
        return ""

    def _fields_moved(self, near: _Near, mine: Sequence[Change]) -> str:
        for name in self.session.references:
            left: set[str] = set()
            for change in reversed(mine):
                if change.after.get("field") == name:
                    left = self._left_in_field(change, left)
            if set(stored_ids(near.link, name)) != left:
                return name
        return self._rows_moved(near, mine)

    def _left_in_field(self, change: Change, left: set[str]) -> set[str]:
        """What a field held once a change was written. Args: left, before it."""
        pair = self.pairs.get(change.mapping_key)
        if pair is not None and pair.mapped(change.mapping_key).end.many:
            far_id = change.other_link.app_id if change.other_link is not None else None
            removed = change.kind == ChangeKind.UNLINK
            return left - {far_id or ""} if removed else left | {far_id or ""}
        return set(far_ids(change))

    def _rows_moved(self, near: _Near, mine: Sequence[Change]) -> str:
        """The join table whose rows of a record are not those that the run left."""
        for key, pair in self.pairs.items():
            end = pair.mapped(key).end
            if not isinstance(end, JoinTableEnd):
                continue
            left: set[str] = set()
            for change in reversed(mine):
                if change.mapping_key == key and change.other_link is not None:
                    far_id = change.other_link.app_id or ""
                    left = left | {far_id} if change.after["rows"] else left - {far_id}
            if set(end.ids(near.link) or ()) != left:
                return end.name
        return ""


def _some(items: Sequence[str], size: int = 5000) -> Iterable[Sequence[str]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]
