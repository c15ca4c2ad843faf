"""Every error code, what it means and what to do: one text for all who print it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Code(StrEnum):
    """Stable codes: they stand in logs, JSON, exports and the admin."""

    CREDENTIALS_REFUSED = "CREDENTIALS_REFUSED"
    SCOPE_MISSING = "SCOPE_MISSING"
    RATE_LIMITED = "RATE_LIMITED"
    QUOTA_SPENT = "QUOTA_SPENT"
    UNAVAILABLE = "UNAVAILABLE"
    TIMED_OUT = "TIMED_OUT"
    UNCERTAIN = "UNCERTAIN"
    SCHEMA_CHANGED = "SCHEMA_CHANGED"
    FIELD_MISSING = "FIELD_MISSING"
    OPTION_UNKNOWN = "OPTION_UNKNOWN"
    VALUE_INVALID = "VALUE_INVALID"
    VALUE_TOO_LONG = "VALUE_TOO_LONG"
    FIELD_READ_ONLY = "FIELD_READ_ONLY"
    REQUIRED_MISSING = "REQUIRED_MISSING"
    KEY_MISSING = "KEY_MISSING"
    DUPLICATE_KEY = "DUPLICATE_KEY"
    MATCH_AMBIGUOUS = "MATCH_AMBIGUOUS"
    ID_REUSED = "ID_REUSED"
    NOT_READ = "NOT_READ"
    EXCLUDED = "EXCLUDED"
    CONFLICT = "CONFLICT"
    RECORD_GONE = "RECORD_GONE"
    RECORD_MERGED = "RECORD_MERGED"
    TARGET_NOT_SYNCED = "TARGET_NOT_SYNCED"
    TARGET_NOT_MATCHED = "TARGET_NOT_MATCHED"
    TARGET_AMBIGUOUS = "TARGET_AMBIGUOUS"
    TYPE_UNKNOWN = "TYPE_UNKNOWN"
    TYPE_NOT_MAPPED = "TYPE_NOT_MAPPED"
    LIMIT_REACHED = "LIMIT_REACHED"
    DIRECTION_FORBIDS = "DIRECTION_FORBIDS"
    CYCLE = "CYCLE"
    LOOP = "LOOP"
    CHANGED_SINCE_PLAN = "CHANGED_SINCE_PLAN"
    HELD_BY_LIMITS = "HELD_BY_LIMITS"
    RUN_OPEN = "RUN_OPEN"
    INTERNAL = "INTERNAL"


@dataclass(frozen=True, slots=True)
class Entry:
    """One sentence each: what happened, and what a person can do about it."""

    meaning: str
    remedy: str


CATALOGUE: dict[Code, Entry] = {
    Code.CREDENTIALS_REFUSED: Entry(
        "The system refused the stored credentials.",
        "Enter a valid token, key or password for the connection and test it again.",
    ),
    Code.SCOPE_MISSING: Entry(
        "The credentials are valid but lack a right that this needs.",
        "Grant the scope or privilege named in the message, then test again.",
    ),
    Code.RATE_LIMITED: Entry(
        "The system asked for slower calls for longer than a run waits.",
        "Nothing to do: the next run goes on. If it repeats, lower the call budget.",
    ),
    Code.QUOTA_SPENT: Entry(
        "The system's daily or monthly allowance of calls is used up.",
        "Wait for the allowance to reset, or raise it with the vendor.",
    ),
    Code.UNAVAILABLE: Entry(
        "The system could not be reached or answered with an error of its own.",
        "Check the address and the system's status page; the next run tries again.",
    ),
    Code.TIMED_OUT: Entry(
        "The system did not answer in time.",
        "Nothing to do: the next run tries again.",
    ),
    Code.UNCERTAIN: Entry(
        "A create was sent and no answer came back, so it may have taken effect.",
        "Run again later: the record is looked for first and never sent twice. "
        "If it stays, pair the two records by hand.",
    ),
    Code.SCHEMA_CHANGED: Entry(
        "An object type, table or field this sync uses has changed or is gone.",
        "Refresh the schema, then correct the set-up.",
    ),
    Code.FIELD_MISSING: Entry(
        "A field that the set-up uses does not exist in the system any more.",
        "Create the field again, or take its mapping or filter out of the set-up.",
    ),
    Code.OPTION_UNKNOWN: Entry(
        "The value is not one of the options of the field it goes to.",
        "Add the option there, or map the value to an existing one.",
    ),
    Code.VALUE_INVALID: Entry(
        "The value cannot be held by the field it goes to.",
        "Correct the value in the system it comes from, or map another field.",
    ),
    Code.VALUE_TOO_LONG: Entry(
        "The value is longer than the field it goes to.",
        "Shorten the value or widen the field.",
    ),
    Code.FIELD_READ_ONLY: Entry(
        "The field cannot be written in this system.",
        "Map it in the other direction only.",
    ),
    Code.REQUIRED_MISSING: Entry(
        "The other system needs a value that this record does not have.",
        "Fill the field, map it, or give a constant under on_create.",
    ),
    Code.KEY_MISSING: Entry(
        "The record has no value in any of the fields it is matched by.",
        "Fill one of the match fields; until then the record is excluded.",
    ),
    Code.DUPLICATE_KEY: Entry(
        "The other system already has a record with this unique value.",
        "Pair the two records by hand, or correct the value.",
    ),
    Code.MATCH_AMBIGUOUS: Entry(
        "Several records share the match key, so none was paired or created.",
        "Correct or merge the duplicates, or pair the right two by hand.",
    ),
    Code.ID_REUSED: Entry(
        "The record's keys all changed and the former one is another record's now, so "
        "its id may have been given away.",
        "Keep the pair if it is right; else unpair the two records, or pair anew by key.",
    ),
    Code.NOT_READ: Entry(
        "The record exists, and no run has read it yet.",
        "Run the sync: sync --app NAME --sync NAME, or Sync now on its page.",
    ),
    Code.EXCLUDED: Entry(
        "The record is outside of the filters of its sync.",
        "Change the record's value, or the filter, if it should sync.",
    ),
    Code.CONFLICT: Entry(
        "Both sides changed the value and a person decides.",
        "Choose the value that wins.",
    ),
    Code.RECORD_GONE: Entry(
        "The record was deleted or archived on one side.",
        "Restore it there, or press Create again on the record's page.",
    ),
    Code.RECORD_MERGED: Entry(
        "The HubSpot record was merged into another that is paired already.",
        "Merge the app's records too, or unpair this one.",
    ),
    Code.TARGET_NOT_SYNCED: Entry(
        "The linked records' own object sync does not exist or is off.",
        "Set up and turn on the sync of the object that the field points to.",
    ),
    Code.TARGET_NOT_MATCHED: Entry(
        "The linked record is not paired with one on the other side yet.",
        "Nothing to do if it will be; otherwise see why the linked record is not in sync.",
    ),
    Code.TARGET_AMBIGUOUS: Entry(
        "HubSpot has several linked records and none is the current or primary one.",
        "Mark one of them primary in HubSpot, or set the field in the app.",
    ),
    Code.TYPE_UNKNOWN: Entry(
        "The association type of this mapping no longer exists in HubSpot.",
        "Refresh the schema and choose another type or label.",
    ),
    Code.TYPE_NOT_MAPPED: Entry(
        "HubSpot links the two records by a type that this mapping does not follow.",
        "Give the link the mapped type in HubSpot, or map the type that it has.",
    ),
    Code.LIMIT_REACHED: Entry(
        "The record has as many links as the system allows.",
        "Remove a link or raise the limit there.",
    ),
    Code.DIRECTION_FORBIDS: Entry(
        "The direction of this sync or mapping does not let the change travel.",
        "Change the direction in the set-up if it should.",
    ),
    Code.CYCLE: Entry(
        "The link would make a record its own ancestor.",
        "Correct the parent in one of the records named.",
    ),
    Code.LOOP: Entry(
        "Two syncs keep overwriting each other's value of this field.",
        "Let only one of the syncs named write the field.",
    ),
    Code.CHANGED_SINCE_PLAN: Entry(
        "The record or link changed after the plan was made.",
        "Make a new plan, or run the sync: it decides from the new values.",
    ),
    Code.HELD_BY_LIMITS: Entry(
        "The plan goes over a limit of this sync, so nothing was written.",
        "Look at the plan and approve or drop it.",
    ),
    Code.RUN_OPEN: Entry(
        "Another run of this sync is still going on.",
        "Wait for it to end, or start with --wait.",
    ),
    Code.INTERNAL: Entry(
        "Something went wrong inside Crosslink.",
        "Look at the run's log; if it repeats, report it with the run's number.",
    ),
}


def meaning_of(code: str) -> str:
    """The catalogue's sentence for a code; "" for an unknown one."""
    return CATALOGUE[Code(code)].meaning if code in Code.__members__ else ""


def remedy_for(code: str) -> str:
    """What a person can do about a code; "" for an unknown one."""
    return CATALOGUE[Code(code)].remedy if code in Code.__members__ else ""
