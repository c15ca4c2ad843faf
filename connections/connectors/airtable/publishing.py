"""docs/airtable-types.md, made from the connector's own table: `make docs`."""

from __future__ import annotations

import sys

from connections.connectors.airtable.types import LINK, TYPES
from connections.records import ValueType

HUBSPOT = {
    ValueType.TEXT: "text",
    ValueType.NUMBER: "number",
    ValueType.BOOLEAN: "single checkbox",
    ValueType.DATE: "date picker",
    ValueType.DATETIME: "date and time picker",
    ValueType.OPTION: "dropdown, radio select; text",
    ValueType.OPTIONS: "multiple checkboxes; text, with semicolons",
}
HEAD = """\
# Airtable's field types

<!-- Made by `make docs` from connections/connectors/airtable/types.py. -->

What a field of each type is in Crosslink, the HubSpot property it fits best, and whether
it is written. A value that a field cannot hold is refused by name (VALUE_INVALID,
OPTION_UNKNOWN, VALUE_TOO_LONG), never cut or guessed; the rest of the record still syncs
where the refusal is known before it is sent. A cell that shows an error is left alone.

| Airtable | Crosslink | HubSpot | written | |
| --- | --- | --- | --- | --- |
"""
FOOT = """\

A type that is not listed here is shown as text and never written. Numbers are kept as
Airtable keeps them, to about 15 digits; one with more is refused. A text cell holds
100,000 characters.
"""


def page() -> str:
    """The whole page."""
    rows = []
    for name, kind in TYPES.items():
        hubspot = HUBSPOT[kind.type] if name != LINK else "an association"
        written = "yes" if kind.write else "no"
        notes = "; ".join(part for part in (kind.note, kind.why.rstrip(".")) if part)
        rows.append(f"| `{name}` | {kind.type} | {hubspot} | {written} | {notes} |\n")
    return HEAD + "".join(rows) + FOOT


if __name__ == "__main__":
    sys.stdout.write(page())
