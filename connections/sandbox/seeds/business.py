"""A business that all parts of the demo tell of: the same every time.

Names are put together from word lists; every domain ends in .example. What is planted to
go wrong, or to differ, stands in `oddities`. What only one app has, PostgreSQL has: its
syncs run first, so that the other apps' find it in HubSpot within the same run.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, replace

COMPANIES, PEOPLE, DEALS, VESSELS = 120, 500, 60, 24
HUBSPOT_ONLY_COMPANIES, APP_ONLY_COMPANIES = range(108, 114), range(114, 120)
HUBSPOT_ONLY_PEOPLE, APP_ONLY_PEOPLE = range(460, 480), range(480, 500)
HUBSPOT_ONLY_DEALS, APP_ONLY_DEALS = range(48, 54), range(54, 60)
HUBSPOT_ONLY_VESSELS, APP_ONLY_VESSELS = range(18, 21), range(21, 24)

APPS = {"Operations": "PostgreSQL", "Sales base": "Airtable", "Service desk": "Kintone"}
TWIN_COMPANY = 7  # stands twice in HubSpot, once in the app
TWIN_PERSON = 11  # stands once in HubSpot, twice in the app
ORPHAN = 13  # linked in HubSpot to the company that is not paired
ROUNDED = 17  # its revenue has more digits than the app's column keeps
PHONE_DIFFERS = range(20, 25)  # companies: the app wins
TITLE_DIFFERS = range(30, 35)  # people: HubSpot wins
CITY_BLANK = range(40, 45)  # companies without a city in HubSpot: nobody wins

_FIRST = [
    "Ada",
    "Alma",
    "Amir",
    "Anton",
    "Aria",
    "Bela",
    "Bram",
    "Cara",
    "Cleo",
    "Dana",
    "Dario",
    "Edda",
    "Elif",
    "Emil",
    "Enzo",
    "Fay",
    "Finn",
    "Gita",
    "Hana",
    "Hugo",
    "Ida",
    "Ines",
    "Ivo",
    "Jana",
    "Joel",
    "Kaia",
    "Kurt",
    "Lena",
    "Levi",
    "Lina",
    "Mara",
    "Milo",
    "Nina",
    "Noah",
    "Olga",
    "Omar",
    "Pia",
    "Remy",
    "Rosa",
    "Sami",
    "Tara",
    "Theo",
    "Uma",
    "Vera",
    "Wim",
    "Yara",
    "Zeno",
]
_LAST = [
    "Abel",
    "Adler",
    "Berg",
    "Blum",
    "Brandt",
    "Castro",
    "Daly",
    "Ebers",
    "Farkas",
    "Fink",
    "Gallo",
    "Grant",
    "Hale",
    "Holm",
    "Iversen",
    "Jansen",
    "Kern",
    "Klee",
    "Lang",
    "Lund",
    "Marsh",
    "Moor",
    "Nagy",
    "Novak",
    "Olsen",
    "Ortiz",
    "Park",
    "Penn",
    "Quist",
    "Reyes",
    "Roth",
    "Sand",
    "Silva",
    "Stone",
    "Torres",
    "Ulrich",
    "Vance",
    "Voss",
    "Wells",
    "Winter",
    "Young",
    "Zeller",
]
_HEAD = [
    "Alder",
    "Amber",
    "Anchor",
    "Apex",
    "Beacon",
    "Birch",
    "Bright",
    "Cedar",
    "Clear",
    "Copper",
    "Coral",
    "Delta",
    "Eagle",
    "Ember",
    "Falcon",
    "Fern",
    "Garnet",
    "Granite",
    "Harbor",
    "Hazel",
    "Iron",
    "Ivory",
    "Juniper",
    "Kestrel",
    "Lark",
    "Linden",
    "Maple",
    "Meadow",
    "Nimbus",
    "North",
    "Oak",
    "Onyx",
    "Pine",
    "Prism",
    "Quarry",
    "Raven",
    "Ridge",
    "River",
    "Sable",
    "Silver",
]
_TAIL = [
    "Analytics",
    "Bakery",
    "Books",
    "Builders",
    "Catering",
    "Design",
    "Energy",
    "Foods",
    "Freight",
    "Gardens",
    "Glass",
    "Health",
    "Interiors",
    "Labs",
    "Logistics",
    "Marine",
    "Media",
    "Motors",
    "Optics",
    "Paper",
    "Partners",
    "Studio",
    "Supply",
    "Systems",
    "Textiles",
    "Tools",
    "Travel",
    "Works",
]
_CITIES = [
    "Aarhus",
    "Bergen",
    "Bremen",
    "Cork",
    "Ghent",
    "Graz",
    "Leeds",
    "Lyon",
    "Malmo",
    "Porto",
    "Turin",
    "Zwolle",
]
STAGES = {  # in HubSpot, and what the apps call them
    "appointmentscheduled": "Appointment",
    "qualifiedtobuy": "Qualified",
    "contractsent": "Contract sent",
    "closedwon": "Won",
    "closedlost": "Lost",
}
ROLES = ("Owner", "Operator")  # what a company is to a vessel
_WORTH = ("renewal", "extension", "pilot", "rollout", "service")
_TITLES = (
    "Account manager",
    "Buyer",
    "Designer",
    "Engineer",
    "Finance lead",
    "Office manager",
    "Owner",
    "Planner",
    "Sales lead",
)


@dataclass(frozen=True, slots=True)
class Company:
    """One company; `revenue` is decimal text."""

    name: str
    domain: str
    phone: str
    city: str
    revenue: str


@dataclass(frozen=True, slots=True)
class Person:
    """One person; `company` is the place of theirs in the list, None for none."""

    email: str
    first: str
    last: str
    phone: str
    title: str
    company: int | None


@dataclass(frozen=True, slots=True)
class Deal:
    """One deal; `stage` is HubSpot's, `company` and `person` places in the lists."""

    name: str
    amount: str
    stage: str
    company: int
    person: int


