"""What Kintone does not document, as switches."""

from __future__ import annotations

from connections.sandbox.hubspot.switches import Switch

TABLE = (
    Switch(
        "unknown_token_status",
        (520, 400),
        "The status of GAIA_IA02: a token that nobody made, or of an app that was not "
        "updated since.",
    ),
    Switch(
        "foreign_token_status",
        (400, 403),
        "The status of GAIA_AP15: none of the tokens is one of the app.",
    ),
    Switch(
        "token_lists_apps",
        (False, True),
        "A token may list apps: those whose token it is.",
    ),
    Switch(
        "token_reads_app",
        (True, False),
        "A token may read the name of its app.",
    ),
    Switch(
        "update_errors_nested",
        (False, True),
        "An update's errors name records[0].record.title.value, rather than "
        "records[0].title.value.",
    ),
    Switch(
        "missing_right_code",
        ("CB_NO02", "GAIA_NO01"),
        "The code of a 403.",
    ),
    Switch(
        "total_count",
        (True, False),
        "A list answers totalCount if it is asked for, or null all the same.",
    ),
    Switch(
        "text_keys_fold_case",
        (False, True),
        "= and in compare texts whatever their letter case.",
    ),
)
