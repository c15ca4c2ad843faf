"""Join tables in a set-up file: read, and checked against what the app has."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from associations.setup.keys import Keys, shown
from associations.setup.labels import HOW, MissingLabel
from associations.setup.problems import Problem, Problems, hint, key_path
from associations.setup.spec import AssociationChoice, AssociationSpec, JoinSpec
from associations.setup.types import UnknownLabel, find_types
from connections.connectors.base import ConnectorError
from connections.records import (
    AssociationType,
    AssociationTypeInfo,
    JoinTable,
    LinkTable,
    ObjectType,
    Schema,
    TableReport,
)

JOIN_KEYS = ("name", "from", "to", "label")
Look = Callable[[LinkTable], TableReport]
Labels = tuple[tuple[str, AssociationChoice], ...]


# Read ------------------------------------------------------------------------------------


def read_join(keys: Keys, problems: Problems) -> JoinSpec | None:
    inner = keys.map("join_table", "join_table", JOIN_KEYS)
    if inner is None:
        return None
    if keys.given("app_field"):
        keys.bad("app_field", "Give app_field or join_table, not both.")
    return JoinSpec(
        name=inner.required("name"),
        from_columns=_columns(inner, "from"),
        to_columns=_columns(inner, "to"),
        label=inner.text("label"),
    )


def _columns(keys: Keys, name: str) -> str:
    """One column, or several: those of a composite key, by commas or in a list."""
    if isinstance(keys.tree.get(name), list):
        return ",".join(text.strip() for text in keys.texts(name))
    return ",".join(part.strip() for part in keys.text(name).split(","))


def read_labels(
    keys: Keys,
    join: JoinSpec | None,
    problems: Problems,
    one: Callable[[Any, str, Problems], AssociationChoice],
) -> Labels:
    """Args: one, reads what a single type is called."""
    tree = keys.tree.get("labels")
    if tree is None:
        if join is not None and join.label:
            text = f"labels is missing: which label each value of {join.label} means."
            keys.bad("labels", text)
        return ()
    if join is None or not join.label:
        keys.bad("labels", "labels goes with a join_table that has a label column.")
        return ()
    if not isinstance(tree, dict) or not tree:
        keys.bad(
            "labels", f"labels must be a map of values to labels, not {shown(tree)}."
        )
        return ()
    if keys.given("type"):
        keys.bad("type", "labels says the type by value: leave type out.")
    found: dict[str, AssociationChoice] = {}
    for key, word in tree.items():
        value = str(key).lower() if isinstance(key, bool) else str(key)
        path = key_path(keys.at("labels"), value)
        if not value.strip():
            problems.add(path, "A blank value is a plain link: leave it out.")
        elif isinstance(word, list):
            problems.add(path, "A value means one label, not a list.")
        elif value in found:
            problems.add(path, f"{value} is named twice.")
        elif choice := one(word, path, problems):
            found[value] = choice
    return tuple(found.items())


# Check -----------------------------------------------------------------------------------


def check_join(
    link: AssociationSpec,
    app: Schema,
    ends: tuple[ObjectType, ObjectType],
    look: Look | None,
    problems: Problems,
    *,
    writes: bool,
) -> JoinSpec | None:
    """Complete a join table and look whether it can serve.

    Args: ends, the app's near and far object; look, asks the app about a table (None: its
        kind has none); writes, whether links are written to the app.
    """
    join, path = link.join, f"{link.path}.join_table"
    assert join is not None
    if look is None:
        problems.add(path, "This kind of app has no join tables.")
        return None
    known = next((t for t in app.join_tables if t.name == join.name), None)
    join = _completed(join, known, ends, path, problems)
    if join is None:
        return None
    near, far = ends
    spec = LinkTable(
        join.name, near.id, far.id, join.from_columns, join.to_columns, join.label
    )
    try:
        report = look(spec)
    except ConnectorError as exc:
        problems.add(path, f"{exc.code}: {exc.message} {exc.remedy}")
        return None
    faults = [f for f in report.faults if writes or not f.writing]
    for fault in faults:
        offered = _offered(fault.part, app, known, join.name)
        text = f"{fault.code}: {fault.text}"
        if fault.part != "name" or app.object(join.name) is None:
            text += hint(_named(join, fault.part), offered)
        if fault.writing:
            text += " Or use direction: to_hubspot."
        problems.add(f"{path}.{fault.part}", text)
    _check_values(link, app.object(join.name), problems)
    return None if faults else join


def _named(join: JoinSpec, part: str) -> str:
    return {"from": join.from_columns, "to": join.to_columns, "label": join.label}.get(
        part, join.name
    )


def _offered(
    part: str, app: Schema, known: JoinTable | None, name: str
) -> Sequence[str]:
    if part == "name":
        return [t.name for t in app.join_tables] or [o.name for o in app.objects]
    if part in ("from", "to") and known is not None:
        return [r.name for r in known.references]
    obj = app.object(name)
    return [] if obj is None else [f.name for f in obj.fields]


def _completed(
    join: JoinSpec,
    known: JoinTable | None,
    ends: tuple[ObjectType, ObjectType],
    path: str,
    problems: Problems,
) -> JoinSpec | None:
    """The columns, where they are left out, by what the foreign keys point to."""
    found = {"from": join.from_columns, "to": join.to_columns}
    for part, end in zip(found, ends, strict=True):
        if found[part]:
            continue
        references = known.references if known is not None else ()
        others = {columns for p, columns in found.items() if p != part}
        fits = [r.name for r in references if r.target == end.id]
        fits = [name for name in fits if name not in others]
        if len(fits) != 1:
            text = f"{part} is missing: the column that points to {end.name}."
            problems.add(f"{path}.{part}", text)
            return None
        found[part] = fits[0]
    return replace(join, from_columns=found["from"], to_columns=found["to"])


def _check_values(
    link: AssociationSpec, table: ObjectType | None, problems: Problems
) -> None:
    """A column of fixed options never holds another value."""
    join = link.join
    field = table.field(join.label) if table is not None and join is not None else None
    options = [o.value for o in field.options] if field is not None else []
    for value, _ in link.labels if options else ():
        if value not in options:
            path = key_path(f"{link.path}.labels", value)
            assert join is not None
            text = f"{join.label} has no option {value!r}.{hint(value, options)}"
            problems.add(path, text)


def find_labels(
    link: AssociationSpec,
    from_object: str,
    to_object: str,
    known: Sequence[AssociationTypeInfo],
    problems: Problems,
    missing: list[MissingLabel],
    more: str = "",
) -> dict[str, AssociationType]:
    """The type that each value means.

    Args: missing, takes the labels that could be made; more, to add where one is not
        known, and cannot be made.
    """
    found: dict[str, AssociationType] = {}
    for value, word in link.labels:
        try:
            (found[value],) = find_types(
                word, from_object, to_object, known, many=False
            )
        except ConnectorError as exc:
            makes = isinstance(exc, UnknownLabel) and not more
            text = f"{exc.code}: {exc.message}{f' {HOW}' if makes else more}"
            problem = Problem(key_path(f"{link.path}.labels", value), text)
            problems.add(problem.path, problem.text)
            if makes and isinstance(exc, UnknownLabel):
                ends = from_object, to_object
                missing.append(MissingLabel(problem, *ends, exc.label))
    return found


def columns_of(
    link: AssociationSpec, join: JoinSpec, types: Mapping[str, AssociationType]
) -> dict[str, Any]:
    """What a mapping's row holds of a join table."""
    return {
        "by": "join_table",
        "join_from": join.from_columns,
        "join_to": join.to_columns,
        "join_label": join.label,
        "labels": list(_labels(link, types)),
    }


def _labels(
    link: AssociationSpec, types: Mapping[str, AssociationType]
) -> Iterator[list[Any]]:
    for value, word in link.labels:
        kept = dict(word) if isinstance(word, Mapping) else word
        yield [value, kept, types[value].category, types[value].type_id]
