"""Which app field a HubSpot property is kept in step with unless the set-up says more.

Plain data: what `fields: default` begins from, and what docs/defaults.md prints. A name
is compared by its letters and digits alone, in lower case: "first_name", "First name" and
"firstName" are one. The likeliest name comes first.
"""

from __future__ import annotations

Row = tuple[str, tuple[str, ...]]  # property, what an app may call it

ADDRESS: tuple[Row, ...] = (
    ("address", ("address", "street", "streetaddress", "addressline1", "address1")),
    ("city", ("city", "town")),
    ("state", ("state", "stateregion", "region", "province", "county")),
    ("zip", ("zip", "zipcode", "postcode", "postalcode")),
    ("country", ("country", "countryregion", "countryname")),
)
RECORD: tuple[Row, ...] = (
    ("hubspot_owner_id", ("owneremail", "hubspotowner", "owner", "accountmanager")),
    ("hs_object_id", ("hubspotid", "hsobjectid", "hubspotrecordid", "hubspotobjectid")),
)

# By HubSpot object type; the order is that of the mappings.
FIELDS: dict[str, tuple[Row, ...]] = {
    "0-1": (  # contacts
        ("email", ("email", "emailaddress", "mail")),
        ("firstname", ("firstname", "givenname", "forename", "fname")),
        ("lastname", ("lastname", "surname", "familyname", "lname")),
        ("phone", ("phone", "phonenumber", "telephone", "tel", "workphone")),
        ("mobilephone", ("mobilephone", "mobile", "mobilenumber", "cellphone", "cell")),
        ("jobtitle", ("jobtitle", "position", "title")),
        ("company", ("company", "companyname", "organisation", "organization")),
        ("website", ("website", "websiteurl", "homepage", "url")),
        *ADDRESS,
        ("lifecyclestage", ("lifecyclestage", "lifecycle")),
        ("hs_lead_status", ("leadstatus", "hsleadstatus")),
        *RECORD,
    ),
    "0-2": (  # companies
        ("name", ("name", "companyname", "company", "title")),
        ("domain", ("domain", "domainname", "companydomain", "website", "url")),
        ("website", ("website", "websiteurl", "homepage", "url")),
        ("phone", ("phone", "phonenumber", "telephone", "tel")),
        ("industry", ("industry", "sector", "branch")),
        ("type", ("type", "companytype")),
        (
            "numberofemployees",
            ("numberofemployees", "employees", "employeecount", "headcount"),
        ),
        ("annualrevenue", ("annualrevenue", "revenue", "turnover")),
        ("founded_year", ("foundedyear", "yearfounded", "founded")),
        ("description", ("description", "about", "aboutus")),
        *ADDRESS,
        ("lifecyclestage", ("lifecyclestage", "lifecycle")),
        *RECORD,
    ),
    "0-3": (  # deals
        ("dealname", ("dealname", "deal", "name", "title")),
        ("amount", ("amount", "dealamount", "value", "dealvalue", "total")),
        (
            "closedate",
            ("closedate", "closingdate", "expectedclosedate", "closeddate", "closedat"),
        ),
        ("pipeline", ("pipeline", "dealpipeline")),
        ("dealstage", ("dealstage", "stage", "status")),
        ("dealtype", ("dealtype", "type")),
        ("description", ("description", "details")),
        *RECORD,
    ),
    "0-5": (  # tickets
        ("subject", ("subject", "ticketname", "title", "name")),
        ("content", ("content", "description", "details", "message", "body")),
        ("hs_pipeline", ("pipeline", "ticketpipeline", "hspipeline")),
        (
            "hs_pipeline_stage",
            ("ticketstatus", "status", "stage", "pipelinestage", "hspipelinestage"),
        ),
        ("hs_ticket_priority", ("priority", "ticketpriority", "hsticketpriority")),
        ("hs_ticket_category", ("category", "ticketcategory", "hsticketcategory")),
        *RECORD,
    ),
    "0-7": (  # products
        ("name", ("name", "productname", "product", "title")),
        ("hs_sku", ("sku", "hssku", "productcode", "itemnumber")),
        ("price", ("price", "unitprice", "listprice")),
        ("description", ("description", "details")),
        *RECORD,
    ),
}

# What a kind of app often calls it besides; looked for after the names above.
BY_KIND: dict[str, dict[str, tuple[Row, ...]]] = {
    "postgres": {
        "0-1": (
            ("email", ("emailaddr", "mailaddress")),
            ("firstname", ("first", "namefirst")),
            ("lastname", ("last", "namelast")),
            ("phone", ("phoneno", "telno")),
            ("mobilephone", ("mobileno", "cellno")),
        ),
        "0-2": (
            ("name", ("legalname",)),
            ("phone", ("phoneno", "telno")),
            ("numberofemployees", ("numemployees", "noofemployees")),
        ),
    },
}

# The HubSpot objects that a record of an object is linked to by itself, with the
# association type, and what an app may call the objects.
LINKS: dict[str, tuple[tuple[str, str], ...]] = {
    "0-1": (("0-2", "primary"),),
    "0-3": (("0-2", "primary"), ("0-1", "default")),
    "0-5": (("0-1", "default"), ("0-2", "primary")),
}
OBJECTS: dict[str, tuple[str, ...]] = {
    "0-1": ("contacts", "contact", "people", "persons", "person"),
    "0-2": (
        "companies",
        "company",
        "accounts",
        "account",
        "organisations",
        "organizations",
        "firms",
        "customers",
    ),
    "0-3": ("deals", "deal", "opportunities", "opportunity"),
    "0-5": ("tickets", "ticket", "cases", "issues", "requests"),
}
