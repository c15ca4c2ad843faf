"""`fields: default`: which of an app's fields the default mappings would fill.

A guess is by name, and only between types of which every value of one can be a value of
the other. Where that holds one way only, the mapping goes one way.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from associations.setup.default_fields import BY_KIND, FIELDS
from associations.setup.defaults import plain
from associations.setup.spec import FieldSpec, SyncSpec
from connections.records import Field, ObjectType, Side, ValueType

BOTH = "two_way"
TIMES = {ValueType.DATE, ValueType.DATETIME}


@dataclass(frozen=True, slots=True)
class Guess:
    """Something that a default chose, for a person to confirm: the file's path, what it
    is (field, match or association), both sides' names, and what else was settled."""

    path: str
    what: str
    hubspot: str
    app: str
    detail: str = ""

    def __str__(self) -> str:
        detail = f" ({self.detail})" if self.detail else ""
        return f"{self.path}: {self.what} {self.hubspot} ↔ {self.app}{detail}"


def default_fields(
    spec: SyncSpec, objects: Mapping[Side, ObjectType], kind: str
) -> tuple[FieldSpec, ...]:
    """The mappings of `fields: default`, in the order of the published table.

    Args: objects, of each side; kind, the app's. A field is taken once; one that tells
        change time, or that a match key pairs with another property, is not taken.
    """
    hubspot, app = objects[Side.HUBSPOT], objects[Side.APP]
    keyed = {part.hubspot: part.app for key in spec.match for part in key}
    taken = {spec.app_cursor, spec.marker.get(Side.APP, "")} | _pointing(app)
    taken |= {one.get("field", "") for one in spec.archive.values()}
    # A field that names records by their key is a link, and no text of its own.
    taken |= {link.app_field for link in spec.associations if link.by}
    found: list[FieldSpec] = []
    for name, words in _rows(hubspot, kind):
        property_ = hubspot.field(name)
        if property_ is None or any(f.hubspot == name for f in found):
            continue
        for column in _columns(app, words, keyed.get(name)):
            way = usual_way(property_, column)
            way = _narrowed(way, spec.direction)
            given_away = column.name in set(keyed.values()) - {keyed.get(name)}
            if column.name in taken or given_away or not way:
                continue
            taken.add(column.name)
            direction = "" if way == spec.direction else way
            path = f"{spec.path}.fields"
            found.append(FieldSpec(path, name, column.name, direction))
            break
    return tuple(found)


def _rows(hubspot: ObjectType, kind: str) -> Iterator[tuple[str, tuple[str, ...]]]:
    """The table's rows; of an object that is not in it, the display property and
    whatever is called the same on both sides."""
    rows = FIELDS.get(hubspot.id)
    if rows is None:
        display = hubspot.display_field
        if display:
            yield display, (plain(display), "name", "title")
        for field in hubspot.fields:
            if not field.name.startswith("hs_"):
                yield field.name, (plain(field.name),)
        rows = FIELDS["0-1"][-1:]  # the record's id
    more = dict(BY_KIND.get(kind, {}).get(hubspot.id, ()))
    for name, words in rows:
        yield name, (*words, *more.get(name, ()))


def _columns(
    app: ObjectType, words: tuple[str, ...], keyed: str | None
) -> Iterator[Field]:
    """Fields that go by one of the names, the likeliest first; a match key's is sure."""
    if keyed is not None:
        field = app.field(keyed)
        yield from (field,) if field else ()
        return
    for word in words:
        yield from (f for f in app.fields if plain(f.name) == word)


def _pointing(app: ObjectType) -> set[str]:
    return {name for ref in app.references for name in (ref.name, *ref.columns)}


def usual_way(hubspot: Field, app: Field) -> str:
    """The widest direction in which values of two fields fit; "" where in none."""
    way = _way(hubspot, app)
    for side, field in ((Side.HUBSPOT, hubspot), (Side.APP, app)):
        if field.read_only:
            way = _narrowed(way, f"to_{side.other}")
    return way


def _way(hubspot: Field, app: Field) -> str:
    one, other = hubspot.type, app.type
    if ValueType.REFERENCE in (one, other):
        return ""
    if one == other or {one, other} <= TIMES:
        return BOTH
    if other is ValueType.TEXT:
        # HubSpot demands it of a new record, which may come from the app.
        return BOTH if hubspot.required or hubspot.people else "to_app"
    return "to_hubspot" if one is ValueType.TEXT else ""


def _narrowed(way: str, direction: str) -> str:
    """What is left of a direction under another; "" for nothing."""
    if way == BOTH:
        return direction
    return way if direction in (BOTH, way) else ""
