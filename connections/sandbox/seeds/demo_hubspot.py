"""The HubSpot half of the demo."""

from __future__ import annotations

from connections.sandbox.hubspot.account import Account
from connections.sandbox.hubspot.association_types import LinkType
from connections.sandbox.hubspot.links import Pair
from connections.sandbox.seeds import business


def plant(account: Account) -> None:
    """Add companies, contacts, deals and vessels, with what they are to each other."""
    companies = _companies(account)
    people = _people(account, companies)
    _deals(account, companies, people)
    _vessels(account, companies)


def _people(account: Account, companies: dict[int, int]) -> dict[int, int]:
    """Add contacts with their primary company: ids by their place in the list."""
    ids: dict[int, int] = {}
    contact, company = (
        account.catalogue.kind("contacts"),
        account.catalogue.kind("companies"),
    )
    primary = account.types.primary(contact, company)
    assert primary is not None, "contacts have a primary company"
    for number, person in enumerate(business.people()):
        if number in business.APP_ONLY_PEOPLE:
            continue
        record = account.records.create(
            contact,
            {
                "email": person.email,
                "firstname": person.first,
                "lastname": person.last,
                "phone": person.phone,
                "jobtitle": person.title,
            },
        )
        ids[number] = record.id
        employer = companies.get(-1 if person.company is None else person.company)
        if employer is not None:
            pair = Pair(contact, record.id, company, employer)
            account.links.write(pair, [primary], default=False)
    return ids


def _companies(account: Account) -> dict[int, int]:
    """Add the companies: their ids by their place in the business's list."""
    kind = account.catalogue.kind("companies")
    ids: dict[int, int] = {}
    for number, company in enumerate(business.companies()):
        if number in business.APP_ONLY_COMPANIES:
            continue
        values = {
            "name": company.name,
            "domain": company.domain,
            "phone": company.phone,
            "city": "" if number in business.CITY_BLANK else company.city,
            "annualrevenue": company.revenue,
        }
        ids[number] = account.records.create(kind, values).id
        if number == business.TWIN_COMPANY:
            account.records.create(kind, values | {"name": f"{company.name} Group"})
    return ids


def _deals(account: Account, companies: dict[int, int], people: dict[int, int]) -> None:
    """Add deals with their primary company and a contact."""
    deal, company, contact = map(
        account.catalogue.kind, ("deals", "companies", "contacts")
    )
    primary = account.types.primary(deal, company)
    assert primary is not None, "deals have a primary company"
    for number, row in enumerate(business.deals()):
        if number in business.APP_ONLY_DEALS:
            continue
        values = {
            "dealname": row.name,
            "amount": row.amount,
            "pipeline": "default",
            "dealstage": row.stage,
        }
        made = account.records.create(deal, values)
        pair = Pair(deal, made.id, company, companies[row.company])
        account.links.write(pair, [primary], default=False)
        account.links.write(
            Pair(deal, made.id, contact, people[row.person]), [], default=True
        )


def _vessels(account: Account, companies: dict[int, int]) -> None:
    """Add ships, linked to companies by the labels of the roles."""
    vessel, company = map(account.catalogue.kind, ("vessels", "companies"))
    labels = {
        role: account.types.define((vessel, company), role.lower(), (role, None))[0]
        for role in business.ROLES
    }
    for number, ship in enumerate(business.vessels()):
        if number in business.APP_ONLY_VESSELS:
            continue
        values = {
            "vessel_name": ship.name,
            "imo_number": ship.imo,
            "tonnage": ship.tonnage,
        }
        made = account.records.create(vessel, values)
        held: dict[int, list[LinkType]] = {}
        for role, place in ship.companies.items():
            held.setdefault(companies[place], []).append(labels[role])
        for other, types in held.items():
            pair = Pair(vessel, made.id, company, other)
            account.links.write(pair, types, default=False)
