"""The standard properties of the standard objects.

Source: https://developers.hubspot.com/docs/api-reference/latest/crm/properties
"""

from __future__ import annotations

from typing import Any

from connections.sandbox.hubspot.kinds import COMPANIES, CONTACTS, DEALS, TICKETS, Kind

Json = dict[str, Any]

INDUSTRIES = (
    "ACCOUNTING",
    "AUTOMOTIVE",
    "BIOTECHNOLOGY",
    "COMPUTER_SOFTWARE",
    "CONSTRUCTION",
    "EDUCATION_MANAGEMENT",
    "FINANCIAL_SERVICES",
    "FOOD_PRODUCTION",
    "HOSPITALITY",
    "LOGISTICS_AND_SUPPLY_CHAIN",
    "MACHINERY",
    "RETAIL",
)
STAGES_OF_LIFE = (
    "subscriber",
    "lead",
    "marketingqualifiedlead",
    "salesqualifiedlead",
    "opportunity",
    "customer",
    "evangelist",
    "other",
)
BUYING_ROLES = ("BLOCKER", "BUDGET_HOLDER", "CHAMPION", "DECISION_MAKER", "END_USER")
DEAL_STAGES = (
    "appointmentscheduled",
    "qualifiedtobuy",
    "contractsent",
    "closedwon",
    "closedlost",
)

# name, type, fieldType, options
Row = tuple[str, str, str, tuple[str, ...]]
TEXT = ("string", "text")


def _texts(*names: str) -> list[Row]:
    return [(name, "string", "text", ()) for name in names]


STANDARD: dict[str, list[Row]] = {
    CONTACTS: [
        *_texts("email", "firstname", "lastname", "jobtitle", "company", "website"),
        *_texts("address", "city", "state", "zip", "country", "industry"),
        *_texts("annualrevenue", "salutation", "hs_additional_emails"),
        ("phone", "string", "phonenumber", ()),
        ("mobilephone", "string", "phonenumber", ()),
        ("lifecyclestage", "enumeration", "radio", STAGES_OF_LIFE),
        ("hs_lead_status", "enumeration", "radio", ("NEW", "OPEN", "IN_PROGRESS")),
        ("hs_buying_role", "enumeration", "checkbox", BUYING_ROLES),
        ("associatedcompanyid", "number", "number", ()),
        ("num_associated_deals", "number", "number", ()),
    ],
    COMPANIES: [
        *_texts("name", "domain", "website", "address", "city", "state", "zip"),
        *_texts("country", "hs_additional_domains", "founded_year"),
        ("phone", "string", "phonenumber", ()),
        ("description", "string", "textarea", ()),
        ("industry", "enumeration", "select", INDUSTRIES),
        ("type", "enumeration", "select", ("PROSPECT", "PARTNER", "VENDOR", "OTHER")),
        ("lifecyclestage", "enumeration", "radio", STAGES_OF_LIFE),
        ("annualrevenue", "number", "number", ()),
        ("numberofemployees", "number", "number", ()),
        ("is_public", "bool", "booleancheckbox", ("true", "false")),
        ("num_associated_contacts", "number", "number", ()),
        ("num_associated_deals", "number", "number", ()),
    ],
    DEALS: [
        *_texts("dealname"),
        ("description", "string", "textarea", ()),
        ("amount", "number", "number", ()),
        ("closedate", "datetime", "date", ()),
        ("pipeline", "enumeration", "select", ("default",)),
        ("dealstage", "enumeration", "radio", DEAL_STAGES),
        ("dealtype", "enumeration", "radio", ("newbusiness", "existingbusiness")),
    ],
    TICKETS: [
        *_texts("subject"),
        ("content", "string", "textarea", ()),
        ("hs_pipeline", "enumeration", "select", ("0",)),
        ("hs_pipeline_stage", "enumeration", "select", ("1", "2", "3", "4")),
        ("hs_ticket_priority", "enumeration", "select", ("LOW", "MEDIUM", "HIGH")),
        (
            "hs_ticket_category",
            "enumeration",
            "checkbox",
            ("PRODUCT_ISSUE", "BILLING_ISSUE", "FEATURE_REQUEST", "GENERAL_INQUIRY"),
        ),
    ],
}
# By object type: the pipeline and the stage property, and every account's pipelines.
STAGED = {
    DEALS: ("pipeline", "dealstage"),
    TICKETS: ("hs_pipeline", "hs_pipeline_stage"),
}
PIPELINES: dict[str, dict[str, tuple[str, tuple[str, ...]]]] = {
    DEALS: {"default": ("Sales", DEAL_STAGES)},
    TICKETS: {"0": ("Support", ("1", "2", "3", "4"))},
}
# What a read returns when no property is asked for.
DEFAULTS: dict[str, tuple[str, ...]] = {
    CONTACTS: ("email", "firstname", "lastname"),
    COMPANIES: ("name", "domain"),
    DEALS: ("dealname", "amount", "closedate", "pipeline", "dealstage"),
    TICKETS: (
        "subject",
        "content",
        "hs_pipeline",
        "hs_pipeline_stage",
        "hs_ticket_category",
        "hs_ticket_priority",
    ),
}
REQUIRED: dict[str, tuple[tuple[str, ...], ...]] = {
    # Each group: one of these must be there.
    COMPANIES: (("domain", "name"),),
    DEALS: (("dealname",), ("dealstage",), ("pipeline",)),
    TICKETS: (("subject",), ("hs_pipeline",), ("hs_pipeline_stage",)),
}
ROLL_UPS = ("associatedcompanyid", "num_associated_contacts", "num_associated_deals")
READ_ONLY = (
    *ROLL_UPS,
    "hs_object_id",
    "createdate",
    "hs_createdate",
    "lastmodifieddate",
    "hs_lastmodifieddate",
    "hs_merged_object_ids",
)


def definition(
    name: str, kind: str, field_type: str, options: tuple[str, ...] = ()
) -> Json:
    """Return a standard property as the properties endpoint shows it."""
    read_only = name in READ_ONLY
    return {
        "name": name,
        "label": name.removeprefix("hs_").replace("_", " ").capitalize(),
        "type": kind,
        "fieldType": field_type,
        "description": "",
        "groupName": "information",
        "options": [
            {
                "label": value.replace("_", " ").capitalize(),
                "value": value,
                "displayOrder": order,
                "hidden": False,
            }
            for order, value in enumerate(options)
        ],
        "displayOrder": -1,
        "calculated": name in ROLL_UPS,
        "externalOptions": False,
        "hasUniqueValue": name == "hs_object_id",
        "hidden": False,
        "hubspotDefined": True,
        "formField": not read_only,
        "archived": False,
        "modificationMetadata": {
            "archivable": False,
            "readOnlyDefinition": True,
            "readOnlyValue": read_only,
        },
    }


def standard_properties(kind: Kind) -> dict[str, Json]:
    """Return the properties that every account has on an object type, by name."""
    rows: list[Row] = [
        ("hs_object_id", "number", "number", ()),
        (kind.created, "datetime", "date", ()),
        (kind.modified, "datetime", "date", ()),
        ("hs_merged_object_ids", "string", "text", ()),
        *STANDARD.get(kind.type_id, []),
    ]
    found = {row[0]: definition(*row) for row in rows}
    found["hubspot_owner_id"] = definition(
        "hubspot_owner_id", "enumeration", "select"
    ) | {"externalOptions": True, "referencedObjectType": "OWNER"}
    return found
