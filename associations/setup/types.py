"""Which association types a mapping means: by word, by label or by id, one or a list."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from associations.engine.types import ONE_PRIMARY, plain_type, primary_type
from associations.setup.problems import hint
from associations.setup.spec import AssociationChoice
from connections.catalogue import Code
from connections.connectors.base import SchemaError
from connections.records import AssociationType, AssociationTypeInfo

PRIMARY, DEFAULT = "primary", "default"
Types = Sequence[AssociationTypeInfo]


class UnknownLabel(SchemaError):
    """No label of this text, seen from this object: it may be made."""

    def __init__(self, message: str, label: str) -> None:
        super().__init__(message, code=Code.TYPE_UNKNOWN)
        self.label = label


def find_types(
    chosen: AssociationChoice,
    from_object: str,
    to_object: str,
    known: Types,
    *,
    many: bool,
) -> tuple[AssociationType, ...]:
    """The association types that a mapping means, in the order in which it names them.

    Args: chosen, "primary", "default", a label's text, {"category", "id"}, a list of
        these, or "" for primary where the pair of objects has one and the field holds one
        record, else default; both objects by type id; known, what the account lists for
        links from the one to the other.
    Raises: SchemaError (TYPE_UNKNOWN) with a sentence that says what there is instead;
        UnknownLabel where a label could be made.
    """
    primary = primary_type(from_object, to_object)
    if chosen == "":
        listed = {AssociationType(i.category, i.type_id) for i in known}
        chosen = PRIMARY if primary in listed and not many else DEFAULT
    words = chosen if isinstance(chosen, list | tuple) else [chosen]
    found = [_find(word, from_object, to_object, known) for word in words]
    if many and (led := ONE_PRIMARY.intersection(found)):
        raise _unknown(
            "A record has one primary link, and this field holds several: use default or "
            f"a label instead of {', '.join(_shown(t, known) for t in led)}."
        )
    for at, type_ in enumerate(found):
        if type_ in found[:at]:
            raise _unknown(f"{_shown(type_, known)} is named twice.")
    return tuple(found)


def _find(
    chosen: AssociationChoice, from_object: str, to_object: str, known: Types
) -> AssociationType:
    listed = {AssociationType(i.category, i.type_id) for i in known}
    if chosen == PRIMARY:
        primary = primary_type(from_object, to_object)
        if primary is None or primary not in listed:
            raise _unknown(
                f"HubSpot has no primary link from {from_object} to {to_object}; use default."
            )
        return primary
    if chosen == DEFAULT:
        plain = plain_type(from_object, to_object, known)
        if plain is None:
            raise _unknown(
                f"HubSpot offers no links from {from_object} to {to_object}."
            )
        return plain
    if isinstance(chosen, str):
        return _labelled(chosen, from_object, to_object, known)
    assert not isinstance(chosen, list), "one of a list"
    asked = AssociationType(str(chosen["category"]), int(chosen["id"]))
    if asked not in listed:
        raise _unknown(
            f"HubSpot lists no association type {asked.category} {asked.type_id} from "
            f"{from_object} to {to_object}.{_labels_hint('', known)}"
        )
    return asked


def _labelled(
    label: str, from_object: str, to_object: str, known: Types
) -> AssociationType:
    """The type with a label, letter case ignored where that leaves one."""
    named = [(i, (i.label or "").strip()) for i in known]
    found = [i for i, text in named if text == label]
    if not found:
        found = [i for i, text in named if text.casefold() == label.casefold()]
    if not found:
        raise UnknownLabel(
            f"HubSpot has no label {label!r} from {from_object} to {to_object}."
            f"{_labels_hint(label, known)}",
            label,
        )
    if len(found) > 1:
        each = "; ".join(
            f"{i.label!r} is {{category: {i.category}, id: {i.type_id}}}" for i in found
        )
        raise _unknown(f"{label!r} means several labels, name one by its id: {each}.")
    return AssociationType(found[0].category, found[0].type_id)


def _labels_hint(label: str, known: Types) -> str:
    labels = {i.label for i in known if i.label}
    return hint(label, {*labels, PRIMARY, DEFAULT} if label else labels)


def choice_of(type_: AssociationType, known: Iterable[AssociationTypeInfo]) -> object:
    """How a set-up file writes a labelled type: its text, where that means only it."""
    infos = list(known)
    texts = {(i.category, i.type_id): (i.label or "").strip() for i in infos}
    text = texts.get((type_.category, type_.type_id), "")
    same = [t for t in texts.values() if t.casefold() == text.casefold()]
    if text and len(same) == 1 and text not in (PRIMARY, DEFAULT):
        return text
    return {"category": type_.category, "id": type_.type_id}


def _shown(type_: AssociationType, known: Types) -> str:
    for info in known:
        if (info.category, info.type_id) == (type_.category, type_.type_id):
            return repr(info.label or DEFAULT)
    return f"{type_.category} {type_.type_id}"


def _unknown(text: str) -> SchemaError:
    return SchemaError(text, code=Code.TYPE_UNKNOWN)
