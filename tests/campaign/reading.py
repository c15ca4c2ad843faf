"""Both systems of a campaign, read back by HubSpot's API and SQL."""

from __future__ import annotations

from tests.campaign.bench import Bench
from tests.campaign.oracle import (
    COMPANIES,
    CONTACTS,
    LINK,
    ON,
    A,
    H,
    Oracle,
    Record,
    Seen,
    Value,
    Violation,
    advised,
    adviser,
)
from tests.vendor import Types
from tests.world import COMPANY_FIELDS, CONTACT_FIELDS, PRIMARY

TABLES = {COMPANIES: "companies", CONTACTS: "people"}
KEYS = {COMPANIES: "domain", CONTACTS: "email"}
FIELDS = {COMPANIES: dict(COMPANY_FIELDS), CONTACTS: dict(CONTACT_FIELDS)}
MONEY = "annualrevenue"
Row = tuple[str, dict[str, Value]]  # id, values


class Reader:
    """Reads both systems, and knows which record of a person's is which row there.

    A record is what somebody made once; it keeps its name whatever becomes of its key.
    """

    def __init__(self, bench: Bench, oracle: Oracle) -> None:
        self.bench, self.oracle = bench, oracle
        self.world, self.portal = bench.world, bench.portal
        self.ids: dict[tuple[str, Record], str] = {}  # what it is called now
        self.called: dict[tuple[str, str, str], Record] = {}  # or was
        self.label = ("USER_DEFINED", 0)  # once it is made
        self.advises = False  # whether advisers are mapped to it

    def name(self, side: str, record: Record, i: str) -> None:
        """A record goes by an id from now on."""
        self.ids[side, record] = i
        self.called[side, record[0], i] = record

    def look(self) -> Seen:
        """Read everything. Raises: Violation for what nobody made, or is there twice."""
        seen = Seen({H: {}, A: {}}, {})
        for kind, fields in FIELDS.items():
            self._saw(seen, H, kind, list(self.portal.records(kind, list(fields))))
            names = ", ".join(fields.values())
            link = ", company_id" if kind == CONTACTS else ""
            found = self.world.sql(
                f"SELECT id, {names}{link} FROM {TABLES[kind]} WHERE NOT archived"
            )
            rows = []
            for line in found:
                texts = [None if v is None else str(v) for v in line[1:]]
                rows.append(
                    (str(line[0]), dict(zip((*fields, LINK), texts, strict=False)))
                )
            self._saw(seen, A, kind, rows)
        self._links(seen)
        return seen

    def _saw(self, seen: Seen, side: str, kind: str, rows: list[Row]) -> None:
        fresh: list[Row] = []
        for i, values in rows:
            for name, value in values.items():
                if name != LINK:
                    values[name] = value or None
            if (money := values.get(MONEY)) is not None:
                values[MONEY] = str(int(float(money)))
            record = self.called.get((side, kind, i))
            if record is None:
                fresh.append((i, values))
            elif record in seen.values[side]:
                raise Violation(f"{record} is in {side} twice")
            else:
                seen.values[side][record] = values
                self.ids[side, record] = i
        for i, values in fresh:
            record = self._made(seen, side, kind, values[KEYS[kind]])
            self.name(side, record, i)
            seen.values[side][record] = values

    def _made(self, seen: Seen, side: str, kind: str, key: Value) -> Record:
        """Whose counterpart a row is that a run made."""
        told = self.oracle.told
        same = [
            r
            for r in self.oracle.lives
            if r[0] == kind and key in told.get((*r, KEYS[kind]), ())
        ]
        free = [r for r in same if r not in seen.values[side]]
        if not same:
            raise Violation(f"nobody made the {kind} {key} that is in {side}")
        if not free:
            raise Violation(f"{same[0]} is in {side} twice")
        return free[0]

    def _links(self, seen: Seen) -> None:
        people = [r for r in seen.values[H] if r[0] == CONTACTS]
        for record in people:
            seen.values[H][record][LINK] = None
        edges = self.edges(*people)
        for record, held in edges.items():
            for company, types in held.items():
                seen.links[record[1], company] = types
                if PRIMARY in types:
                    seen.values[H][record][LINK] = company
        if self.advises:
            self._labels(seen, edges)
        for record, values in seen.values[A].items():
            if record[0] == CONTACTS and (row := values[LINK]) is not None:
                values[LINK] = self.called[A, COMPANIES, row][1]

    def _labels(self, seen: Seen, edges: dict[Record, dict[str, Types]]) -> None:
        rows = self.advisers()
        for slot in self.oracle.cells:
            for side in (H, A):
                if advised(slot) and slot[:2] in seen.values[side]:
                    seen.values[side][slot[:2]][slot[2]] = None
        for record in [r for r in seen.values[H] if r[0] == CONTACTS]:
            for company in self.labelled(edges[record]):
                self._label(seen, H, record, company)
        for record in [r for r in seen.values[A] if r[0] == CONTACTS]:
            for company in rows.get(record, ()):
                self._label(seen, A, record, company)

    def _label(self, seen: Seen, side: str, record: Record, company: str) -> None:
        if (*record, adviser(company)) not in self.oracle.cells:
            raise Violation(f"nobody made {company} the adviser that {record} has")
        seen.values[side][record][adviser(company)] = ON

    def labelled(self, held: dict[str, Types]) -> set[str]:
        """Of a contact's links in HubSpot, the companies that have the label."""
        return {company for company, types in held.items() if self.label in types}

    def advisers(self) -> dict[Record, set[str]]:
        """The same in the app, for everybody; rows that are archived are none's."""
        found: dict[Record, set[str]] = {}
        for ids in self.world.sql("SELECT person, company FROM advisers"):
            near, far = (
                self.called.get((A, kind, str(i)))
                for kind, i in zip((CONTACTS, COMPANIES), ids, strict=True)
            )
            if near is None or far is None:
                continue  # the run at work just made it
            if [self.ids.get((A, end)) for end in (near, far)] == [str(i) for i in ids]:
                found.setdefault(near, set()).add(far[1])
        return found

    def edges(self, *people: Record) -> dict[Record, dict[str, Types]]:
        """Contacts' links in HubSpot, by the company's name."""
        ids = {self.ids[H, record]: record for record in people}
        found: dict[Record, dict[str, Types]] = {record: {} for record in people}
        for (contact, row), types in self.portal.links(ids).items():
            company = self.called.get((H, COMPANIES, row))
            if company is not None and self.ids[H, company] == row:
                found[ids[contact]][company[1]] = types
        return found
