"""A set-up in people's words."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any
from zoneinfo import ZoneInfo

from associations.drafts.looking import Look
from associations.setup.spec import AssociationSpec, FilterSpec, MatchPart, SyncSpec
from connections.models import ConnectedApp
from connections.records import Side
from syncs.engine import limits
from syncs.engine.filters import OPERATORS, condition, shown_raw
from syncs.engine.values import ValueProblem

ARROWS = {"two_way": "↔", "to_hubspot": "→", "to_app": "←"}
NORMALIZERS = {
    "exact": "exactly as written",
    "casefold": "in any letter case",
    "email": "as e-mail addresses",
    "domain": "as domains",
    "phone": "as phone numbers",
    "digits": "by their digits",
}


def arrow(direction: str) -> str:
    """Between the app's name on the left and HubSpot's on the right."""
    return ARROWS.get(direction, "↔")


def key_words(key: Iterable[MatchPart]) -> str:
    return " and ".join(
        f"{p.hubspot} = {p.app}, compared {NORMALIZERS.get(p.normalize, p.normalize)}"
        for p in key
    )


def type_word(choice: Any) -> str:
    """An association type as a set-up file names it, for people."""
    if isinstance(choice, list):
        return ", ".join(map(type_word, choice))
    if isinstance(choice, dict):
        return f"{choice.get('category')} {choice.get('id')}"
    return {"primary": "Primary", "default": "Default"}.get(str(choice), str(choice))


def types_words(link: AssociationSpec, look: Look) -> str:
    """What a mapping's links are in HubSpot."""
    if link.labels:
        return ", ".join(f"{value} = {type_word(word)}" for value, word in link.labels)
    if link.type:
        return type_word(link.type)
    found = look.types.get(link.path, ())
    words = [look.labels.get(t, "Default") for t in found]
    return ", ".join(dict.fromkeys(words)) or "by default"


def filter_words(spec: FilterSpec, look: Look, zone: str) -> str:
    """A condition as a clause: "stage must be one of a, b"."""
    obj = look.objects.get(spec.side)
    found = obj.field(spec.field) if obj else None
    if found is not None:
        try:
            return str(condition(found, spec.operator, spec.value, ZoneInfo(zone)))
        except ValueProblem:
            pass  # as it was typed
    value = "" if spec.value is None else f" {shown_raw(spec.value)}"
    return f"{spec.field} must {OPERATORS.get(spec.operator, spec.operator)}{value}"


def sentences(look: Look, app: ConnectedApp) -> Iterator[tuple[str, list[str]]]:
    """The whole set-up: what each part is about, and what it says."""
    spec = look.settled or look.spec
    if spec is None:
        return
    yield "Data", list(_data(spec, app))
    yield "Matching", list(_matching(spec))
    yield "Fields", list(_fields(spec, app))
    if spec.associations:
        yield "Associations", [_link(x, spec, look, app) for x in spec.associations]
    yield "Which records", list(_filters(spec, look, app))
    yield "Safety", list(_safety(spec, app))
    yield "Schedule", list(_schedule(spec))


def _data(spec: SyncSpec, app: ConnectedApp) -> Iterator[str]:
    ways = {
        "two_way": f"are kept in step both ways with {spec.hubspot_object} of HubSpot",
        "to_hubspot": f"are written to {spec.hubspot_object} of HubSpot, never back",
        "to_app": f"are written from {spec.hubspot_object} of HubSpot, never back",
    }
    yield f"{spec.app_object} of {app.name} {ways[spec.direction]}."
    if spec.direction == "two_way":
        yield f"Where both sides changed a field, {_winner(spec.conflict, app)}."
    made = {
        "both": "A record that is missing on one side is created there",
        "to_hubspot": "Records are created in HubSpot only",
        "to_app": f"Records are created in {app.name} only",
        "none": "No record is created",
    }
    if spec.creates == "both" and spec.direction != "two_way":
        side = "HubSpot" if spec.direction == "to_hubspot" else app.name
        yield f"A record that is missing in {side} is created there."
    else:
        yield f"{made[spec.creates]}."


def _winner(rule: str, app: ConnectedApp) -> str:
    return {
        "hubspot": "HubSpot's value is kept, unless it is empty",
        "app": f"{app.name}'s value is kept, unless it is empty",
        "latest": "the latest change is kept, unless it is empty",
        "review": "a person decides",
    }[rule]


def _matching(spec: SyncSpec) -> Iterator[str]:
    if spec.matching == "none" or not spec.match:
        yield "Records are not matched: each is created on the other side."
        return
    for at, key in enumerate(spec.match):
        yield f"{'First' if at == 0 else 'Then'} by {key_words(key)}."
    yield "A key that several records share pairs nothing, and names them all."


def _fields(spec: SyncSpec, app: ConnectedApp) -> Iterator[str]:
    if not spec.fields:
        yield "No field is written: records are matched for their links only."
    for f in spec.fields:
        way = f.direction or spec.direction
        said = f"{f.app} {arrow(way)} {f.hubspot}"
        if way == "two_way" and f.conflict:
            said += f"; where both changed, {_winner(f.conflict, app)}"
        if f.seed:
            side = "HubSpot's" if f.seed == "hubspot" else f"{app.name}'s"
            said += f"; begins with {side} values"
        if f.values:
            said += f"; {len(f.values)} option values translated"
        yield said + "."


def _link(link: AssociationSpec, spec: SyncSpec, look: Look, app: ConnectedApp) -> str:
    way = link.direction or spec.direction
    where = {
        "two_way": "both ways",
        "to_hubspot": "only to HubSpot",
        "to_app": f"only to {app.name}",
    }
    said = (
        f"{link.app_field} leads to {link.to}: {types_words(link, look)}, {where[way]}"
    )
    if link.on_unlink == "remove_pair":
        said += "; an unlink takes the whole link off"
    return said + "."


def _filters(spec: SyncSpec, look: Look, app: ConnectedApp) -> Iterator[str]:
    for side in Side:
        name = "HubSpot" if side is Side.HUBSPOT else app.name
        mine = [f for f in spec.filters if f.side is side]
        if mine:
            words = "; ".join(filter_words(f, look, spec.timezone) for f in mine)
            yield f"Of {name} only records of which {words}."
        else:
            yield f"Of {name} every record."


def _safety(spec: SyncSpec, app: ConnectedApp) -> Iterator[str]:
    said = {
        "ignore": "A record deleted on one side is left as it is on the other.",
        "ask": "A record deleted on one side is archived on the other once a person "
        "approved it.",
        "propagate": "A record deleted on one side is archived on the other.",
    }
    yield said[spec.deletes]
    if spec.hard_delete:
        yield "What cannot be archived is deleted for good, each once approved."
    words = {
        "create": "{} records created",
        "update": "{} records updated",
        "archive": "{} records archived",
        "unlink": "{} links removed",
        "blank": "{} values emptied",
        "percent": "{} % of the pairs changed",
    }
    capped = [
        words[name].format(most)
        for name in limits.DEFAULTS
        if (most := limits.most(spec.limits, name)) is not None
    ]
    yield (
        f"A run that would go over {', '.join(capped)} is held for a person."
        if capped
        else "No limit holds a run."
    )


def _schedule(spec: SyncSpec) -> Iterator[str]:
    from associations.handover.syncs import span

    every = f"every {span(spec.every_s)}" if spec.every_s else "by hand only"
    yield f"Runs {every}."
    yield (
        f"All links are looked at every {span(spec.sweep_every_s)}, all records every "
        f"{span(spec.full_every_s)}."
    )
