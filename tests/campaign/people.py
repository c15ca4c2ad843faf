"""The people of a campaign: what they do in both systems, and how these are read back."""

from __future__ import annotations

import random
from collections.abc import Callable, Collection
from typing import Any

from django.db.models import QuerySet

from connections.sandbox.hubspot.switches import TABLE
from syncs.models import RecordLink
from tests.campaign.bench import Bench
from tests.campaign.oracle import (
    COMPANIES,
    CONTACTS,
    LINK,
    ON,
    REVIEW,
    A,
    Cell,
    Edit,
    H,
    Oracle,
    Record,
    Rules,
    Value,
    advised,
    adviser,
)
from tests.campaign.portal import Refused
from tests.campaign.reading import FIELDS, KEYS, MONEY, TABLES, Reader
from tests.world import PLAIN, PRIMARY

NO_LABELS = 5_000  # the last seed without a label beside the primary
SIZES = {"technical_cap", "association_page", "archive_from_cap", "pair_batch_cap"}
DIRECTIONS = ("two_way", "two_way", "to_app", "to_hubspot")
CONFLICTS = (H, A, H, A, REVIEW)
DELETES = ("ignore", "ignore", "ask", "propagate", "propagate")
SCOPE, OUT = "city", "out"
FILTERS: tuple[tuple[str, Any], ...] = (
    *(("is_not", OUT), ("not_in", [OUT, "away"])),
    *(("not_contains", "ou"), ("unknown", None)),
)
TIGHT = {"create": 2, "update": 1, "archive": 1, "unlink": 1, "blank": 0, "percent": 5}


def rules_of(rng: random.Random) -> Rules:
    """A seed's set-up."""
    direction, conflict = rng.choice(DIRECTIONS), rng.choice(CONFLICTS)
    if direction != "two_way":
        conflict = rng.choice((H, A))
    limits: dict[str, int | None] = {}
    if rng.random() < 0.4:
        limits = {n: most for n, most in TIGHT.items() if rng.random() < 0.4}
    filters: tuple[str, ...] = ()
    if rng.random() < 0.35:
        filters = rng.choice(((H,), (A,), (H, A)))
    deletes = rng.choice(DELETES)
    return Rules(direction, conflict, deletes, tuple(limits.items()), filters)


