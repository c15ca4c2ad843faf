"""A sync's association mappings, ready to plan with, by pair of HubSpot objects."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

from associations.engine.edges import MappingRule
from associations.engine.types import PRIMARIES, plain_type
from associations.models import AssociationMapping, By
from associations.models import AssociationType as StoredType
from associations.prerequisites import target_off
from associations.run.awaiting import note_targets_off
from associations.run.ends import AppEnd, ReferenceEnd
from associations.run.join_tables import JoinTableEnd, LabelMap
from associations.run.key_ends import KeyEnd
from associations.run.troubles import forget_links, rest_links
from associations.run.types import far_object, missing, refresh_due, say
from connections import schemas
from connections.catalogue import Code
from connections.records import (
    AssociationType,
    AssociationTypeInfo,
    Field,
    LinkTable,
    Side,
)
from syncs.models import ObjectSync
from syncs.models.choices import Direction
from syncs.run.session import Session, match_keys

LABEL_LENGTH = 120  # characters that a change stores


@dataclass(frozen=True, slots=True)
class Mapped:
    """One association mapping of the sync at work."""

    row: AssociationMapping
    rule: MappingRule
    end: AppEnd
    label: str

    @property
    def key(self) -> str:
        return self.rule.key

    @property
    def rule_now(self) -> MappingRule:
        """The rule, with what reading the app's side has shown."""
        return replace(self.rule, single=True) if self.end.single else self.rule


@dataclass
class Looked:
    """What this run found out of a pair's types: whether they were read again since a
    label's links vanished, and the mappings that miss theirs by now."""

    again: bool = False
    lost: set[str] = field(default_factory=set)
    # Types between records of one object: whether both ends see them alike.
    alike: dict[AssociationType, bool] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Pair:
    """The mappings that share one pair of HubSpot objects and one target sync."""

    from_object: str
    to_object: str
    to_sync: ObjectSync
    plain: AssociationType
    mappings: tuple[Mapped, ...]
    looked: Looked = field(default_factory=Looked)

    def mapped(self, key: str) -> Mapped:
        return next(m for m in self.mappings if m.key == key)


def discovered(
    account_id: int, from_object: str, to_object: str
) -> tuple[AssociationTypeInfo, ...]:
    """The association types of one direction as last read from the account."""
    rows = StoredType.objects.filter(
        account=account_id, from_object=from_object, to_object=to_object, gone_at=None
    )
    return tuple(row.info for row in rows)


def _narrowed(mapping: AssociationMapping, sync: ObjectSync) -> str:
    return mapping.direction or sync.direction


def load_pairs(
    session: Session, rows: Sequence[AssociationMapping]
) -> tuple[Pair, ...]:
    """The sync's mappings that can work; what cannot is logged with its remedy."""
    grouped: dict[tuple[str, int], list[AssociationMapping]] = {}
    off_targets: set[int] = set()
    if session.run.pk:
        refresh_due(session, rows)
    for row in rows:
        if session.run.pk:  # who only looks turns nothing
            _turn(row, _narrowed(row, session.sync))
        # What a person takes back may well be of syncs that were turned off for it.
        off = target_off(row)
        undoes = session.run.undo_of_id is not None
        if off is not None:
            off_targets.add(row.to_sync_id)
        if off is not None and not (undoes and row.to_sync.set_up):
            say(session, off.code, f"{off.text} {off.remedy}")
        elif text := missing(session, row):
            say(session, Code.TYPE_UNKNOWN, text)
        else:
            key = far_object(session, row), row.to_sync_id
            grouped.setdefault(key, []).append(row)
    note_targets_off(session, off_targets)
    return tuple(
        _pair(session, to_object, rows) for (to_object, _), rows in grouped.items()
    )


def _turn(row: AssociationMapping, direction: str) -> None:
    """Begin a mapping whose direction changed as a first sync.

    A link that was taken off the side that is only written was left so; it must not go
    from the other side because the direction is wider now.
    """
    if row.links_direction == direction:
        return
    if row.links_direction:
        forget_links(row)
    row.links_direction = direction
    row.save(update_fields=["links_direction"])


