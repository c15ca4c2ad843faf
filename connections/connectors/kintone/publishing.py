"""docs/kintone-types.md, made from the table of field types: `make docs`."""

from __future__ import annotations

import sys

from connections.connectors.kintone.forms import CALC_FORMATS, SKIPPED, TYPES

HEAD = """# Kintone's field types

Made by `make docs` from the table that the connector works by. A value travels to every
HubSpot type that its kind can become; what could not be held is refused with a code, never
cut or guessed.

| Kintone | kind | written | remarks |
| --- | --- | --- | --- |
"""


def page() -> str:
    """The whole page."""
    rows = [
        f"| `{name}` | {row.type} | {(row.why_not and f'no: {row.why_not}') or 'yes'} | "
        f"{row.note} |"
        for name, row in TYPES.items()
    ]
    rows += [
        f"| `{name}` | - | no | not offered: {why} |" for name, why in SKIPPED.items()
    ]
    formats = ", ".join(f"`{name}` {kind}" for name, kind in CALC_FORMATS.items())
    tail = (
        f"\n`CALC` is of the kind that its format says: {formats}; any other is text.\n\n"
        "A field that a lookup copies is read only, whatever its type: Kintone fills it.\n"
    )
    return HEAD + "\n".join(rows) + "\n" + tail


if __name__ == "__main__":
    sys.stdout.write(page())