@dataclass(frozen=True, slots=True)
class Vessel:
    """One ship; `companies` are places in the list by role, one perhaps in both."""

    name: str
    imo: str
    tonnage: str
    companies: dict[str, int]


@dataclass(frozen=True, slots=True)
class Oddity:
    """Something planted, and what becomes of it."""

    what: str
    handled: str


def companies() -> list[Company]:
    """All companies, as HubSpot has them where it has them."""
    rng = random.Random(1)
    names = [f"{head} {tail}" for head in _HEAD for tail in _TAIL]
    rng.shuffle(names)
    found = [
        Company(
            name,
            f"{name.lower().replace(' ', '-')}.example",
            f"+31 20 555 {number:04d}",
            rng.choice(_CITIES),
            f"{rng.randrange(40, 9000) * 1000}",
        )
        for number, name in enumerate(names[:COMPANIES])
    ]
    found[ROUNDED] = replace(found[ROUNDED], revenue="1234567.891")
    return found


def people() -> list[Person]:
    """All people, as HubSpot has them where it has them."""
    rng = random.Random(2)
    known = companies()
    found = []
    for number in range(PEOPLE):
        first, last = rng.choice(_FIRST), rng.choice(_LAST)
        company = None if rng.random() < 0.05 else _employer(number, rng)
        domain = "post.example" if company is None else known[company].domain
        email = f"{first}.{last}.{number}@{domain}".lower()
        phone = f"+44 20 7946 {number:04d}"
        found.append(Person(email, first, last, phone, rng.choice(_TITLES), company))
    found[ORPHAN] = replace(found[ORPHAN], company=TWIN_COMPANY)
    return found


def _employer(number: int, rng: random.Random) -> int:
    """A company on the side the person is on; the odd ones employ nobody by chance."""
    if number in HUBSPOT_ONLY_PEOPLE and rng.random() < 0.3:
        return rng.choice(HUBSPOT_ONLY_COMPANIES)
    if number in APP_ONLY_PEOPLE and rng.random() < 0.3:
        return rng.choice(APP_ONLY_COMPANIES)
    return _shared(rng)