def _pair(session: Session, to_object: str, rows: Sequence[AssociationMapping]) -> Pair:
    sync = session.sync
    from_object = session.object_on(Side.HUBSPOT).id
    known = discovered(sync.app.hubspot_id, from_object, to_object)
    plain = plain_type(from_object, to_object, known)
    mappings = []
    for row in rows:
        end = _end(session, row, plain)
        if end is None:
            continue
        types = row.types
        rule = MappingRule(
            key=str(row.pk),
            type=types[0],
            kind=kind_of(types, plain),
            also=frozenset(types[1:]),
            many=end.many,
            direction=_narrowed(row, sync),
            conflict=row.conflict
            or (sync.conflict if sync.conflict != "latest" else "hubspot"),
            on_unlink=row.on_unlink,
        )
        if isinstance(end, JoinTableEnd) and end.map is not None:
            rule = _of_labels(rule, end, end.map)
        mappings.append(Mapped(row, rule, end, _label(row, types, plain, known)))
    return Pair(
        from_object=from_object,
        to_object=to_object,
        to_sync=rows[0].to_sync,
        plain=plain or AssociationType("HUBSPOT_DEFINED", 0),
        mappings=tuple(mappings),
    )


def _of_labels(rule: MappingRule, end: JoinTableEnd, labels: LabelMap) -> MappingRule:
    ranked = tuple(dict.fromkeys(labels.types.values()))
    return replace(
        rule,
        type=labels.plain,
        kind="labels",
        also=frozenset(ranked),
        ranked=ranked,
    )


def _end(
    session: Session,
    row: AssociationMapping,
    plain: AssociationType | None,
) -> AppEnd | None:
    """The app's side of a mapping; None, and said so, where it is not there any more."""
    if row.by == By.JOIN_TABLE:
        return _join_table(session, row, plain)
    return _reference(session, row)


def _join_table(
    session: Session, row: AssociationMapping, plain: AssociationType | None
) -> JoinTableEnd:
    far = schemas.load_object(session.sync.app, row.to_sync.app_object)
    table = LinkTable(
        row.app_field,
        session.object_on(Side.APP).id,
        far.id,
        row.join_from,
        row.join_to,
        row.join_label,
    )
    nothing = AssociationType("HUBSPOT_DEFINED", 0)
    labels = LabelMap(plain or nothing, row.label_types) if row.join_label else None
    return JoinTableEnd(row, table, labels)


def _reference(session: Session, row: AssociationMapping) -> ReferenceEnd | None:
    obj = session.object_on(Side.APP)
    if row.by == By.MATCH_KEY:
        field = obj.field(row.app_field)
        if field is not None:
            return _key_end(session, row, field)
    elif (reference := obj.reference(row.app_field)) is not None:
        return ReferenceEnd(reference)
    what = "field" if row.by == By.MATCH_KEY else "reference"
    text = f"{obj.name} has no {what} {row.app_field} any more."
    say(session, Code.FIELD_MISSING, text)
    if not session.run.dry_run:
        rest_links(row)
    return None


def _key_end(session: Session, row: AssociationMapping, field: Field) -> KeyEnd | None:
    """A field that holds the target's first key; None, and said so, where that is none."""
    keys = match_keys(row.to_sync)
    far = schemas.load_object(session.sync.app, row.to_sync.app_object)
    far_field = far.field(keys[0][0].app) if keys and len(keys[0]) == 1 else None
    if far_field is None:
        say(
            session,
            Code.TARGET_NOT_MATCHED,
            f"{row.app_field}: {row.to_sync.name} has no first match key of one field "
            "any more, by which its records could be named.",
        )
        return None
    return KeyEnd(row, field, keys[0][0], far_field)


def kind_of(types: Sequence[AssociationType], plain: AssociationType | None) -> str:
    """What a mapping's types make of it: the plain one owns the pair."""
    if plain in types:
        return "default"
    return "primary" if any(t in PRIMARIES for t in types) else "label"


def _label(
    row: AssociationMapping,
    types: Sequence[AssociationType],
    plain: AssociationType | None,
    known: Iterable[AssociationTypeInfo],
) -> str:
    """How changes name what they write, such as "companies · Decision maker"."""
    texts = {AssociationType(i.category, i.type_id): i.label for i in known}
    words = [
        kind if (kind := kind_of([t], plain)) != "label" else texts.get(t) or t.type_id
        for t in types
    ]
    shown = f"{row.to_sync.hubspot_object} · {', '.join(map(str, words))}"
    return shown if len(shown) <= LABEL_LENGTH else f"{shown[: LABEL_LENGTH - 1]}…"


def writes_app(mapped: Mapped) -> bool:
    return mapped.rule.direction in (Direction.TWO_WAY, Direction.TO_APP)
