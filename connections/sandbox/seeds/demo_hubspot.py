"""The HubSpot half of the demo."""

from __future__ import annotations

from connections.sandbox.hubspot.account import Account
from connections.sandbox.hubspot.links import Pair
from connections.sandbox.seeds import business


def plant(account: Account) -> None:
    """Add companies, contacts and each contact's primary company."""
    companies = _companies(account)
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
        employer = companies.get(-1 if person.company is None else person.company)
        if employer is not None:
            pair = Pair(contact, record.id, company, employer)
            account.links.write(pair, [primary], default=False)


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
