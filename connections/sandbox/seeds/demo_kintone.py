"""The Kintone part of the demo: apps with lookups, and one that joins two by a role."""

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


def make_people(domain: Domain) -> tuple[App, App]:
    """Make the apps of companies and of people, empty."""
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
    return companies, people


def plant(domain: Domain) -> None:
    """Make the apps and fill them."""
    companies, people = make_people(domain)
    stages = {"type": "DROP_DOWN", "options": list(business.STAGES.values())}
    deals = domain.add_app(
        "Deals",
        {
            "name": TEXT | {"required": True},
            "amount": {"type": "NUMBER"},
            "stage": stages,
            "company": lookup(companies, "domain"),
            "contact": lookup(people, "email"),
        },
    )
    vessels = domain.add_app(
        "Vessels",
        {
            "name": TEXT | {"required": True},
            "imo_number": TEXT | {"unique": True},
            "tonnage": {"type": "NUMBER"},
        },
    )
    roles = domain.add_app(
        "Vessel roles",
        {
            "vessel": lookup(vessels, "imo_number"),
            "company": lookup(companies, "domain"),
            "role": {"type": "DROP_DOWN", "options": list(business.ROLES)},
        },
    )
    writer = Writer(domain, lambda app: True, "Administrator")
    with domain.change():
        _companies(writer, companies)
        _people(writer, people)
        _deals(writer, deals)
        _vessels(writer, vessels, roles)


def _add(writer: Writer, app: App, **row: str) -> None:
    writer.create(app, {k: {"value": v} for k, v in row.items()}, "record.")


def _companies(writer: Writer, app: App) -> None:
    absent = {*business.HUBSPOT_ONLY_COMPANIES, *business.APP_ONLY_COMPANIES}
    for number, company in enumerate(business.companies()):
        if number not in absent:
            _add(
                writer,
                app,
                name=company.name,
                domain=company.domain,
                phone=company.phone,
                city=company.city,
                annual_revenue=company.revenue,
            )


def _people(writer: Writer, app: App) -> None:
    absent = {*business.HUBSPOT_ONLY_PEOPLE, *business.APP_ONLY_PEOPLE}
    known = business.companies()
    for number, person in enumerate(business.people()):
        if number in absent:
            continue
        employed = person.company is not None and number != business.ORPHAN
        _add(
            writer,
            app,
            email=person.email,
            first_name=person.first,
            last_name=person.last,
            phone=person.phone,
            job_title=person.title,
            company=known[person.company or 0].domain if employed else "",
        )


def _deals(writer: Writer, app: App) -> None:
    absent = {*business.HUBSPOT_ONLY_DEALS, *business.APP_ONLY_DEALS}
    known, staff = business.companies(), business.people()
    for number, deal in enumerate(business.deals()):
        if number not in absent:
            _add(
                writer,
                app,
                name=deal.name,
                amount=deal.amount,
                stage=business.STAGES[deal.stage],
                company=known[deal.company].domain,
                contact=staff[deal.person].email,
            )


def _vessels(writer: Writer, app: App, roles: App) -> None:
    absent = {*business.HUBSPOT_ONLY_VESSELS, *business.APP_ONLY_VESSELS}
    known = business.companies()
    for number, ship in enumerate(business.vessels()):
        if number in absent:
            continue
        _add(writer, app, name=ship.name, imo_number=ship.imo, tonnage=ship.tonnage)
        for role, place in ship.companies.items():
            company = known[place].domain
            _add(writer, roles, vessel=ship.imo, company=company, role=role)
