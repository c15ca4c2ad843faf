"""Records: writing them, finding them, and what search is told about them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from connections.sandbox.clock import Clock, iso
from connections.sandbox.hubspot.catalogue import Catalogue
from connections.sandbox.hubspot.errors import conflict, invalid, not_found
from connections.sandbox.hubspot.fields import STAGED
from connections.sandbox.hubspot.kinds import COMPANIES, CONTACTS, Kind
from connections.sandbox.hubspot.store import Store, dump
from connections.sandbox.hubspot.switches import Switches
from connections.sandbox.hubspot.values import EMAIL, Refusal, clean, refused

Json = dict[str, Any]
COLUMNS = "id, properties, created, updated, archived"


@dataclass(slots=True)
class Record:
    """One row: values as kept (blanks left out), times in milliseconds."""

    kind: Kind
    id: int
    values: dict[str, str]
    created: int
    updated: int
    archived: int | None = None

    @classmethod
    def of(cls, kind: Kind, row: tuple[Any, ...]) -> Record:
        return cls(kind, row[0], json.loads(row[1]), *row[2:5])


class Records:
    """The records of one account."""

    def __init__(
        self, store: Store, catalogue: Catalogue, switches: Switches, clock: Clock
    ) -> None:
        self._store = store
        self._catalogue = catalogue
        self._switches = switches
        self._clock = clock

    # Finding

    def find(self, kind: Kind, record_id: int, *, archived: bool = False) -> Record:
        """Return a live (or else an archived) record.

        Raises: ApiError 404.
        """
        row = self._store.one(
            f"SELECT {COLUMNS} FROM record WHERE kind = ? AND id = ?",
            kind.type_id,
            record_id,
        )
        if row is None or (row[4] is not None) != archived:
            raise not_found()
        return Record.of(kind, row)

    def survivor(self, kind: Kind, record_id: int) -> int:
        """Return the id that a merged-away id now stands for, else the id itself."""
        row = self._store.one(
            "SELECT new FROM merged WHERE kind = ? AND old = ?", kind.type_id, record_id
        )
        return int(row[0]) if row else record_id

    def id_of(self, kind: Kind, word: object, id_property: str | None) -> int | None:
        """Return the id that a path or an input names, None for one that cannot be.

        Raises: ApiError 400 if the property is not a unique one.
        """
        if id_property in (None, "", "hs_object_id"):
            text = str(word)
            return int(text) if text.isascii() and text.isdigit() else None
        if id_property not in self._catalogue.unique_names(kind):
            raise invalid(
                f"{id_property} is not a unique property of {kind.plural}",
                "INVALID_UNIQUE_PROPERTY",
                propertyName=[str(id_property)],
            )
        return self.owner_of(kind, id_property or "", str(word))

    def owner_of(self, kind: Kind, name: str, value: str) -> int | None:
        """Return the live record that holds a unique value."""
        row = self._store.one(
            "SELECT id FROM unique_value WHERE kind = ? AND name = ? AND value = ?",
            kind.type_id,
            name,
            value.strip().lower() if name == "email" else value,
        )
        return None if row is None else int(row[0])

    # Writing

    def create(self, kind: Kind, written: Mapping[str, object]) -> Record:
        """Add a record.

        Raises: ApiError 400 for values, 409 for a unique value that is taken.
        """
        values = self.cleaned(kind, written, {})
        for group in self._catalogue.required(kind):
            if not any(name in values for name in group):
                raise refused(
                    {name: _required(name) for name in group[:1]},
                )
        if kind.type_id == CONTACTS and self._blocked(values.get("email")):
            raise invalid("Contact is blocked by a privacy deletion", "BLOCKED_EMAIL")
        if kind.type_id == COMPANIES and self._switches["domain_unique"]:
            self._refuse_taken_domain(values.get("domain"))
        now = self._clock.now_ms()
        record = Record(kind, self._store.new_id(kind.type_id), values, now, now)
        self._claim(record)
        self.put(record)
        return record

    def update(self, record: Record, written: Mapping[str, object]) -> Record:
        """Change some values of a live record.

        Raises: ApiError 400 for values, 409 for a unique value that is taken.
        """
        changed = self.cleaned(record.kind, written, record.values)
        after = {name: v for name, v in record.values.items() if name not in written}
        after |= changed
        if after == record.values and not self._switches["equal_write_moves_date"]:
            return record
        before, record.values = record.values, after
        self._release(record)
        self._claim(record)
        self.touch(record)
        self._remember(record, before)
        return record

    def _remember(self, record: Record, before: Mapping[str, str]) -> None:
        """Keep what changed; a property that never did has its creation's value."""
        at = (record.kind.type_id, record.id)
        for name in {*before, *record.values}:
            old, new = before.get(name, ""), record.values.get(name, "")
            if old != new:
                self._store.run(
                    "INSERT OR IGNORE INTO history VALUES (?, ?, ?, ?, ?)",
                    *(*at, name, record.created, old),
                )
                self._store.run(
                    "REPLACE INTO history VALUES (?, ?, ?, ?, ?)",
                    *(*at, name, record.updated, new),
                )

    def history(self, record: Record, name: str) -> list[Json]:
        """Return a property's values, the newest first."""
        rows = self._store.all(
            "SELECT value, at FROM history WHERE kind = ? AND id = ? AND name = ? "
            "ORDER BY at DESC",
            record.kind.type_id,
            record.id,
            name,
        )
        if not rows and name in record.values:
            rows = [(record.values[name], record.created)]
        return [
            {"value": value, "timestamp": iso(at), "sourceType": "INTEGRATION"}
            for value, at in rows
        ]

    def touch(self, record: Record) -> None:
        """Store a record with a new modified date, later than its last."""
        record.updated = max(self._clock.now_ms(), record.updated + 1)
        self.put(record)

    def put(self, record: Record) -> None:
        """Store a live record; search sees it after its lag."""
        row = (
            record.kind.type_id,
            record.id,
            dump(record.values),
            record.created,
            record.updated,
        )
        self._store.run("REPLACE INTO record VALUES (?, ?, ?, ?, ?, NULL)", *row)
        self._store.run(
            "INSERT INTO search_pending "
            "(written, kind, id, properties, created, updated) VALUES (?,?,?,?,?,?)",
            self._clock.now_ms(),
            *row,
        )

    def archive(self, kind: Kind, record_id: int) -> None:
        """Archive a record; one that is not there is no error."""
        self._store.run(
            "UPDATE record SET archived = ? WHERE kind = ? AND id = ? "
            "AND archived IS NULL",
            self._clock.now_ms(),
            kind.type_id,
            record_id,
        )
        self.hide(kind, record_id)

    def restore(self, kind: Kind, record_id: int) -> Record:
        """Bring an archived record back, as a person does in the recycling bin.

        Raises: ApiError 404, or 409 if a unique value was taken meanwhile.
        """
        record = self.find(kind, record_id, archived=True)
        record.archived = None
        self._claim(record)
        self.touch(record)
        return record

    def remove(self, kind: Kind, record_id: int) -> None:
        """Remove a record without a trace (links are the caller's)."""
        self._store.run(
            "DELETE FROM record WHERE kind = ? AND id = ?", kind.type_id, record_id
        )
        self.hide(kind, record_id)

    def hide(self, kind: Kind, record_id: int) -> None:
        """Take a record out of search, and free its unique values."""
        for table in ("search_row", "search_pending", "unique_value"):
            self._store.run(
                f"DELETE FROM {table} WHERE kind = ? AND id = ?",
                kind.type_id,
                record_id,
            )

    # Values

    def cleaned(
        self, kind: Kind, written: Mapping[str, object], current: Mapping[str, str]
    ) -> dict[str, str]:
        """Return the written values as they are kept, blanks left out.

        Raises: ApiError 400 naming every value that is refused.
        """
        known = self._catalogue.properties(kind)
        owners = self._catalogue.owners()
        values: dict[str, str] = {}
        refusals: dict[str, Refusal] = {}
        for name, raw in written.items():
            try:
                if name not in known:
                    raise Refusal(
                        "PROPERTY_DOESNT_EXIST", f'Property "{name}" does not exist'
                    )
                value = clean(known[name], raw, current.get(name), owners)
                if value is not None:
                    values[name] = value
            except Refusal as refusal:
                refusals[name] = refusal
        stage = self._wrong_stage(kind, {**current, **values})
        if stage and not refusals:
            refusals = {STAGED[kind.type_id][1]: stage}
        if refusals:
            raise refused(refusals)
        return values

    def _wrong_stage(self, kind: Kind, values: Mapping[str, str]) -> Refusal | None:
        """Why a stage cannot be: it is one of another pipeline."""
        if kind.type_id not in STAGED:
            return None
        pipeline, stage = (values.get(name) for name in STAGED[kind.type_id])
        _, known = self._catalogue.pipelines(kind).get(pipeline or "", ("", ()))
        if not pipeline or not stage or stage in known:
            return None
        return Refusal(
            "INVALID_OPTION",
            f"{stage} was not one of the allowed options: {sorted(known)}",
        )

    def unique_values(self, record: Record) -> list[tuple[str, str]]:
        """Return the (property, value) pairs that no other record may hold."""
        return unique_values(record.values, self._catalogue.unique_names(record.kind))

    def _claim(self, record: Record) -> None:
        for name, value in self.unique_values(record):
            holder = self.owner_of(record.kind, name, value)
            if holder is not None and holder != record.id:
                raise _taken(record.kind, name, value, holder)
            self._store.run(
                "REPLACE INTO unique_value VALUES (?, ?, ?, ?)",
                record.kind.type_id,
                name,
                value,
                record.id,
            )

    def _release(self, record: Record) -> None:
        self._store.run(
            "DELETE FROM unique_value WHERE kind = ? AND id = ?",
            record.kind.type_id,
            record.id,
        )

    def _blocked(self, email: str | None) -> bool:
        row = self._store.one("SELECT 1 FROM blocked WHERE email = ?", email or "")
        return row is not None

    def _refuse_taken_domain(self, domain: str | None) -> None:
        row = self._store.one(
            "SELECT id FROM record WHERE kind = ? AND archived IS NULL "
            "AND json_extract(properties, '$.domain') = ?",
            COMPANIES,
            domain,
        )
        if row:
            raise conflict(f"Company already exists. Existing ID: {row[0]}")


