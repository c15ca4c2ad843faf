"""The association types that every account has: ids by direction.

Source: https://developers.hubspot.com/docs/api-reference/legacy/crm/associations/associate-records/guide
"""

from __future__ import annotations

from dataclasses import dataclass

from connections.sandbox.hubspot.kinds import STANDARD

HUBSPOT_DEFINED = "HUBSPOT_DEFINED"
USER_DEFINED = "USER_DEFINED"
PRIMARY_LABEL = "Primary"


@dataclass(frozen=True, slots=True)
class LinkType:
    """One association type, seen from one end.

    `label` is None for the plain type; `name` its word in the v3 API; `inverse` the
    id of the same link seen from the other end; `primary`: at most one per record.
    """

    from_kind: str
    to_kind: str
    category: str
    type_id: int
    label: str | None
    name: str
    inverse: int | None
    primary: bool = False

    @property
    def key(self) -> tuple[str, int]:
        return self.category, self.type_id

    @property
    def plain(self) -> bool:
        return self.label is None


# from, to, plain there, plain back, primary there, primary back
PRIMARIES = (
    ("contact", "company", 279, 280, 1, 2),
    ("deal", "company", 341, 342, 5, 6),
    ("ticket", "company", 339, 340, 26, 25),
    ("order", "company", 934, 935, 509, 510),
    ("project", "company", 1236, 1237, 1299, None),
    ("lead", "company", 610, 611, 580, None),
    ("lead", "contact", 608, 609, 578, None),
    ("lead", "deal", 1037, 1038, 582, 583),
)
PLAIN = (
    ("contact", "deal", 4, 3),
    ("contact", "ticket", 15, 16),
    ("deal", "ticket", 27, 28),
    ("contact", "contact", 449, 449),
    ("company", "company", 450, 450),
    ("deal", "deal", 451, 451),
    ("ticket", "ticket", 452, 452),
    ("deal", "line_item", 19, 20),
    ("quote", "line_item", 67, 68),
    ("order", "line_item", 513, 514),
    ("invoice", "line_item", 409, 410),
    ("deal", "goal_target", 1357, 1356),
)
# from, to, there, back, label there, label back, name there, name back
LABELLED = (
    ("company", "company", 13, 14, "Child Company", "Parent Company",
     "parent_to_child_company", "child_to_parent_company"),
    ("contact", "company", 931, 930, "Billing Contact", "Billing Contact",
     "billing_contact_to_company", "company_to_billing_contact"),
    ("quote", "contact", 702, 703, "Contact Signer", "Contact Signer",
     "quote_to_contact_signer", "contact_signer_to_quote"),
    ("quote", "contact", 1226, 1227, "Billing Contact", "Billing Contact",
     "quote_to_billing_contact", "billing_contact_to_quote"),
    ("quote", "company", 1334, 1335, "Billing Company", "Billing Company",
     "quote_to_billing_company", "billing_company_to_quote"),
)  # fmt: skip
# other object: contact, company, deal, ticket, each (there, back)
OTHERS: dict[str, tuple[tuple[int, int] | None, ...]] = {
    "call": ((193, 194), (181, 182), (205, 206), (219, 220)),
    "email": ((197, 198), (185, 186), (209, 210), (223, 224)),
    "meeting_event": ((199, 200), (187, 188), (211, 212), (225, 226)),
    "note": ((201, 202), (189, 190), (213, 214), (227, 228)),
    "task": ((203, 204), (191, 192), (215, 216), (229, 230)),
    "communication": ((82, 81), (88, 87), (86, 85), (84, 83)),
    "postal_mail": ((454, 453), (460, 459), (458, 457), (456, 455)),
    "quote": ((70, 69), (72, 71), (63, 64), None),
    "invoice": ((178, 177), (180, 179), (176, 175), None),
    "order": ((508, 507), None, (511, 512), (526, 525)),
    "commerce_payment": ((388, 387), (390, 389), (392, 391), (1355, 1354)),
    "subscription": ((296, 295), (298, 297), (300, 299), (1122, 1121)),
    "cart": ((587, 586), None, (1346, 1347), None),
    "appointment": ((907, 906), (909, 908), (945, 944), (947, 946)),
    "course": ((861, 860), (939, 938), (863, 862), (941, 940)),
    "listing": ((883, 882), (885, 884), (887, 886), (943, 942)),
    "service": ((799, 798), (793, 792), (795, 794), (797, 796)),
    "feedback_submission": ((97, 98), (929, 928), (985, 984), (99, 100)),
    "project": ((1243, 1242), None, (1239, 1238), (1241, 1240)),
}
ENDS = ("contact", "company", "deal", "ticket")
IDS = {kind.singular: kind.type_id for kind in STANDARD}


def _pair(
    ends: tuple[str, str],
    ids: tuple[int, int | None],
    labels: tuple[str | None, str | None] = (None, None),
    names: tuple[str, str] | None = None,
    *,
    primary: bool = False,
) -> list[LinkType]:
    """Return a type as its two ends see it; one if both are the same."""
    here, there = ends
    (one, other), (label, back) = ids, labels
    forth_name, back_name = names or (f"{here}_to_{there}", f"{there}_to_{here}")
    forth = LinkType(
        IDS[here], IDS[there], HUBSPOT_DEFINED, one, label, forth_name, other, primary
    )
    if other is None or other == one:
        return [forth]
    return [
        forth,
        LinkType(
            IDS[there], IDS[here], HUBSPOT_DEFINED, other, back, back_name, one, primary
        ),
    ]


def _standard() -> list[LinkType]:
    types: list[LinkType] = []
    for here, there, plain, plain_back, first, first_back in PRIMARIES:
        # Where a pair has a primary type, that one owns the short name.
        names = (f"{here}_to_{there}_unlabeled", f"{there}_to_{here}_unlabeled")
        types += _pair((here, there), (plain, plain_back), names=names)
        labels = (PRIMARY_LABEL, PRIMARY_LABEL)
        types += _pair((here, there), (first, first_back), labels, primary=True)
    for here, there, one, other in PLAIN:
        types += _pair((here, there), (one, other))
    for here, there, one, other, label, back, *words in LABELLED:
        names = (words[0], words[1])
        types += _pair((here, there), (one, other), (label, back), names)
    for thing, rows in OTHERS.items():
        for end, ids in zip(ENDS, rows, strict=True):
            if ids:
                types += _pair((end, thing), ids)
    types += _pair(("cart", "ticket"), (594, None))
    types += _pair(("invoice", "ticket"), (986, None))
    return types


STANDARD_TYPES = tuple(_standard())