class People(Reader):
    """Somebody at work in one seed's small world. `log` tells what was done."""

    def __init__(self, bench: Bench, seed: int) -> None:
        self.seed = seed
        self.rng = rng = random.Random(seed)
        self.log: list[str] = []
        super().__init__(bench, Oracle(rules_of(rng)))
        self.lag = rng.choice((0, 0, 0, rng.randint(1, 5), 20))
        self.switches = {
            s.name: rng.choice(s.values)
            for s in TABLE
            if s.name not in SIZES and s.name != "search_lag_s" and rng.random() < 0.4
        }
        self.switches |= {"search_lag_s": self.lag}
        self.oracle.blind = self.lag > 0
        self.switches |= {"association_page": rng.choice((1, 2, 500))}
        self.advises = seed > NO_LABELS
        self.buried: dict[Record, tuple[Any, ...]] = {}  # rows that were deleted
        # Links that somebody added, and their labels.
        self.extra: dict[tuple[str, str], frozenset[tuple[str, int]]] = {}
        self.reborn: set[tuple[str, Record]] = set()  # under another id
        self.survivors: set[Record] = set()  # of merges, whose other row may take over
        self.twins: dict[Record, Record] = {}  # whose key is another's, too
        self.numbers = iter(range(1, 10_000))
        self.at_work = self.in_run = False
        self.undoes = rng.random() < 0.3
        # An archive's column is declared where deletions travel.
        self.archives = self.oracle.rules.deletes != "ignore"

    def note(self, text: str) -> None:
        self.log.append(f"{len(self.log):3} {text}")

    # What people do ---------------------------------------------------------------------

    def act(self, kinds: Collection[str] = (), *, at_work: bool = False) -> None:
        """Do something at random; what cannot be done now is left."""
        rng = self.rng
        weights = {
            self.create: 3,
            self.change: 6,
            self.blank: 2,
            self.rename: 2,
            self.link: 5,
            self.clear: 2,
            self.add_link: 2,
            self.advise: 12 if self.advises else 0,
            self.remove: 1,
            self.restore: 2,
            self.reload: 1,
            self.merge: 1,
            self.twin: 1,
            self.part: 1,
            self.turn: 4 * len(self.oracle.rules.filters),
        }
        chosen = [a for a in weights if not kinds or a.__name__ in kinds]
        action = rng.choices(chosen, [weights[a] for a in chosen])[0]
        self.at_work = at_work or bool(self.lag)
        self.in_run = at_work
        action(rng.choice((H, A)))

    def tell(self, side: str, record: Record, name: str, value: Value) -> None:
        self.oracle.edit(Edit((*record, name), side, value), at_work=self.at_work)

    def say(self, text: str) -> None:
        self.note(f"{'    meanwhile ' if self.in_run else ''}{text}")

    def some(self, side: str, kind: str | None = None) -> Record | None:
        """A record that stands on a side, and whose id is known."""
        lives = self.oracle.lives
        found = [
            r
            for r, sides in lives.items()
            if side in sides and r[0] in (kind or r[0]) and (side, r) in self.ids
        ]
        return self.rng.choice(found) if found else None

    def new_key(self, kind: str) -> str:
        number = next(self.numbers)
        return f"c{number}.example" if kind == COMPANIES else f"p{number}@x.example"

    def new_value(self, name: str) -> str:
        number = next(self.numbers)
        return str(number) if name in ("phone", MONEY) else f"v{number}"

    def create(self, side: str) -> None:
        rng = self.rng
        kind = rng.choice((COMPANIES, CONTACTS))
        record = self._other_side(side, kind) if rng.random() < 0.3 else None
        if record is not None:
            self.make(side, record, self.key(side, record))
            return
        key = self.new_key(kind)
        self.make(side, (kind, key), key)

    def key(self, side: str, record: Record) -> str:
        """A record's key on the other side."""
        name = KEYS[record[0]]
        (cell,) = {
            c.on(A if side == H else H) for c in self.oracle.cells[*record, name]
        }
        return str(cell)

    def make(self, side: str, record: Record, key: str) -> None:
        """Make a record with new values, and perhaps a link."""
        rng, kind = self.rng, record[0]
        others = [n for n in FIELDS[kind] if n != KEYS[kind]]
        values = {n: self.new_value(n) for n in others if rng.random() < 0.8}
        values[KEYS[kind]] = key
        self.say(f"create {record} in {side}: {values}")
        self.oracle.lives.setdefault(record, set()).add(side)
        self.oracle.outs.discard((side, record))
        if side == H:
            self.name(H, record, self.portal.create(kind, values))
        else:
            names = [FIELDS[kind][n] for n in values]
            marks = ", ".join(["%s"] * len(names))
            ((i,),) = self.world.sql(
                f"INSERT INTO {TABLES[kind]} ({', '.join(names)}) VALUES ({marks}) "
                "RETURNING id",
                *values.values(),
            )
            self.name(A, record, str(i))
        for name in FIELDS[kind]:
            self.tell(side, record, name, values.get(name))
        if kind == CONTACTS:
            self.tell(side, record, LINK, None)
            if rng.random() < 0.6:
                self._link(side, record)

    def _other_side(self, side: str, kind: str) -> Record | None:
        """A record that stands on the other side alone, and surely not here yet."""
        if self.in_run or self.lag:
            return None
        found = [
            r
            for r, sides in self.oracle.lives.items()
            if r[0] == kind
            and side not in sides
            and r not in self.oracle.gone
            and not self._twinned(r)
        ]
        return self.rng.choice(found) if found else None

    def change(self, side: str, value: Callable[[str], Value] | None = None) -> None:
        record = self.some(side)
        if record is None:
            return
        names = [n for n in FIELDS[record[0]] if n != KEYS[record[0]]]
        name = self.rng.choice(names)
        self._write(side, record, name, (value or self.new_value)(name))

    def _write(self, side: str, record: Record, name: str, new: Value) -> None:
        self.say(f"{record}.{name} = {new} in {side}")
        if side == H:
            if not self._update(record, name, new or ""):
                return
        else:
            self.world.sql(
                f"UPDATE {TABLES[record[0]]} SET {FIELDS[record[0]][name]} = %s "
                "WHERE id = %s",
                new,
                int(self.ids[A, record]),
            )
        self.tell(side, record, name, new)

    def _update(self, record: Record, name: str, value: str) -> bool:
        """Write in HubSpot, unless a run archived the record meanwhile."""
        try:
            self.portal.update(record[0], self.ids[H, record], **{name: value})
        except Refused as exc:
            if exc.status != 404 or not self.in_run:
                raise
            self.say("    refused: 404")
            return False
        return True

    def blank(self, side: str) -> None:
        self.change(side, lambda _: None)

    def rename(self, side: str) -> None:
        """Give a record another key, where that leaves no doubt which record it is."""
        record = self.some(side)
        if record is None or record in self.oracle.gone or self._twinned(record):
            return
        if len(self.oracle.lives[record]) == 2 and not self._paired(record):
            return
        if len(self.oracle.lives[record]) == 1 and self.in_run:
            return
        self._write(side, record, KEYS[record[0]], self.new_key(record[0]))

    def _paired(self, record: Record) -> bool:
        if len(self.oracle.lives[record]) < 2:
            return False
        ids = {f"{side}_id": self.ids[side, record] for side in (H, A)}
        return self._links_of(record[0]).filter(**ids).exists()

    def _known(self, side: str, record: Record) -> bool:
        """Whether any run has paired what a record is called on a side."""
        known = {f"{side}_id": self.ids[side, record]}
        paired = {"hubspot_id__isnull": False, "app_id__isnull": False}
        return self._links_of(record[0]).filter(**known, **paired).exists()

    def _links_of(self, kind: str) -> QuerySet[RecordLink]:
        """A kind's links: its ids may be another kind's as well."""
        sync = self.world.companies if kind == COMPANIES else self.world.contacts
        return RecordLink.objects.filter(sync=sync)

    def turn(self, _: str) -> None:
        """Take a record out of the filters' scope, or in again."""
        side = self.rng.choice(self.oracle.rules.filters)
        record = self.some(side)
        if record is None:
            return
        out = (side, record) not in self.oracle.outs
        self.say(f"{record} {'leaves' if out else 'enters'} in {side}")
        if side == H:
            if not self._update(record, SCOPE, OUT if out else ""):
                return
        else:
            self.world.sql(
                f"UPDATE {TABLES[record[0]]} SET {SCOPE} = %s WHERE id = %s",
                OUT if out else None,
                int(self.ids[A, record]),
            )
        self.oracle.turn(side, record, out=out, at_work=self.at_work)

    # Two of a key -----------------------------------------------------------------------

    def _twinned(self, record: Record) -> bool:
        return record in self.twins or record in self.twins.values()

    def twin(self, side: str) -> None:
        """Make a second record of the same key, as people do by mistake."""
        record = self.some(side, None if side == A else COMPANIES)
        unique = side == H and self.switches.get("domain_unique")
        if record is None or unique or self.at_work or record in self.oracle.gone:
            return
        if self._twinned(record):
            return
        kind, name = record
        keys = {c.on(side) for c in self.oracle.cells[kind, name, KEYS[kind]]}
        if len(keys) == 1 and (key := keys.pop()) is not None:
            double = (kind, f"{name}#{next(self.numbers)}")
            self.twins[double] = record
            self.make(side, double, key)

    def part(self, side: str) -> None:
        """Give a twin a key of its own."""
        lives = self.oracle.lives
        found = [r for r in self.twins if side in lives[r] and not self.at_work]
        if found:
            record = self.rng.choice(found)
            del self.twins[record]
            self._write(side, record, KEYS[record[0]], self.new_key(record[0]))

    # Links ------------------------------------------------------------------------------

    def link(self, side: str) -> None:
        record = self.some(side, CONTACTS)
        if record is not None:
            self._link(side, record)

    def _link(self, side: str, record: Record) -> None:
        company = self.some(side, COMPANIES)
        if company is None:
            return
        self.say(f"{record} -> {company} in {side}")
        if side == A:
            self._point(record, int(self.ids[A, company]))
            self.tell(A, record, LINK, company[1])
            return
        if self.switches.get("second_primary") == "refuse":
            for other, types in self.edges(record)[record].items():
                if PRIMARY in types and other != company[1]:
                    self._unlabel(record, other)
        try:
            self.portal.link(self.ids[H, record], self.ids[H, company], {PRIMARY})
        except Refused as exc:  # a run made another one primary meanwhile
            self.say(f"    refused: {exc.status}")
        self._replaced(record, company[1])
        self._keep_extras(record)
        self._tell_links(record)

    def _keep_extras(self, record: Record) -> None:
        """What a person's own act left of the links that people added."""
        held = self.edges(record)[record]
        for pair in [p for p in self.extra if p[0] == record[1]]:
            if pair[1] in held:
                self.extra[pair] &= held[pair[1]]
            else:
                del self.extra[pair]

    def _point(self, record: Record, company: int | None) -> None:
        self.world.sql(
            "UPDATE people SET company_id = %s WHERE id = %s",
            company,
            int(self.ids[A, record]),
        )

    def _unlabel(self, record: Record, company: str) -> None:
        """Take a pair away, as a person does where only one primary may be."""
        self.portal.unlink(self.ids[H, record], self.ids[H, (COMPANIES, company)])
        self._replaced(record, company)
        self.extra.pop((record[1], company), None)

    def _replaced(self, record: Record, company: str) -> None:
        """A label that the run at work may just have put there went with other types."""
        slot = (*record, adviser(company))
        if slot in self.oracle.cells:
            self.oracle.parted.add(slot)
            self.tell(H, record, slot[2], None)

    def _tell_links(self, *people: Record, parts: bool = True, acted: str = "") -> None:
        """HubSpot makes primaries by itself: what counts is what it shows.

        `parts`: what is off was taken off, and did not go with its end. `acted`: the
        company whose label it was about.
        """
        for record, edges in self.edges(*people).items():
            primary = [c for c, types in edges.items() if PRIMARY in types]
            self.tell(H, record, LINK, primary[0] if primary else None)
            held = self.labelled(edges)
            self._tell_labels(H, record, held, parts=parts, acted=acted)

    def _tell_labels(
        self,
        side: str,
        record: Record,
        held: set[str],
        *,
        parts: bool,
        acted: str = "",
    ) -> None:
        """Say which labels an act put on a contact's links, and which it took off."""
        if not self.advises:
            return
        cells, waiting = self.oracle.cells, {e.slot for e in self.oracle.open}
        known = {advised(slot) for slot in cells if slot[:2] == record} - {""}
        for company in sorted(known | held):
            slot = (*record, adviser(company))
            value = ON if company in held else None
            before = {c.on(side) for c in cells.get(slot, {Cell()})}
            if parts and value is None and before != {None}:
                self.oracle.parted.add(slot)
            if company == acted or slot in waiting or before != {value}:
                self.tell(side, record, slot[2], value)  # a run may have turned it

    def clear(self, side: str) -> None:
        record = self.some(side, CONTACTS)
        if record is None:
            return
        self.say(f"{record} unlinked in {side}")
        self.oracle.cleared.add(record[1])
        if side == A:
            self._point(record, None)
            self.tell(A, record, LINK, None)
            return
        for company, types in self.edges(record)[record].items():
            if PRIMARY in types:
                self._unlabel(record, company)
        self._tell_links(record)

    def add_link(self, _: str) -> None:
        """Add a plain link or a label in HubSpot, which may become primary by itself."""
        record, company = self.some(H, CONTACTS), self.some(H, COMPANIES)
        if record is None or company is None:
            return
        types = self.rng.choice(({PLAIN}, {self.label}))
        held = self.edges(record)[record].get(company[1], frozenset())
        if types <= held or (held and types == {PLAIN}):
            return  # what a run may have put there nobody can tell from it
        self.say(
            f"{record} also -> {company} in hubspot as {types}, beside {set(held)}"
        )
        try:
            self.portal.link(self.ids[H, record], self.ids[H, company], types | held)
        except Refused as exc:  # a run archived one of the two, or moved its primary
            self.say(f"    refused: {exc.status}")
        else:
            labels = types - {PLAIN, *([self.label] if self.advises else ())}
            self.extra[record[1], company[1]] = frozenset(labels)
        self._tell_links(record)

    def advise(self, side: str) -> None:
        """Make a company a contact's adviser, or no adviser any more."""
        record, company = self.some(side, CONTACTS), self.some(side, COMPANIES)
        if record is None or company is None:
            return
        held = self.edges(record)[record] if side == H else {}
        now = self.labelled(held) if side == H else self.advisers().get(record, set())
        now = {c for c in now if (side, (COMPANIES, c)) in self.ids}
        name = self.rng.choice(sorted(now)) if self.rng.random() < 0.5 and now else ""
        name = name or company[1]
        self.say(f"{record} {'no more' if name in now else 'now'} by {name} in {side}")
        ids = self.ids[side, record], self.ids[side, (COMPANIES, name)]
        if side == A:
            sql = "INSERT INTO advisers VALUES (%s, %s)"
            if name in now:
                sql = "DELETE FROM advisers WHERE person = %s AND company = %s"
            self.world.sql(sql, *map(int, ids))
            self._tell_labels(A, record, now ^ {name}, parts=True, acted=name)
        elif name in now:
            self.portal.unlabel(*ids, self.label)
            self._tell_links(record, acted=name)
        else:
            try:
                self.portal.link(*ids, {self.label, *held.get(name, ())})
            except Refused as exc:  # a run archived one of them meanwhile
                self.say(f"    refused: {exc.status}")
            self._tell_links(record, acted=name)

    # Coming and going -------------------------------------------------------------------

    def remove(self, side: str) -> None:
        record = self.some(side)
        if record is None or record in self.oracle.gone:
            return
        if record in self.twins.values() or record in self.survivors:
            return  # which of the two is it then?
        self.say(f"remove {record} in {side}")
        kind, i = record[0], self.ids[side, record]
        touched = self._linked_to(side, record)
        doomed = not self.at_work and self._paired(record)
        doomed = doomed and self.oracle.settled(record)
        doomed = doomed and record not in self.oracle.shy
        if side == H:
            self.portal.archive(kind, i)
        elif self.rng.random() < 0.4 and self.archives:
            self.say("    by its column")
            self.world.sql(
                f"UPDATE {TABLES[kind]} SET archived = true WHERE id = %s", int(i)
            )
        else:
            (row,) = self.world.sql(
                f"SELECT * FROM {TABLES[kind]} WHERE id = %s", int(i)
            )
            self.buried[record] = row
            self.world.sql(f"DELETE FROM {TABLES[kind]} WHERE id = %s", int(i))
        self.oracle.removed(record, side, doomed=doomed, at_work=self.at_work)
        self._tell_again(side, touched)

    def restore(self, _: str) -> None:
        lost = [
            (s, r)
            for r in sorted(self.oracle.gone - set(self.twins) - self.oracle.merged)
            for s in (H, A)
            if s not in self.oracle.lives[r] and (s, r) in self.ids
        ]
        if not lost:
            return
        side, record = self.rng.choice(lost)
        if self.rng.random() < 0.3 and not (self.in_run or self.lag):
            if (key := self._one_key(record)) is not None:
                self.reborn.add((side, record))
                self.make(side, record, key)
                self._tell_again(side, self._linked_to(side, record))
            return
        if (side, record) in self.reborn:
            return
        if self.at_work and (A if side == H else H, record) in self.reborn:
            return  # a run may be making one for it
        if self.at_work and not self._known(side, record):
            return  # so may one that never knew of it
        self.say(f"restore {record} in {side}")
        self.oracle.spare(record)
        if side == H:
            self.bench.sandbox.control.restore(record[0], self.ids[H, record])
        elif self.world.sql(
            f"UPDATE {TABLES[record[0]]} SET archived = false WHERE id = %s RETURNING 1",
            int(self.ids[A, record]),
        ):
            self.say("    by its column")
        else:
            row = list(self.buried[record])
            if record[0] == CONTACTS and not self.world.sql(
                "SELECT 1 FROM companies WHERE id = %s", row[4]
            ):
                row[4] = None
            self._insert(record[0], row)
        self.oracle.lives[record].add(side)
        self._tell_again(side, self._linked_to(side, record))

    def _one_key(self, record: Record) -> Value:
        """A record's key, if all that are in question agree."""
        cells = self.oracle.cells[*record, KEYS[record[0]]]
        keys = {c.on(side) for c in cells for side in (H, A)} - {None}
        return keys.pop() if len(keys) == 1 else None

    def _insert(self, kind: str, row: list[Any]) -> None:
        """Put a row back as it was; its last columns are time, archived and scope."""
        marks = ", ".join(["%s"] * (len(row) - 3))
        self.world.sql(
            f"INSERT INTO {TABLES[kind]} VALUES "
            f"({marks}, clock_timestamp(), false, %s)",
            *row[:-3],
            row[-1],
        )

    def reload(self, _: str) -> None:
        """Give a row of the app another id, as a table that is loaded anew does."""
        record = self.some(A)
        if record is None or record in self.oracle.gone or self._twinned(record):
            return
        if record in self.survivors:
            return  # the other's row takes over
        if self._one_key(record) is None or self.at_work:
            return  # its key does not tell what it was
        self.say(f"reload {record} in app")
        kind, old = record[0], int(self.ids[A, record])
        table = TABLES[kind]
        names = ", ".join((*FIELDS[kind].values(), SCOPE))
        names += ", company_id" if kind == CONTACTS else ""
        with self.world.session.transaction():
            ((new,),) = self.world.sql(
                f"INSERT INTO {table} ({names}) SELECT {names} FROM {table} "
                "WHERE id = %s RETURNING id",
                old,
            )
            if kind == COMPANIES:
                self.world.sql(
                    "UPDATE people SET company_id = %s WHERE company_id = %s", new, old
                )
            column = "company" if kind == COMPANIES else "person"
            self.world.sql(
                f"UPDATE advisers SET {column} = %s WHERE {column} = %s", new, old
            )
            self.world.sql(f"DELETE FROM {table} WHERE id = %s", old)
        self.name(A, record, str(new))
        self.reborn.add((A, record))
        self.oracle.reloaded(record)

    def merge(self, _: str) -> None:
        """Merge two records in HubSpot that both are paired."""
        kind = self.rng.choice((COMPANIES, CONTACTS))
        one, other = self.some(H, kind), self.some(H, kind)
        if one is None or other is None or one == other or self.at_work:
            return
        for record in (one, other):
            gone = record in self.oracle.gone or self._twinned(record)
            if gone or not self._paired(record):
                return
        self.say(f"merge {other} into {one} in hubspot")
        body = {
            "primaryObjectId": self.ids[H, one],
            "objectIdToMerge": self.ids[H, other],
        }
        made = self.portal.call("POST", f"/crm/v3/objects/{kind}/merge", body)
        self.name(H, one, str(made["id"]))
        del self.ids[H, other]
        self.oracle.removed(other, H)
        self.oracle.spare(one)
        self.oracle.merged.add(other)
        self.survivors.add(one)
        (values,) = (
            row
            for i, row in self.portal.records(kind, [*FIELDS[kind], SCOPE])
            if i == made["id"]
        )
        out = values.pop(SCOPE) == OUT
        self.oracle.turn(H, one, out=out, at_work=False)
        for name, value in values.items():
            if value and name == MONEY:
                value = str(int(float(value)))
            self.tell(H, one, name, value or None)
        people = self._linked_to(H, one)
        self._tell_links(*people)
        for pair in [p for p in self.extra if other[1] in p]:
            moved = tuple(one[1] if name == other[1] else name for name in pair)
            types = self.extra.pop(pair)
            held = self.extra.get((moved[0], moved[1]), frozenset())
            self.extra[moved[0], moved[1]] = held | types
        for person in people:
            self._keep_extras(person)

    def _linked_to(self, side: str, record: Record) -> list[Record]:
        """Contacts whose link on a side may move with a record."""
        lives = self.oracle.lives
        people = [
            r
            for r in lives
            if r[0] == CONTACTS and side in lives[r] and (side, r) in self.ids
        ]
        return people if record[0] == COMPANIES else [record]

    def _tell_again(self, side: str, people: list[Record]) -> None:
        """Say what became of links whose end went or came."""
        people = [r for r in people if side in self.oracle.lives[r]]
        if side == H:
            self._tell_links(*people, parts=False)
            return
        for record in people:
            ((row,),) = self.world.sql(
                "SELECT company_id FROM people WHERE id = %s",
                int(self.ids[A, record]),
            )
            end = None if row is None else self.called.get((A, COMPANIES, str(row)))
            if row is not None and end is None:
                continue  # the run at work just made that one, and linked to it
            self.tell(A, record, LINK, end and end[1])
            self._tell_labels(
                A, record, self.advisers().get(record, set()), parts=False
            )
