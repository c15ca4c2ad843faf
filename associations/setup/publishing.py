"""docs/defaults.md, made from the tables that set-ups begin from: `make docs`."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator

from associations.setup.default_fields import BY_KIND, FIELDS, LINKS, OBJECTS, Row
from associations.setup.defaults import USUAL

NAMES = {
    "0-1": "contacts",
    "0-2": "companies",
    "0-3": "deals",
    "0-5": "tickets",
    "0-7": "products",
}
HEAD = """\
# What a set-up starts from

<!-- Made by `make docs` from associations/setup/default_fields.py and defaults.py. -->

`matching: default`, `fields: default` and `associations: default` choose from these
tables. `setup apply --check` prints what they chose, to be confirmed; `setup export`
writes the field and association mappings out one by one, so that a column that is added
later changes nothing by itself.

A field of the app is found by its name, of which only letters and digits count, in any
case: `first_name`, `First name` and `firstName` are one. The likeliest name comes first;
a field is mapped once; a match key that the file names is mapped as the key pairs it. The
field that tells change time, the marker, the field that archives and the app's reference
fields are left out.

Only types that fit are mapped:

| HubSpot | the app | direction |
| --- | --- | --- |
| any type | the same type | the sync's own |
| date, datetime | datetime, date | the sync's own |
| text | number, boolean, date, datetime, options | to HubSpot |
| number, boolean, date, datetime, options | text | to the app |
| options that a new record must have (pipeline, stage) | text | the sync's own |
| owner | text that holds the owner's e-mail address | the sync's own |

A field that is read-only on one side goes the other way only. What cannot go in the
sync's direction is not mapped.
"""


def page() -> str:
    """The whole page."""
    return "\n".join([HEAD, *_fields(), *_keys(), *_links()]) + "\n"


def _table(heads: Iterable[str], rows: Iterable[Iterable[str]]) -> Iterator[str]:
    heads = list(heads)
    yield f"| {' | '.join(heads)} |"
    yield f"|{' --- |' * len(heads)}"
    for row in rows:
        yield f"| {' | '.join(row)} |"
    yield ""


def _words(words: Iterable[str]) -> str:
    return ", ".join(f"`{word}`" for word in words)


def _rows(rows: Iterable[Row]) -> Iterator[tuple[str, str]]:
    return ((f"`{name}`", _words(words)) for name, words in rows)


def _fields() -> Iterator[str]:
    yield "## Field mappings\n"
    for object_id, rows in FIELDS.items():
        yield f"### {NAMES[object_id].capitalize()}\n"
        yield from _table(("property", "the app's field"), _rows(rows))
        for kind, more in BY_KIND.items():
            if object_id in more:
                yield f"In {kind} also:\n"
                yield from _table(
                    ("property", "the app's field"), _rows(more[object_id])
                )
    yield "### Custom objects and all others\n"
    yield (
        "The primary display property, with the field of its name, `name` or `title`; "
        "every other property, but for HubSpot's own (`hs_…`), with the field of the "
        "same name; and the record's id as above.\n"
    )


def _keys() -> Iterator[str]:
    yield "## Match keys\n"
    yield from _table(
        ("object", "property", "compared as", "the app's field"),
        (
            (NAMES[object_id], f"`{name}`", how, _words(words))
            for object_id, keys in USUAL.items()
            for name, how, words in keys
        ),
    )
    yield "Custom objects match by their primary display property, in any letter case.\n"


def _links() -> Iterator[str]:
    yield "## Association mappings\n"
    yield (
        "Each reference field of the app whose target is an object that the same app "
        "syncs is mapped: with the primary association where the two HubSpot objects "
        "have one and the field holds one record, else with the default one.\n"
    )
    yield from _table(
        ("from", "to", "association"),
        (
            (NAMES[near], NAMES[far], kind)
            for near, links in LINKS.items()
            for far, kind in links
        ),
    )
    yield (
        "Where an object that a reference field points to has no sync yet, the sync that "
        "the links need is offered. Its HubSpot object is told by the object's name:\n"
    )
    yield from _table(
        ("HubSpot object", "the app's object"),
        ((NAMES[object_id], _words(words)) for object_id, words in OBJECTS.items()),
    )


if __name__ == "__main__":
    sys.stdout.write(page())
