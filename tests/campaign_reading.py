"""Both systems of a campaign, read back by HubSpot's client and SQL."""

from __future__ import annotations

from tests.campaign_oracle import (
    COMPANIES,
    CONTACTS,
    LINK,
    A,
    H,
    Record,
    Seen,
    Value,
    Violation,
)
from tests.vendor import Types, all_edges, all_records
from tests.world import COMPANY_FIELDS, CONTACT_FIELDS, PRIMARY, World

TABLES = {COMPANIES: "companies", CONTACTS: "people"}
KEYS = {COMPANIES: "domain", CONTACTS: "email"}
FIELDS = {
    COMPANIES: {h: a for h, a in COMPANY_FIELDS if h != "domain"},
    CONTACTS: {h: a for h, a in CONTACT_FIELDS if h != "email"},
}
MONEY = "annualrevenue"


class Reader:
    """Reads records by kind and key, and remembers what either side calls them."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.ids: dict[tuple[str, Record], str] = {}

    def look(self) -> Seen:
        """Read everything. Raises: Violation where a record is there twice."""
        seen = Seen({H: {}, A: {}}, {})
        for kind, fields in FIELDS.items():
            key = KEYS[kind]
            for i, row in all_records(self.world.client, kind, (key, *fields)).items():
                values = {n: row[n] or None for n in fields}
                self._saw(seen, H, (kind, str(row[key])), i, values)
            columns = ", ".join((key, *fields.values()))
            columns += ", company_id" if kind == CONTACTS else ""
            for line in self.world.sql(f"SELECT id, {columns} FROM {TABLES[kind]}"):
                texts = [None if v is None else str(v) for v in line[2:]]
                values = dict(zip((*fields, LINK), texts, strict=False))
                self._saw(seen, A, (kind, line[1]), str(line[0]), values)
        self._links(seen)
        return seen

    def _saw(
        self, seen: Seen, side: str, record: Record, i: str, values: dict[str, Value]
    ) -> None:
        if record in seen.values[side]:
            raise Violation(f"{record} is in {side} twice")
        if (money := values.get(MONEY)) is not None:
            values[MONEY] = str(int(float(money)))
        seen.values[side][record] = values
        self.ids[side, record] = i

    def _called(self, side: str, kind: str) -> dict[str, str]:
        """The key of every record of a kind, by its id on a side."""
        return {i: r[1] for (s, r), i in self.ids.items() if (s, r[0]) == (side, kind)}

    def _links(self, seen: Seen) -> None:
        people = [r for r in seen.values[H] if r[0] == CONTACTS]
        for record in people:
            seen.values[H][record][LINK] = None
        mails = {self.ids[H, r]: r for r in people}
        domains = self._called(H, COMPANIES)
        found = all_edges(self.world.client, CONTACTS, COMPANIES, mails)
        for (contact, company), types in found.items():
            if company not in domains:
                continue  # archived, and made again under another id
            record, domain = mails[contact], domains[company]
            seen.links[record[1], domain] = types
            if PRIMARY in types:
                seen.values[H][record][LINK] = domain
        rows = self._called(A, COMPANIES)
        for record, values in seen.values[A].items():
            if record[0] == CONTACTS and (row := values[LINK]) is not None:
                values[LINK] = rows[row]

    def edges(self, record: Record) -> dict[str, Types]:
        """A contact's links in HubSpot, by domain."""
        domains = self._called(H, COMPANIES)
        contact = self.ids[H, record]
        found = all_edges(self.world.client, CONTACTS, COMPANIES, [contact])
        return {domains[b]: t for (_, b), t in found.items() if b in domains}
