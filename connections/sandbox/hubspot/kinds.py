"""Object types: ids, names, and what they are called in paths.

Source: https://developers.hubspot.com/docs/api-reference/latest/crm/using-object-apis
"""

from __future__ import annotations

from dataclasses import dataclass

CONTACTS = "0-1"
COMPANIES = "0-2"
DEALS = "0-3"
TICKETS = "0-5"
SERVED = (CONTACTS, COMPANIES, DEALS, TICKETS)


@dataclass(frozen=True, slots=True)
class Kind:
    """One object type, standard or custom.

    `type_id` is "0-1" or "2-…"; `plural` the path name; `singular` the word in
    association names and messages.
    """

    type_id: str
    plural: str
    singular: str

    @property
    def custom(self) -> bool:
        return self.type_id.startswith("2-")

    @property
    def modified(self) -> str:
        """The property that moves with every change; contacts are the exception."""
        if self.type_id == CONTACTS:
            return "lastmodifieddate"
        return "hs_lastmodifieddate"

    @property
    def created(self) -> str:
        return "createdate" if self.type_id in SERVED else "hs_createdate"


STANDARD = tuple(
    Kind(*row)
    for row in (
        (CONTACTS, "contacts", "contact"),
        (COMPANIES, "companies", "company"),
        (DEALS, "deals", "deal"),
        (TICKETS, "tickets", "ticket"),
        ("0-7", "products", "product"),
        ("0-8", "line_items", "line_item"),
        ("0-14", "quotes", "quote"),
        ("0-18", "communications", "communication"),
        ("0-19", "feedback_submissions", "feedback_submission"),
        ("0-27", "tasks", "task"),
        ("0-46", "notes", "note"),
        ("0-47", "meetings", "meeting_event"),
        ("0-48", "calls", "call"),
        ("0-49", "emails", "email"),
        ("0-53", "invoices", "invoice"),
        ("0-69", "subscriptions", "subscription"),
        ("0-74", "goal_targets", "goal_target"),
        ("0-84", "discounts", "discount"),
        ("0-85", "fees", "fee"),
        ("0-86", "taxes", "tax"),
        ("0-101", "commerce_payments", "commerce_payment"),
        ("0-115", "users", "user"),
        ("0-116", "postal_mail", "postal_mail"),
        ("0-123", "orders", "order"),
        ("0-136", "leads", "lead"),
        ("0-142", "carts", "cart"),
        ("0-162", "services", "service"),
        ("0-410", "courses", "course"),
        ("0-420", "listings", "listing"),
        ("0-421", "appointments", "appointment"),
        ("0-970", "projects", "project"),
    )
)


def names(kind: Kind) -> set[str]:
    """Return every spelling that a path may use for an object type, in lower case."""
    return {kind.type_id, kind.plural.lower(), kind.singular.lower()}
