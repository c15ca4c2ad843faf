"""The match keys of `matching: default`: HubSpot's usual ones, the app's field guessed.

Source: https://knowledge.hubspot.com/integrations/match-records-in-data-sync
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from associations.setup.spec import FieldSpec, MatchPart
from connections.records import ObjectType

# By HubSpot object type: (property, normaliser, what an app may call it), in order.
USUAL: dict[str, tuple[tuple[str, str, tuple[str, ...]], ...]] = {
    "0-1": (("email", "email", ("email", "emailaddress", "mail")),),
    "0-2": (
        ("domain", "domain", ("domain", "domainname", "website", "url", "homepage")),
        ("name", "casefold", ("name", "company", "companyname", "title")),
    ),
    "0-3": (("dealname", "casefold", ("dealname", "deal", "name", "title")),),
    "0-5": (("subject", "casefold", ("subject", "title", "name")),),
}


def default_match(
    hubspot: ObjectType, app: ObjectType, fields: Sequence[FieldSpec], path: str
) -> tuple[tuple[MatchPart, ...], ...]:
    """The keys whose field the app has; a mapped property matches by its own mapping."""
    display = hubspot.display_field
    own = ((display, "casefold", (plain(display), "name", "title")),) if display else ()
    found = []
    for name, how, words in USUAL.get(hubspot.id, own):
        mapped = next((f.app for f in fields if f.hubspot == name), "")
        column = mapped or guess(app, words)
        if column and hubspot.field(name) is not None:
            found.append((MatchPart(f"{path}.matching", name, column, how),))
    return tuple(found)


def guess(app: ObjectType, words: Sequence[str]) -> str:
    by_word = {plain(f.name): f.name for f in reversed(app.fields)}
    return next((by_word[w] for w in words if w in by_word), "")


def plain(name: str) -> str:
    """A name by its letters and digits alone."""
    return re.sub(r"[^a-z0-9]", "", name.lower())
