"""HubSpot's links, an app's fields and rows, and our baselines, all in memory.

`Office.run` does what a run does of links: plan each contact, write HubSpot in the order
of the writer, then the app, keep what was answered, and twice read back what was written.
It drives the real merge and the real `Insister`; HubSpot here is a transcription of its
documented behaviour, under each value of what is not documented.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from associations.engine.edges import (
    EdgeChange,
    Far,
    MappingRule,
    PairWrite,
    Result,
    State,
    Status,
    Types,
)
from associations.engine.links import merge
from associations.run.insisting import Insister, less
from connections.catalogue import Code
from connections.records import AssociationType, Edge, Linked, Outcome, Side

PLAIN = AssociationType("HUBSPOT_DEFINED", 279)
PRIMARY = AssociationType("HUBSPOT_DEFINED", 1)
X, Y = (AssociationType("USER_DEFINED", i) for i in (31, 33))
UNMAPPED = AssociationType("USER_DEFINED", 35)
PASSES = 3  # of a run: its own, and two that read back what was written
ORDER = ("unlink", "relabel", "link")
# What may happen to one write, by what the sender learns of it and whether it is done.
Fault = Literal["ok", "refused", "lost", "unanswered", "killed", "killed after"]


class Killed(BaseException):
    """The process died."""


@dataclass(frozen=True)
class Ways:
    """What HubSpot does not document; the sandbox's switches say what each means."""

    first_link_primary: str = "every_path"
    label_write: str = "replace"
    labels_without_primary: str = "drop"
    second_primary: str = "demote"
    primary_archive: str = "leaves_plain"


@dataclass
class HubSpot:
    """Links of contacts to companies, by id."""

    ways: Ways
    fault: Callable[[], Fault]
    pairs: dict[tuple[int, int], set[AssociationType]] = field(default_factory=dict)

    def of(self, contact: int) -> dict[int, Types]:
        return {b: frozenset(t) for (a, b), t in self.pairs.items() if a == contact}

    # What people do

    def link(self, contact: int, far: int, types: Iterable[AssociationType]) -> None:
        """Add types to a pair, as the window of a record does."""
        first = not self.of(contact) and self.ways.first_link_primary != "never"
        wanted = {PLAIN, *types} | ({PRIMARY} if first else set())
        if PRIMARY in wanted:
            self._demote(contact)
        self.pairs.setdefault((contact, far), set()).update(wanted)

    def take_off(self, contact: int, far: int, type_: AssociationType) -> None:
        self.pairs.get((contact, far), set()).discard(type_)

    def unlink(self, contact: int, far: int) -> None:
        self.pairs.pop((contact, far), None)

    def _demote(self, contact: int) -> None:
        for (one, _), types in self.pairs.items():
            if one == contact:
                types.discard(PRIMARY)

    # What the API does

    def associate(self, _from: str, _to: str, edges: Sequence[Edge]) -> list[Outcome]:
        return [self._answer(self._write, edge) for edge in edges]

    def dissociate(self, _from: str, _to: str, edges: Sequence[Edge]) -> list[Outcome]:
        return [self._answer(self._remove, edge) for edge in edges]

    def unlabel(self, _from: str, _to: str, edges: Sequence[Edge]) -> list[Outcome]:
        return [self._answer(self._unlabel, edge) for edge in edges]

    def associations(
        self, _from: str, _to: str, ids: Sequence[str]
    ) -> Mapping[str, tuple[Linked, ...]]:
        return {
            i: tuple(Linked(str(far), types) for far, types in self.of(int(i)).items())
            for i in ids
        }

    def _answer(self, do: Callable[[Edge], str], edge: Edge) -> Outcome:
        fault = self.fault()
        if fault == "killed":
            raise Killed
        if fault == "refused":
            return Outcome(False, code=Code.UNAVAILABLE, message="Not now.")
        if fault == "lost":
            return Outcome(False, uncertain=True)
        refused = do(edge)
        if fault == "killed after":
            raise Killed
        if fault == "unanswered":
            return Outcome(False, uncertain=True)
        if refused:
            return Outcome(False, code=Code.VALUE_INVALID, message=refused)
        return Outcome(True)

    def _write(self, edge: Edge) -> str:
        contact, far = int(edge.from_id), int(edge.to_id)
        had = self.pairs.get((contact, far), set())
        wanted = {*edge.types, PLAIN} | self._kept(had)
        if not had and not self.of(contact):
            wanted |= (
                {PRIMARY} if self.ways.first_link_primary == "every_path" else set()
            )
        if PRIMARY in wanted - had:
            led = any(PRIMARY in types for types in self.of(contact).values())
            if led and self.ways.second_primary == "refuse":
                return "There is a primary already."
            self._demote(contact)
        self.pairs[contact, far] = wanted
        return ""

    def _kept(self, had: set[AssociationType]) -> set[AssociationType]:
        labels = had - {PRIMARY} if self.ways.label_write == "add" else set()
        keeps = self.ways.labels_without_primary == "keep" or labels
        return labels | (had & {PRIMARY} if keeps else set())

    def _remove(self, edge: Edge) -> str:
        self.unlink(int(edge.from_id), int(edge.to_id))
        return ""

    def _unlabel(self, edge: Edge) -> str:
        at, way = (int(edge.from_id), int(edge.to_id)), self.ways.primary_archive
        if PRIMARY in edge.types and way == "refused":
            return "The primary label can not be removed."
        whole = PRIMARY in edge.types and way == "removes_pair"
        if at in self.pairs:
            self.pairs[at] -= edge.types
            if whole or PLAIN in edge.types:
                del self.pairs[at]
        return ""


