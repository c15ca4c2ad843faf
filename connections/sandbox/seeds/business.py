"""A business that both halves of the demo tell of: the same every time.

Names are put together from word lists; every domain ends in .example. What is planted to
go wrong, or to differ, stands in `ODDITIES`.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, replace

COMPANIES, PEOPLE = 300, 2000
HUBSPOT_ONLY_COMPANIES = range(280, 290)
APP_ONLY_COMPANIES = range(290, 300)
HUBSPOT_ONLY_PEOPLE = range(1900, 1950)
APP_ONLY_PEOPLE = range(1950, 2000)

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
class Oddity:
    """Something planted. `failing`: {(sync, error code): keys of the records failing}."""

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
    company = rng.randrange(HUBSPOT_ONLY_COMPANIES.start)
    return company if company != TWIN_COMPANY else TWIN_COMPANY + 1


def failing() -> dict[str, set[str]]:
    """What must fail, and nothing else: the keys of failing records by sync."""
    return {
        "Companies": {companies()[TWIN_COMPANY].domain},
        "Contacts": {people()[TWIN_PERSON].email},
    }


def oddities() -> tuple[Oddity, ...]:
    """What was planted and what becomes of it, in sentences."""
    known, staff = companies(), people()
    twin, person = known[TWIN_COMPANY], staff[TWIN_PERSON]
    return (
        Oddity(
            f"{len(HUBSPOT_ONLY_COMPANIES)} companies and {len(HUBSPOT_ONLY_PEOPLE)} "
            f"contacts only in HubSpot, {len(APP_ONLY_COMPANIES)} and "
            f"{len(APP_ONLY_PEOPLE)} only in PostgreSQL",
            "created on the other side, with their link",
        ),
        Oddity(
            f"{len(PHONE_DIFFERS)} companies whose phone differs",
            "PostgreSQL wins: the mapping says conflict: app",
        ),
        Oddity(
            f"{len(TITLE_DIFFERS)} contacts whose job title differs",
            "HubSpot wins: the sync's rule",
        ),
        Oddity(
            f"{len(CITY_BLANK)} companies with a city in PostgreSQL and none in HubSpot",
            "left as they are: a blank never wins a first sync, and city goes only to "
            "PostgreSQL",
        ),
        Oddity(
            f"{twin.domain} stands twice in HubSpot",
            "MATCH_AMBIGUOUS: nothing paired, nothing created; merge the two or pair by "
            "hand",
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