def unique_values(values: Mapping[str, str], names: list[str]) -> list[tuple[str, str]]:
    """Return the (property, value) pairs of values that must be unique."""
    pairs = [(name, values[name]) for name in names if name in values]
    if "email" in names:
        more = values.get("hs_additional_emails", "").lower().split(";")
        pairs += [("email", e.strip()) for e in more if EMAIL.fullmatch(e.strip())]
    return list(dict.fromkeys(pairs))


def _required(name: str) -> Refusal:
    return Refusal("REQUIRED_FIELD", f'"{name}" is required to create this object')


def _taken(kind: Kind, name: str, value: str, holder: int) -> Exception:
    if name == "email" and kind.type_id == CONTACTS:
        return conflict(f"Contact already exists. Existing ID: {holder}")
    return conflict(
        f"Cannot set PropertyValueCoordinates{{objectType={kind.type_id}, "
        f"propertyName={name}, value={value}}} on a new object. "
        f"{holder} already has that value.",
        propertyName=[name],
    )


def shown(
    record: Record,
    names: list[str] | tuple[str, ...],
    extra: Json | None = None,
    *,
    unset: object = "null",
) -> Json:
    """Return a record as answers carry it.

    Args: names, the properties to show; extra, values that are worked out at reading
        (roll-ups); unset, whether properties without a value are "null" or "left_out".
    """
    system = {
        "hs_object_id": str(record.id),
        record.kind.created: iso(record.created),
        record.kind.modified: iso(record.updated),
    }
    values = record.values | (extra or {}) | system
    properties = {name: values.get(name) for name in names}
    if unset == "left_out":
        properties = {n: value for n, value in properties.items() if value is not None}
    body: Json = {
        "id": str(record.id),
        "properties": properties,
        "createdAt": iso(record.created),
        "updatedAt": iso(record.updated),
        "archived": record.archived is not None,
    }
    if record.archived is not None:
        body["archivedAt"] = iso(record.archived)
    return body