@dataclass
class Contact:
    """A contact's fields in the app by mapping (rows with labels by far record, where
    the mapping is of labels), and what both sides had."""

    fields: dict[str, list[int]] = field(default_factory=dict)
    rows: dict[int, Types] = field(default_factory=dict)
    base: dict[str, dict[int, Types]] = field(default_factory=dict)


class Office:
    """Both systems, and what we know of them."""

    def __init__(
        self,
        rules: Sequence[MappingRule],
        ways: Ways,
        contacts: Iterable[int],
        status: Mapping[int, Status],
    ) -> None:
        self.rules, self.status = tuple(rules), dict(status)
        self._faults: Iterator[Fault] = iter(())
        # Writes that a process died in: what was sent, and what was known before.
        self._sent: list[tuple[Insister, str, Edge]] = []
        # As the writer knows it: what HubSpot had when the run planned, what it took off.
        self._known: dict[str, dict[str, Types]] = {}
        self._taken: list[tuple[tuple[str, str], Types | None]] = []
        self.hubspot = HubSpot(ways, lambda: next(self._faults, "ok"))
        self.contacts = {contact: Contact() for contact in contacts}

    def rule(self, key: str) -> MappingRule:
        return next(r for r in self.rules if r.key == key)

    def held(self, contact: int, key: str) -> list[int]:
        """The far records that the app links a contact to."""
        mine = self.contacts[contact]
        if self.rule(key).kind == "labels":
            return list(mine.rows)
        return mine.fields.get(key, [])

    def plan(self, contact: int) -> Result:
        mine = self.contacts[contact]
        states = {
            r.key: State(
                app=tuple(self.held(contact, r.key)),
                base=mine.base.get(r.key),
                labels=mine.rows if r.kind == "labels" else {},
            )
            for r in self.rules
        }
        fars = {k: Far(k, s) for k, s in self.status.items()}
        return merge(self.rules, states, self.hubspot.of(contact), fars, plain=PLAIN)

    # A run

    def run(
        self,
        faults: Iterable[Fault] = (),
        look: Callable[[int, Result], None] = lambda contact, result: None,
        order: Sequence[int] = (),
    ) -> None:
        """Args: faults, of one write each; look, is told what is planned of a contact;
        order, of the contacts."""
        self._faults = iter(faults)
        due = list(order or self.contacts)
        try:
            self._recover()
            for _ in range(PASSES):
                planned = {contact: self.plan(contact) for contact in due}
                self._known = {str(c): self._links_of(c) for c in due}
                for contact, result in planned.items():
                    look(contact, result)
                    self._keep_standing(contact, result)
                due = [c for c, result in planned.items() if result.changes]
                self._write({c: planned[c] for c in due})
                if not due:
                    break
        except Killed:
            pass
        finally:
            self._faults = iter(())

    def _recover(self) -> None:
        for insister, kind, edge in self._sent:
            if kind != "dissociate":
                ends = edge.from_id, edge.to_id
                insister.known = less(insister.known, self._taken)
                insister.recover({ends: edge}, taken_off=kind == "unlabel")
        self._sent.clear()
        self._taken.clear()

    def _links_of(self, contact: int) -> dict[str, Types]:
        return {str(far): types for far, types in self.hubspot.of(contact).items()}

    def _keep_standing(self, contact: int, result: Result) -> None:
        """What stands whatever is written; what is being changed waits for its outcome."""
        base = self.contacts[contact].base
        for key, wanted in result.base.items():
            mine = [c for c in result.changes if c.mapping_key == key]
            changing = {far for c in mine for far in (*c.ends, c.far_key)}
            held = base.get(key, {})
            base[key] = {f: t for f, t in wanted.items() if f not in changing}
            base[key] |= {f: t for f, t in held.items() if f in changing}

    def _write(self, planned: Mapping[int, Result]) -> None:
        for kind in ORDER:
            for contact, result in planned.items():
                for write in result.hubspot:
                    changes = [
                        c
                        for c in result.changes
                        if (c.side, c.kind) == (Side.HUBSPOT, kind)
                        and c.far_key == write.far_key
                    ]
                    if changes:
                        self._to_hubspot(contact, write, changes)
        for contact, result in planned.items():
            for change in result.changes:
                if change.side is Side.APP:
                    self._to_app(contact, result, change)

    def _to_hubspot(
        self, contact: int, write: PairWrite, changes: Sequence[EdgeChange]
    ) -> None:
        """One write of one pair, as the writer sends it."""
        ends = str(contact), str(write.far_key)
        insister = Insister(
            self.hubspot,  # type: ignore[arg-type]
            "0-1",
            "0-2",
            self._known,
        )
        edges = {ends: Edge(*ends, write.types)}
        self._sent.append((insister, write.kind, edges[ends]))
        if write.kind != "associate":
            whole = write.kind == "dissociate"
            self._taken.append((ends, None if whole else write.types))
        off = {ends: Edge(*ends, write.off)} if write.off else {}
        kept = insister.take_off(off)
        call = getattr(self.hubspot, write.kind)
        outcomes = dict(zip(edges, call("", "", list(edges.values())), strict=True))
        if write.kind == "associate":
            outcomes |= insister.associate(edges, outcomes)
        elif write.kind == "unlabel":
            outcomes |= insister.unlabel(edges, outcomes)
            taken = {ends: edge for ends, edge in edges.items() if outcomes[ends].ok}
            outcomes |= insister.put_back(taken)
        still = insister.still_on(off, kept)
        if not outcomes[ends].uncertain:
            self._sent.pop()
            if write.kind != "associate" and not outcomes[ends].ok:
                self._taken.pop()
        for change in changes:
            found = still.get(ends) if change.kind == "unlink" else None
            if (found or outcomes[ends]).ok:
                self._done(contact, change, write.types)

    def _to_app(self, contact: int, result: Result, change: EdgeChange) -> None:
        if change.follows and (contact, change.far_key) in self.hubspot.pairs:
            return  # the unlink that was to come first did not
        fault = next(self._faults, "ok")
        if fault == "killed":
            raise Killed
        mine, key, far = self.contacts[contact], change.mapping_key, change.far_key
        if fault in ("ok", "unanswered", "killed after"):
            if change.rows is not None and far is not None:
                mine.rows.pop(far, None)
                if change.rows:
                    mine.rows[far] = change.rows
            else:
                mine.fields[key] = list(result.app[key])
        if fault == "killed after":
            raise Killed
        if fault == "ok":
            self._done(contact, change, change.types)

    def _done(self, contact: int, change: EdgeChange, types: Types) -> None:
        base = self.contacts[contact].base.setdefault(change.mapping_key, {})
        for far in change.ends:
            base.pop(far, None)
        if change.far_key is None:
            return
        if change.base is not None:
            base.pop(change.far_key, None)
            if change.base:
                base[change.far_key] = change.base
        elif change.kind != "unlink":
            base.setdefault(change.far_key, types)

    def snapshot(self) -> object:
        pairs = {ends: frozenset(types) for ends, types in self.hubspot.pairs.items()}
        app = {
            contact: ({k: tuple(f) for k, f in mine.fields.items()}, dict(mine.rows))
            for contact, mine in self.contacts.items()
        }
        return pairs, app
