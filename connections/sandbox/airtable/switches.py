"""What Airtable does not document, or third parties alone do, as switches."""

from __future__ import annotations

from connections.sandbox.hubspot.switches import Switch

TABLE = (
    Switch(
        "failed_batch",
        ("nothing", "before"),
        "A refused batch stored nothing, or the records before the bad one.",
    ),
    Switch(
        "gone_record",
        ("ROW_DOES_NOT_EXIST", "NOT_FOUND"),
        "Writing a record that is gone is a 422 of this type, or a 404.",
    ),
    Switch(
        "names_bad_record",
        (True, False),
        "A refusal for a record that does not exist names its id.",
    ),
    Switch(
        "inverse_moves_date",
        (True, False),
        "A link written from one side moves the other record's modified time.",
    ),
    Switch(
        "unknown_field",
        ("UNKNOWN_FIELD_NAME", "INVALID_REQUEST_UNKNOWN"),
        "The error type of a field that does not exist.",
    ),
    Switch(
        "other_tables_record",
        ("shown", "missing"),
        "A single read of an id that lives in another table of the base answers it.",
    ),
    Switch("text_cap", (100_000,), "Characters of a text cell.", any_number=True),
    Switch("penalty_s", (30,), "Seconds of refusal after a 429.", any_number=True),
    Switch(
        "quota_error",
        ("RATE_LIMIT_REACHED", "PUBLIC_API_BILLING_LIMIT_EXCEEDED"),
        "The error type of a 429 for the month's calls.",
    ),
    Switch(
        "payload_lag_s",
        (0,),
        "Seconds until the payload log shows a change.",
        any_number=True,
    ),
    Switch(
        "inverse_in_payloads",
        (True, False),
        "The payload log tells of the record at the other end of a changed link.",
    ),
    Switch("retry_after", (True, False), "A 503 carries a Retry-After header."),
)
