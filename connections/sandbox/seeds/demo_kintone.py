"""The Kintone half of a rehearsal: companies, people with a lookup, roles that join them."""

from __future__ import annotations

from typing import Any

from connections.sandbox.kintone.domain import App, Domain
from connections.sandbox.kintone.writes import Writer
from connections.sandbox.seeds import business

Json = dict[str, Any]
TEXT = {"type": "SINGLE_LINE_TEXT"}


def lookup(app: App, key: str, copies: dict[str, str] | None = None) -> Json:
    """A lookup field of an app's records by a unique field. Args: copies, own: theirs."""
    mappings = [{"field": f, "relatedField": r} for f, r in (copies or {}).items()]
    return TEXT | {
        "lookup": {
            "relatedApp": {"app": str(app.id), "code": app.code},
            "relatedKeyField": key,
            "fieldMappings": mappings,
            "lookupPickerFields": [],
            "filterCond": "",
            "sort": "",
        }
    }


def plant(domain: Domain) -> None:
    """Make the three apps and fill them."""
    companies = domain.add_app(
        "Companies",
        {
            "name": TEXT | {"required": True},
            "domain": TEXT | {"unique": True},
            "phone": {"type": "LINK", "protocol": "CALL"},
            "city": TEXT,
            "annual_revenue": {"type": "NUMBER", "displayScale": "2"},
        },
    )
    people = domain.add_app(
        "People",
        {
            "email": TEXT | {"unique": True},
            "first_name": TEXT,
            "last_name": TEXT,
            "phone": {"type": "LINK", "protocol": "CALL"},
            "job_title": TEXT,
            "company": lookup(companies, "domain", {"company_name": "name"}),
            "company_name": TEXT,
        },
    )
    roles = {"type": "DROP_DOWN", "options": ["Decision maker", "Billing contact"]}
    domain.add_app(
        "Roles",
        {
            "person": lookup(people, "email"),
            "company": lookup(companies, "domain"),
            "role": roles,
        },
    )
    writer = Writer(domain, lambda app: True, "Administrator")
    with domain.change():
        known = _companies(writer, companies)
        _people(writer, people, known)


def _companies(writer: Writer, app: App) -> dict[int, str]:
    """Add the companies: their keys by their place in the business's list."""
    known: dict[int, str] = {}
    for number, company in enumerate(business.companies()):
        domain = company.domain
        if number in business.HUBSPOT_ONLY_COMPANIES or domain in known.values():
            continue
        row = {
            "name": company.name,
            "domain": domain,
            "phone": company.phone,
            "city": company.city,
            "annual_revenue": company.revenue,
        }
        writer.create(app, {k: {"value": v} for k, v in row.items()}, "record.")
        if domain:
            known[number] = domain
    return known


def _people(writer: Writer, app: App, companies: dict[int, str]) -> None:
    taken: set[str] = set()
    for number, person in enumerate(business.people()):
        if number in business.HUBSPOT_ONLY_PEOPLE or person.email in taken:
            continue
        taken.add(person.email)
        row = {
            "email": person.email,
            "first_name": person.first,
            "last_name": person.last,
            "phone": person.phone,
            "job_title": person.title,
            "company": companies.get(
                -1 if person.company is None else person.company, ""
            ),
        }
        writer.create(app, {k: {"value": v} for k, v in row.items()}, "record.")