def _shared(rng: random.Random) -> int:
    """A company that every system has."""
    company = rng.randrange(HUBSPOT_ONLY_COMPANIES.start)
    return company if company != TWIN_COMPANY else TWIN_COMPANY + 1


def deals() -> list[Deal]:
    """All deals, with a company and a person that every system has."""
    rng = random.Random(3)
    known, found = companies(), []
    for number in range(DEALS):
        company = _shared(rng)
        found.append(
            Deal(
                f"{known[company].name} {rng.choice(_WORTH)} {number:03d}",
                f"{rng.randrange(5, 400) * 500}",
                rng.choice(list(STAGES)),
                company,
                rng.randrange(TITLE_DIFFERS.stop, HUBSPOT_ONLY_PEOPLE.start),
            )
        )
    return found


def vessels() -> list[Vessel]:
    """All ships; every third is operated by its owner."""
    rng = random.Random(4)
    found = []
    for number in range(VESSELS):
        owner = _shared(rng)
        operator = owner if number % 3 == 0 else _shared(rng)
        found.append(
            Vessel(
                f"MV {_HEAD[number]}",
                f"{9100000 + number * 37}",
                f"{rng.randrange(20, 900) * 100}",
                dict(zip(ROLES, (owner, operator), strict=True)),
            )
        )
    return found


def failing() -> dict[tuple[str, str], set[str]]:
    """What must fail, and nothing else: keys of failing records by app and sync."""
    twin = {companies()[TWIN_COMPANY].domain}
    found = {(app, "Companies"): twin for app in APPS}
    found["Operations", "Contacts"] = {people()[TWIN_PERSON].email}
    return found


def oddities() -> tuple[Oddity, ...]:
    """What was planted and what becomes of it, in sentences."""
    known, staff = companies(), people()
    twin, person = known[TWIN_COMPANY], staff[TWIN_PERSON]
    counts = {
        "companies": (HUBSPOT_ONLY_COMPANIES, APP_ONLY_COMPANIES),
        "contacts": (HUBSPOT_ONLY_PEOPLE, APP_ONLY_PEOPLE),
        "deals": (HUBSPOT_ONLY_DEALS, APP_ONLY_DEALS),
        "vessels": (HUBSPOT_ONLY_VESSELS, APP_ONLY_VESSELS),
    }
    both = "; ".join(
        f"{len(hubspot)} {what} only in HubSpot, {len(app)} only in PostgreSQL"
        for what, (hubspot, app) in counts.items()
    )
    return (
        Oddity(both, "created in every other system, with their links"),
        Oddity(
            f"{len(PHONE_DIFFERS)} companies whose phone differs in PostgreSQL",
            "PostgreSQL wins: its mapping says conflict: app; the other apps take what "
            "HubSpot has then",
        ),
        Oddity(
            f"{len(TITLE_DIFFERS)} contacts whose job title differs in PostgreSQL",
            "HubSpot wins: the sync's rule",
        ),
        Oddity(
            f"{len(CITY_BLANK)} companies with a city in every app and none in HubSpot",
            "left as they are: a blank never wins a first sync, and city goes only to "
            "the apps",
        ),
        Oddity(
            f"{VESSELS} vessels (a custom object) with owners and operators, a third of "
            "them one company",
            "association labels in HubSpot; rows with a role in PostgreSQL and Kintone, "
            "a field for each label in Airtable",
        ),
        Oddity(
            f"{twin.domain} stands twice in HubSpot",
            "MATCH_AMBIGUOUS in each app: nothing paired, nothing created; merge the "
            "two or pair by hand",
        ),
        Oddity(
            f"{person.email} stands twice in PostgreSQL",
            "MATCH_AMBIGUOUS: the same",
        ),
        Oddity(
            f"{staff[ORPHAN].email} is linked to {twin.domain}, which is not paired",
            "pending: TARGET_NOT_MATCHED, resolves by itself once the company is paired",
        ),
        Oddity(
            f"{known[ROUNDED].domain} has a revenue of {known[ROUNDED].revenue}",
            "PostgreSQL keeps two digits; the rounding does not travel back",
        ),
    )
