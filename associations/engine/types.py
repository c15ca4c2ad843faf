"""HubSpot's own association types: the plain and the primary one of a pair of objects.

Their ids are the same in every account; labels and custom objects have ids of their own,
which only the account's list tells.

Source: https://developers.hubspot.com/docs/api-reference/legacy/crm/associations/associate-records/guide
"""

from __future__ import annotations

from collections.abc import Iterable

from connections.records import AssociationType, AssociationTypeInfo

HUBSPOT_DEFINED = "HUBSPOT_DEFINED"
CONTACT, COMPANY, DEAL, TICKET = "0-1", "0-2", "0-3", "0-5"
ORDER, LEAD, PROJECT = "0-123", "0-136", "0-970"

# By (from, to): each direction has an id of its own.
PLAIN = {
    (CONTACT, COMPANY): 279,
    (COMPANY, CONTACT): 280,
    (DEAL, COMPANY): 341,
    (COMPANY, DEAL): 342,
    (TICKET, COMPANY): 339,
    (COMPANY, TICKET): 340,
    (CONTACT, DEAL): 4,
    (DEAL, CONTACT): 3,
    (CONTACT, TICKET): 15,
    (TICKET, CONTACT): 16,
    (DEAL, TICKET): 27,
    (TICKET, DEAL): 28,
    (CONTACT, CONTACT): 449,
    (COMPANY, COMPANY): 450,
    (DEAL, DEAL): 451,
    (TICKET, TICKET): 452,
    (ORDER, COMPANY): 934,
    (COMPANY, ORDER): 935,
    (LEAD, COMPANY): 610,
    (COMPANY, LEAD): 611,
    (LEAD, CONTACT): 608,
    (CONTACT, LEAD): 609,
    (LEAD, DEAL): 1037,
    (DEAL, LEAD): 1038,
    (PROJECT, COMPANY): 1236,
    (COMPANY, PROJECT): 1237,
}
PRIMARY = {
    (CONTACT, COMPANY): 1,
    (COMPANY, CONTACT): 2,
    (DEAL, COMPANY): 5,
    (COMPANY, DEAL): 6,
    (TICKET, COMPANY): 26,
    (COMPANY, TICKET): 25,
    (ORDER, COMPANY): 509,
    (COMPANY, ORDER): 510,
    (LEAD, COMPANY): 580,
    (LEAD, CONTACT): 578,
    (LEAD, DEAL): 582,
    (DEAL, LEAD): 583,
    (PROJECT, COMPANY): 1299,
}
PRIMARIES = frozenset(AssociationType(HUBSPOT_DEFINED, i) for i in PRIMARY.values())
# A contact has one primary company, a company is the primary one of many contacts: of
# these inverses a record may have several.
_INVERSES = {
    (COMPANY, CONTACT),
    (COMPANY, DEAL),
    (COMPANY, TICKET),
    (COMPANY, ORDER),
    (DEAL, LEAD),
}
ONE_PRIMARY = frozenset(
    AssociationType(HUBSPOT_DEFINED, i)
    for ends, i in PRIMARY.items()
    if ends not in _INVERSES
)


def plain_type(
    from_object: str, to_object: str, known: Iterable[AssociationTypeInfo]
) -> AssociationType | None:
    """The unlabelled type that every link of two object types carries.

    Args: both, object type ids such as "0-1"; known, what the account lists for that
        direction.
    Returns: None where the account lists none (it offers no such link).
    """
    listed = [AssociationType(i.category, i.type_id) for i in known if i.label is None]
    usual = PLAIN.get((from_object, to_object))
    own = AssociationType(HUBSPOT_DEFINED, usual) if usual is not None else None
    if own is not None and (own in listed or not listed):
        return own
    primary = primary_type(from_object, to_object)
    listed = [t for t in listed if t != primary]
    return min(listed, key=lambda t: t.type_id, default=None)


def primary_type(from_object: str, to_object: str) -> AssociationType | None:
    """The type that makes a link the primary one; None where the pair has none."""
    found = PRIMARY.get((from_object, to_object))
    return None if found is None else AssociationType(HUBSPOT_DEFINED, found)


PARENT_TO_CHILD = AssociationType(
    HUBSPOT_DEFINED, 13
)  # companies: seen from the parent
CHILD_TO_PARENT = AssociationType(HUBSPOT_DEFINED, 14)
_DIRECTED = {PARENT_TO_CHILD: CHILD_TO_PARENT, CHILD_TO_PARENT: PARENT_TO_CHILD}
_BILLING = {(CONTACT, COMPANY): 931, (COMPANY, CONTACT): 930}


def inverses(
    there: Iterable[AssociationTypeInfo],
    back: Iterable[AssociationTypeInfo],
    *,
    same: bool = False,
) -> dict[AssociationType, AssociationType]:
    """How the other end calls each type of one direction, as far as that is certain.

    HubSpot's own are known; a label that reads the same from both ends, and alone does
    so, is one label; the last one left on either side belong together. Links between
    records of one object are seen from both ends by one list (`same`), which does not
    tell one label from half of two.
    """
    here = {AssociationType(i.category, i.type_id): i for i in there}
    far = {AssociationType(i.category, i.type_id): i for i in back}
    found: dict[AssociationType, AssociationType] = {}
    for type_, info in here.items():
        known = _known_inverse(type_, info.from_object, info.to_object)
        if known in far:
            found[type_] = known
    if same:
        return found
    for type_, info in here.items():
        alike = [t for t, i in far.items() if i.label and i.label == info.label]
        mine = [t for t, i in here.items() if i.label == info.label]
        taken = found.values()
        if (
            type_ not in found
            and len(alike) == len(mine) == 1
            and alike[0] not in taken
        ):
            found[type_] = alike[0]
    left = [t for t in here if t not in found and here[t].label]
    rest = [t for t in far if t not in found.values() and far[t].label]
    if len(left) == len(rest) == 1 and left[0].category == rest[0].category:
        found[left[0]] = rest[0]
    plain = [t for t in here if t not in found and not here[t].label]
    other = [t for t in far if t not in found.values() and not far[t].label]
    if len(plain) == len(other) == 1:
        found[plain[0]] = other[0]
    return found


def _known_inverse(
    type_: AssociationType, from_object: str, to_object: str
) -> AssociationType | None:
    if type_ in _DIRECTED:
        return _DIRECTED[type_]
    if type_.category != HUBSPOT_DEFINED:
        return None
    for table in (PLAIN, PRIMARY, _BILLING):
        if table.get((from_object, to_object)) == type_.type_id:
            back = table.get((to_object, from_object))
            return None if back is None else AssociationType(HUBSPOT_DEFINED, back)
    return None
