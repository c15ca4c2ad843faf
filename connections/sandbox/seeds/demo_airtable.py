"""The Airtable part of the demo: a base with a field for each link, and each label."""

from __future__ import annotations

from typing import Any

from connections.sandbox.airtable.app import Airtable
from connections.sandbox.airtable.tokens import MAIN_BASE
from connections.sandbox.seeds import business

TEXT = "singleLineText"
Fields = list[dict[str, Any]]
COMPANIES: Fields = [
    {"name": "Name", "type": TEXT},
    {"name": "Website", "type": "url"},
    {"name": "Phone", "type": "phoneNumber"},
    {"name": "City", "type": TEXT},
    {"name": "Revenue", "type": "currency", "options": {"precision": 2}},
]
PEOPLE: Fields = [
    {"name": "Email", "type": "email"},
    {"name": "First name", "type": TEXT},
    {"name": "Last name", "type": TEXT},
    {"name": "Phone", "type": "phoneNumber"},
    {"name": "Job title", "type": TEXT},
]
DEALS: Fields = [
    {"name": "Name", "type": TEXT},
    {"name": "Amount", "type": "currency", "options": {"precision": 2}},
    {
        "name": "Stage",
        "type": "singleSelect",
        "options": {"choices": [{"name": name} for name in business.STAGES.values()]},
    },
]
VESSELS: Fields = [
    {"name": "Name", "type": TEXT},
    {"name": "IMO number", "type": TEXT},
    {"name": "Tonnage", "type": "number", "options": {"precision": 0}},
]
TABLES = {"Companies": COMPANIES, "People": PEOPLE, "Deals": DEALS, "Vessels": VESSELS}
LINKS = (
    ("People", "Company", "Companies"),
    ("Deals", "Company", "Companies"),
    ("Deals", "Contact", "People"),
    *(("Vessels", role, "Companies") for role in business.ROLES),
)


def make_tables(fake: Airtable) -> None:
    """Make the tables, empty."""
    with fake.store.transaction():
        ids = {
            name: fake.bases.make_table(MAIN_BASE, name, fields)["id"]
            for name, fields in TABLES.items()
        }
        for table, name, target in LINKS:
            link = {"linkedTableId": ids[target], "prefersSingleRecordLink": True}
            field = {"name": name, "type": "multipleRecordLinks", "options": link}
            fake.bases.make_field(MAIN_BASE, ids[table], field, by_person=True)


def plant(fake: Airtable) -> None:
    """Make the tables and fill them."""
    make_tables(fake)
    companies = _companies(fake)
    people = _people(fake, companies)
    _deals(fake, companies, people)
    _vessels(fake, companies)


def _add(fake: Airtable, table: str, rows: dict[int, dict[str, Any]]) -> dict[int, str]:
    """Add records: ids by their place in the business's list."""
    return dict(zip(rows, fake.add(table, rows.values()), strict=True))


def _companies(fake: Airtable) -> dict[int, str]:
    absent = {*business.HUBSPOT_ONLY_COMPANIES, *business.APP_ONLY_COMPANIES}
    rows = {
        number: {
            "Name": c.name,
            "Website": c.domain,
            "Phone": c.phone,
            "City": c.city,
            "Revenue": float(c.revenue),
        }
        for number, c in enumerate(business.companies())
        if number not in absent
    }
    return _add(fake, "Companies", rows)


def _people(fake: Airtable, companies: dict[int, str]) -> dict[int, str]:
    absent = {*business.HUBSPOT_ONLY_PEOPLE, *business.APP_ONLY_PEOPLE}
    rows = {
        number: {
            "Email": person.email,
            "First name": person.first,
            "Last name": person.last,
            "Phone": person.phone,
            "Job title": person.title,
            "Company": [companies[person.company]]
            if person.company is not None and number != business.ORPHAN
            else None,
        }
        for number, person in enumerate(business.people())
        if number not in absent
    }
    return _add(fake, "People", rows)


def _deals(fake: Airtable, companies: dict[int, str], people: dict[int, str]) -> None:
    absent = {*business.HUBSPOT_ONLY_DEALS, *business.APP_ONLY_DEALS}
    rows = {
        number: {
            "Name": deal.name,
            "Amount": float(deal.amount),
            "Stage": business.STAGES[deal.stage],
            "Company": [companies[deal.company]],
            "Contact": [people[deal.person]],
        }
        for number, deal in enumerate(business.deals())
        if number not in absent
    }
    _add(fake, "Deals", rows)


def _vessels(fake: Airtable, companies: dict[int, str]) -> None:
    absent = {*business.HUBSPOT_ONLY_VESSELS, *business.APP_ONLY_VESSELS}
    rows = {
        number: {
            "Name": ship.name,
            "IMO number": ship.imo,
            "Tonnage": int(ship.tonnage),
            **{role: [companies[place]] for role, place in ship.companies.items()},
        }
        for number, ship in enumerate(business.vessels())
        if number not in absent
    }
    _add(fake, "Vessels", rows)
