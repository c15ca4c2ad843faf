"""HubSpot's own association type ids, written down apart from the sandbox's table.

Transcribed from HubSpot's documentation ("Associations", association type id values,
https://developers.hubspot.com/docs/api-reference/legacy/crm/associations/associate-records/guide)
so that a slip in the sandbox shows. Ids are read from the first object to the second;
None stands for a type that the documentation lacks. Left out are ends without an object
type id in the documentation (payment links, deal splits, threads, conversations): no path
names them.
"""

from __future__ import annotations

# (from, to): (unlabelled type, the same link seen from the other end)
CORE_PLAIN: dict[tuple[str, str], tuple[int, int]] = {
    ("contacts", "companies"): (279, 280),
    ("deals", "companies"): (341, 342),
    ("tickets", "companies"): (339, 340),
    ("orders", "companies"): (934, 935),
    ("projects", "companies"): (1236, 1237),
    ("leads", "companies"): (610, 611),
    ("leads", "contacts"): (608, 609),
    ("leads", "deals"): (1037, 1038),
    ("contacts", "deals"): (4, 3),
    ("contacts", "tickets"): (15, 16),
    ("deals", "tickets"): (27, 28),
    ("contacts", "contacts"): (449, 449),
    ("companies", "companies"): (450, 450),
    ("deals", "deals"): (451, 451),
    ("tickets", "tickets"): (452, 452),
    ("quotes", "line_items"): (67, 68),
    ("orders", "line_items"): (513, 514),
    ("invoices", "line_items"): (409, 410),
    ("deals", "goals"): (1357, 1356),
}

# (from, to): (primary type, the same link seen from the other end if it has a type)
PRIMARY: dict[tuple[str, str], tuple[int, int | None]] = {
    ("contacts", "companies"): (1, 2),
    ("deals", "companies"): (5, 6),
    ("tickets", "companies"): (26, 25),
    ("orders", "companies"): (509, 510),
    ("projects", "companies"): (1299, None),
    ("leads", "companies"): (580, None),
    ("leads", "contacts"): (578, None),
    ("leads", "deals"): (582, 583),
}

# Labelled types that come with HubSpot: (from, to): {type: its inverse}
LABELLED: dict[tuple[str, str], dict[int, int]] = {
    ("contacts", "companies"): {931: 930},  # billing contact
    ("companies", "companies"): {13: 14, 14: 13},  # parent to child and back
    ("quotes", "contacts"): {1226: 1227, 702: 703},  # billing contact, signer
    ("quotes", "companies"): {1334: 1335},  # billing company
}

CENTRES = ("contacts", "companies", "deals", "tickets")
Way = tuple[int | None, int | None] | None

# X: for each centre (centre → X, X → centre)
OTHERS: dict[str, tuple[Way, Way, Way, Way]] = {
    "calls": ((193, 194), (181, 182), (205, 206), (219, 220)),
    "emails": ((197, 198), (185, 186), (209, 210), (223, 224)),
    "meetings": ((199, 200), (187, 188), (211, 212), (225, 226)),
    "notes": ((201, 202), (189, 190), (213, 214), (227, 228)),
    "tasks": ((203, 204), (191, 192), (215, 216), (229, 230)),
    "communications": ((82, 81), (88, 87), (86, 85), (84, 83)),
    "postal_mail": ((454, 453), (460, 459), (458, 457), (456, 455)),
    "quotes": ((70, 69), (72, 71), (63, 64), None),
    "line_items": (None, None, (19, 20), None),
    "invoices": ((178, 177), (180, 179), (176, 175), (None, 986)),
    "orders": ((508, 507), (935, 934), (511, 512), (526, 525)),
    "payments": ((388, 387), (390, 389), (392, 391), (1355, 1354)),
    "subscriptions": ((296, 295), (298, 297), (300, 299), (1122, 1121)),
    "carts": ((587, 586), None, (1346, 1347), (None, 594)),
    "appointments": ((907, 906), (909, 908), (945, 944), (947, 946)),
    "courses": ((861, 860), (939, 938), (863, 862), (941, 940)),
    "listings": ((883, 882), (885, 884), (887, 886), (943, 942)),
    "services": ((799, 798), (793, 792), (795, 794), (797, 796)),
    "feedback_submissions": ((97, 98), (929, 928), (985, 984), (99, 100)),
    "projects": ((1243, 1242), (1237, 1236), (1239, 1238), (1241, 1240)),
}

OBJECT_TYPE_IDS = {
    "contacts": "0-1",
    "companies": "0-2",
    "deals": "0-3",
    "tickets": "0-5",
    "products": "0-7",
    "line_items": "0-8",
    "quotes": "0-14",
    "communications": "0-18",
    "feedback_submissions": "0-19",
    "tasks": "0-27",
    "notes": "0-46",
    "meetings": "0-47",
    "calls": "0-48",
    "emails": "0-49",
    "invoices": "0-53",
    "subscriptions": "0-69",
    "goals": "0-74",
    "discounts": "0-84",
    "fees": "0-85",
    "taxes": "0-86",
    "payments": "0-101",
    "users": "0-115",
    "postal_mail": "0-116",
    "orders": "0-123",
    "leads": "0-136",
    "carts": "0-142",
    "services": "0-162",
    "courses": "0-410",
    "listings": "0-420",
    "appointments": "0-421",
    "projects": "0-970",
}


def plain_types() -> dict[tuple[str, str], int]:
    """Return the unlabelled type of every pair, once for each direction."""
    found: dict[tuple[str, str], int] = {}
    for (one, other), (there, back) in CORE_PLAIN.items():
        found[one, other] = there
        found[other, one] = back
    for other, ways in OTHERS.items():
        for centre, way in zip(CENTRES, ways, strict=True):
            ends = ((centre, other), (other, centre))
            for pair, type_id in zip(ends, way or (None, None), strict=True):
                if type_id is not None:
                    assert found.setdefault(pair, type_id) == type_id, pair
    return found


def primary_types() -> dict[tuple[str, str], int]:
    """Return the primary type of every pair that has one, once for each direction."""
    found: dict[tuple[str, str], int] = {}
    for (one, other), (there, inverse) in PRIMARY.items():
        found[one, other] = there
        if inverse is not None:
            found[other, one] = inverse
    return found


def labelled_types() -> dict[tuple[str, str], dict[int, int]]:
    """Return {(from, to): {labelled type: its inverse}}, once for each direction."""
    found: dict[tuple[str, str], dict[int, int]] = {}
    for (one, other), types in LABELLED.items():
        found.setdefault((one, other), {}).update(types)
        back = {inverse: there for there, inverse in types.items()}
        found.setdefault((other, one), {}).update(back)
    return found
