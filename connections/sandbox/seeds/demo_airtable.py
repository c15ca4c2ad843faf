"""The Airtable half of a rehearsal: companies, and people linked to them."""

from __future__ import annotations

from typing import Any

from connections.sandbox.airtable.app import Airtable
from connections.sandbox.airtable.tokens import MAIN_BASE
from connections.sandbox.seeds import business

TEXT = "singleLineText"
COMPANIES: list[dict[str, Any]] = [
    {"name": "Name", "type": TEXT},
    {"name": "Website", "type": "url"},
    {"name": "Phone", "type": "phoneNumber"},
    {"name": "City", "type": TEXT},
    {"name": "Revenue", "type": "currency", "options": {"precision": 2}},
]
PEOPLE: list[dict[str, Any]] = [
    {"name": "Email", "type": "email"},
    {"name": "First name", "type": TEXT},
    {"name": "Last name", "type": TEXT},
    {"name": "Phone", "type": "phoneNumber"},
    {"name": "Job title", "type": TEXT},
]


def plant(fake: Airtable) -> None:
    """Make the tables and fill them."""
    with fake.store.transaction():
        companies = fake.bases.make_table(MAIN_BASE, "Companies", COMPANIES)
        people = fake.bases.make_table(MAIN_BASE, "People", PEOPLE)
        link = {"linkedTableId": companies["id"], "prefersSingleRecordLink": True}
        field = {"name": "Company", "type": "multipleRecordLinks", "options": link}
        fake.bases.make_field(MAIN_BASE, people["id"], field, by_person=True)
    known = [
        (number, company)
        for number, company in enumerate(business.companies())
        if number not in business.HUBSPOT_ONLY_COMPANIES
    ]
    ids = fake.add(
        "Companies",
        (
            {"Name": c.name, "Website": f"https://{c.domain}", "Phone": c.phone}
            | {
                "City": c.city,
                "Revenue": float(c.revenue),
            }
            for _, c in known
        ),
    )
    by_number = {number: i for (number, _), i in zip(known, ids, strict=True)}
    fake.add(
        "People",
        (
            {
                "Email": person.email,
                "First name": person.first,
                "Last name": person.last,
                "Phone": person.phone,
                "Job title": person.title,
                "Company": [by_number[person.company]]
                if person.company in by_number
                else None,
            }
            for number, person in enumerate(business.people())
            if number not in business.HUBSPOT_ONLY_PEOPLE
        ),
    )
