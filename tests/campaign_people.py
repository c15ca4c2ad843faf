"""The people of a campaign: what they do in both systems, and how these are read back."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

from hubspot.crm.associations.v4 import AssociationSpec
from hubspot.crm.associations.v4.exceptions import ApiException

from connections.sandbox.hubspot.switches import TABLE
from tests.campaign_oracle import (
    COMPANIES,
    CONTACTS,
    LINK,
    A,
    Edit,
    H,
    Oracle,
    Record,
    Rules,
    Value,
)
from tests.campaign_reading import FIELDS, KEYS, TABLES, Reader
from tests.world import PLAIN, PRIMARY, World

SIZES = {"technical_cap", "association_page", "archive_from_cap", "pair_batch_cap"}


class People(Reader):
    """Somebody at work in one seed's small world. `log` tells what was done."""

    def __init__(self, world: World, seed: int) -> None:
        super().__init__(world)
        self.seed = seed
        self.rng = random.Random(seed)
        self.log: list[str] = []
        rng = self.rng
        direction = rng.choice(("two_way", "two_way", "to_app", "to_hubspot"))
        self.oracle = Oracle(Rules(direction, rng.choice((H, A))))
        self.lag = rng.choice((0, 0, 0, rng.randint(1, 5)))
        self.switches = {
            s.name: rng.choice(s.values)
            for s in TABLE
            if s.name not in SIZES and s.name != "search_lag_s" and rng.random() < 0.4
        }
        self.switches |= {"search_lag_s": self.lag}
        self.oracle.blind = self.lag > 0
        self.switches |= {"association_page": rng.choice((1, 2, 500))}
        self.label = ("USER_DEFINED", 0)  # once it is made
        self.buried: dict[Record, tuple[Any, ...]] = {}  # rows that were deleted
        # Links that somebody added, and their labels.
        self.extra: dict[tuple[str, str], frozenset[tuple[str, int]]] = {}
        self.reborn: set[tuple[str, Record]] = set()  # under another id
        self.numbers = iter(range(1, 10_000))

    def note(self, text: str) -> None:
        self.log.append(f"{len(self.log):3} {text}")

    # What people do ---------------------------------------------------------------------

    def act(self, kinds: tuple[str, ...] = (), *, at_work: bool = False) -> None:
        """Do something at random; what cannot be done now is left."""
        rng = self.rng
        weights = {
            self.create: 3,
            self.change: 6,
            self.blank: 2,
            self.link: 5,
            self.clear: 2,
            self.add_link: 2,
            self.remove: 1,
            self.restore: 2,
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

    def new_value(self, name: str) -> str:
        number = next(self.numbers)
        return str(number) if name in ("phone", "annualrevenue") else f"v{number}"

    def create(self, side: str) -> None:
        rng = self.rng
        kind = rng.choice((COMPANIES, CONTACTS))
        record = self._other_side(side, kind) if rng.random() < 0.3 else None
        if record is None:
            number = next(self.numbers)
            key = f"c{number}.example" if kind == COMPANIES else f"p{number}@x.example"
            record = (kind, key)
        self.make(side, record)

    def make(self, side: str, record: Record) -> None:
        """Make a record with new values, and perhaps a link."""
        rng, kind = self.rng, record[0]
        values = {n: self.new_value(n) for n in FIELDS[kind] if rng.random() < 0.8}
        self.say(f"create {record} in {side}: {values}")
        self.oracle.lives.setdefault(record, set()).add(side)
        if side == H:
            row = {KEYS[kind]: record[1], **values}
            (self.ids[H, record],) = self.world.create(kind, [row])
        else:
            names = [KEYS[kind], *(FIELDS[kind][n] for n in values)]
            marks = ", ".join(["%s"] * len(names))
            ((i,),) = self.world.sql(
                f"INSERT INTO {TABLES[kind]} ({', '.join(names)}) VALUES ({marks}) "
                "RETURNING id",
                record[1],
                *values.values(),
            )
            self.ids[A, record] = str(i)
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
            if r[0] == kind and side not in sides and r not in self.oracle.gone
        ]
        return self.rng.choice(found) if found else None

    def change(self, side: str, value: Callable[[str], Value] | None = None) -> None:
        record = self.some(side)
        if record is None:
            return
        name = self.rng.choice(list(FIELDS[record[0]]))
        new = (value or self.new_value)(name)
        self.say(f"{record}.{name} = {new} in {side}")
        if side == H:
            self.world.update(record[0], self.ids[H, record], **{name: new or ""})
        else:
            column = FIELDS[record[0]][name]
            self.world.sql(
                f"UPDATE {TABLES[record[0]]} SET {column} = %s WHERE id = %s",
                new,
                int(self.ids[A, record]),
            )
        self.tell(side, record, name, new)

    def blank(self, side: str) -> None:
        self.change(side, lambda _: None)

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
            held = self.edges(record)
            for other, types in held.items():
                if PRIMARY in types and other != company[1]:
                    self._unlabel(record, other)
        try:
            self.world.make_primary(self.ids[H, record], self.ids[H, company])
        except ApiException as exc:  # a run made another one primary meanwhile
            self.say(f"    refused: {exc.status}")
        if (pair := (record[1], company[1])) in self.extra:
            self.extra[pair] &= self.edges(record).get(company[1], frozenset())
        self._tell_links(record)

    def _point(self, record: Record, company: int | None) -> None:
        self.world.sql(
            "UPDATE people SET company_id = %s WHERE id = %s",
            company,
            int(self.ids[A, record]),
        )

    def _unlabel(self, record: Record, domain: str) -> None:
        """Take a pair away, as a person does where only one primary may be."""
        self.world.unlink(self.ids[H, record], self.ids[H, (COMPANIES, domain)])
        self.extra.pop((record[1], domain), None)

    def _tell_links(self, record: Record) -> None:
        """HubSpot makes primaries by itself: what counts is what it shows."""
        edges = self.edges(record)
        primary = [d for d, t in edges.items() if PRIMARY in t]
        self.tell(H, record, LINK, primary[0] if primary else None)

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
        for domain, types in self.edges(record).items():
            if PRIMARY in types:
                self._unlabel(record, domain)
        self._tell_links(record)

    def add_link(self, _: str) -> None:
        """Add a plain link or a label in HubSpot, which may become primary by itself."""
        record, company = self.some(H, CONTACTS), self.some(H, COMPANIES)
        if record is None or company is None:
            return
        types = self.rng.choice(({PLAIN}, {self.label}))
        held = self.edges(record).get(company[1], frozenset())
        if held and types == {PLAIN}:
            return
        self.say(
            f"{record} also -> {company} in hubspot as {types}, beside {set(held)}"
        )
        self.world.client.crm.associations.v4.basic_api.create(
            CONTACTS,
            self.ids[H, record],
            COMPANIES,
            self.ids[H, company],
            [
                AssociationSpec(association_category=c, association_type_id=t)
                for c, t in sorted(types | held)
            ],
        )
        self.extra[record[1], company[1]] = frozenset(types - {PLAIN})
        self._tell_links(record)

    def remove(self, side: str) -> None:
        record = self.some(side)
        if record is None or record in self.oracle.gone:
            return
        self.say(f"remove {record} in {side}")
        kind, i = record[0], self.ids[side, record]
        touched = self._linked_to(side, record)
        if side == H:
            self.world.client.crm.objects.basic_api.archive(kind, i)
        else:
            (row,) = self.world.sql(
                f"SELECT * FROM {TABLES[kind]} WHERE id = %s", int(i)
            )
            self.buried[record] = row
            self.world.sql(f"DELETE FROM {TABLES[kind]} WHERE id = %s", int(i))
        self.oracle.removed(record, side)
        self._tell_again(side, touched)

    def restore(self, _: str) -> None:
        lost = [
            (s, r)
            for r in sorted(self.oracle.gone)
            for s in (H, A)
            if s not in self.oracle.lives[r] and (s, r) in self.ids
        ]
        if not lost:
            return
        side, record = self.rng.choice(lost)
        if self.rng.random() < 0.3 and not (self.in_run or self.lag):
            self.reborn.add((side, record))
            self.make(side, record)
            return
        if (side, record) in self.reborn:
            return
        self.say(f"restore {record} in {side}")
        if side == H:
            self.world.sandbox.control.restore(record[0], self.ids[H, record])
        else:
            row = list(self.buried[record])
            if record[0] == CONTACTS and not self.world.sql(
                "SELECT 1 FROM companies WHERE id = %s", row[4]
            ):
                row[4] = None
            marks = ", ".join(["%s"] * (len(row) - 1))
            self.world.sql(
                f"INSERT INTO {TABLES[record[0]]} VALUES ({marks}, clock_timestamp())",
                *row[:-1],
            )
        self.oracle.lives[record].add(side)
        self._tell_again(side, self._linked_to(side, record))

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
        for record in people:
            if side not in self.oracle.lives[record]:
                continue
            if side == H:
                self._tell_links(record)
                continue
            ((domain,),) = self.world.sql(
                "SELECT c.domain FROM people p LEFT JOIN companies c "
                "ON c.id = p.company_id WHERE p.id = %s",
                int(self.ids[A, record]),
            )
            self.tell(A, record, LINK, domain)


def new_label(client: Any) -> int:
    """Make a label of one's own from contacts to companies; its type id."""
    from hubspot.crm.associations.v4.schema import (
        PublicAssociationDefinitionCreateRequest as Request,
    )

    api = client.crm.associations.v4.schema.definitions_api
    made = api.create(CONTACTS, COMPANIES, Request(name="adviser", label="Adviser"))
    return int(made.results[0].type_id)
