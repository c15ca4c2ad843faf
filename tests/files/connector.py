"""Each folder is an object type, each JSON file in it a record, `fields.json` its fields.

A file's name is the record's id; what it holds is canonical already, and a reference is a
list of ids. Nothing here knows of HubSpot, of runs or of our database.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar
from uuid import uuid4

from connections.catalogue import Code
from connections.connectors.base import Context, ScopeError, SetupError, TransientError
from connections.connectors.merging import three_way
from connections.connectors.plain import PlainConnector
from connections.records import (
    Capabilities,
    Draft,
    Fetched,
    Field,
    ObjectType,
    Option,
    Outcome,
    Page,
    Patch,
    Record,
    Reference,
    ReferenceField,
    Report,
    Schema,
    ValueType,
    Want,
    Window,
    same_system,
)
from tests.files.values import Refused, check

Item = TypeVar("Item")
BATCH = 100  # files that count as one call
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
CHANGED = Field("modified", ValueType.DATETIME, read_only=True)


class FilesConnector(PlainConnector):
    """The folders in one folder.

    Args: settings, `folder`.
    Raises: SetupError without one, or where it is another than the caller's.
    """

    kind = "files"
    capabilities = Capabilities(
        write_batch=BATCH,
        fetch_batch=BATCH,
        changes=True,
        deletes=True,
        undo_create="A file that was made is deleted by hand.",
    )

    def __init__(
        self,
        settings: Mapping[str, Any],
        credentials: Mapping[str, Any],
        context: Context,
    ) -> None:
        self._folder, self._context = Path(str(settings.get("folder") or "")), context
        if not settings.get("folder"):
            raise SetupError("The setting folder is missing.")

    # Who and what ----------------------------------------------------------------------

    def test(self) -> Report:
        self._call()
        return Report(f"Folder {self._folder.name}", system=self._system())

    def _call(self) -> None:
        """Count a call, and see that the folder is there and the one it was."""
        self._context.meter.count()
        try:
            next(self._folder.iterdir(), None)
        except PermissionError as exc:
            raise ScopeError(f"{self._folder} may not be read.") from exc
        except OSError as exc:
            raise TransientError(f"{self._folder} cannot be reached.") from exc
        if not same_system(self._system(), self._context.system):
            raise SetupError(
                "The folder is another than the one whose files are paired."
            )

    def _system(self) -> str:
        """The folder by itself: it may be moved or mounted elsewhere."""
        found = self._folder.stat()
        return f"files-{found.st_dev}-{found.st_ino}"

    def discover(self) -> Schema:
        self._call()
        found = sorted(p.parent.name for p in self._folder.glob("*/fields.json"))
        return Schema(tuple(self._object(name) for name in found))

    def describe(
        self, obj: ObjectType, names: Collection[str] = ()
    ) -> ObjectType | None:
        self._call()
        here = (self._folder / obj.id / "fields.json").exists()
        return self._object(obj.id) if here else None

    def _object(self, name: str) -> ObjectType:
        given = json.loads((self._folder / name / "fields.json").read_text())
        plain = {n: d for n, d in given.items() if d["type"] != "reference"}
        return ObjectType(
            name,
            name,
            fields=(*(_field(n, d) for n, d in plain.items()), CHANGED),
            references=tuple(
                ReferenceField(n, d["target"], many=d.get("many", False))
                for n, d in given.items()
                if n not in plain
            ),
            display_field=next(iter(plain)),
            changed_field=CHANGED.name,
        )

    # Read ------------------------------------------------------------------------------

    def pages(
        self, obj: ObjectType, want: Want, cursor: str | None = None
    ) -> Iterator[Page]:
        """Read by id; `cursor` is the last id of a page, so that none shifts another."""
        while True:
            self._call()
            now = datetime.now(UTC)
            left = [i for i in self._ids(obj) if i > (cursor or "")]
            records = [r for i in left[:BATCH] if (r := self._read(obj, i, want))]
            cursor = left[BATCH - 1] if len(left) > BATCH else None
            yield Page(tuple(records), cursor, now)
            if cursor is None:
                return

    def changed(
        self,
        obj: ObjectType,
        want: Want,
        *,
        after: datetime,
        until: datetime | None = None,
    ) -> Iterator[Page]:
        for page in self.pages(obj, want):
            inside = [
                r
                for r in page.records
                if r.modified_at is not None
                and after < r.modified_at
                and (until is None or r.modified_at <= until)
            ]
            yield Page(tuple(inside), read_at=page.read_at)

    def window(
        self, obj: ObjectType, want: Want, *, after: datetime, until: datetime
    ) -> Window:
        pages = self.changed(obj, Want(), after=after, until=until)
        found = {r.id: r.modified_at for page in pages for r in page.records}
        stamps = sum(
            (at - EPOCH) // timedelta(microseconds=1) for at in found.values() if at
        )
        return Window(len(found), stamps, found)

    def created_since(
        self, obj: ObjectType, want: Want, since: datetime
    ) -> Iterator[Page]:
        """Every record: a file system need not know when a file was made."""
        return self.pages(obj, want)

    def fetch(self, obj: ObjectType, ids: Sequence[str], want: Want) -> Fetched:
        """A file that is there and cannot be read is neither found nor gone."""
        records: dict[str, Record] = {}
        gone = set()
        asked = list(dict.fromkeys(ids))
        for start in range(0, len(asked), BATCH):
            self._call()
            for record_id in asked[start : start + BATCH]:
                record = self._read(obj, record_id, want)
                if record is not None:
                    records[record_id] = record
                elif not self._path(obj, record_id).exists():
                    gone.add(record_id)
        return Fetched(records, frozenset(gone))

    def _ids(self, obj: ObjectType) -> list[str]:
        files = (self._folder / obj.id).glob("*.json")
        return sorted(f.stem for f in files if f.stem.isalnum() and f.stem != "fields")

    def _path(self, obj: ObjectType, record_id: str) -> Path:
        """Never outside the folder, whatever an id holds."""
        name = record_id if record_id.isalnum() and record_id != "fields" else "-"
        return self._folder / obj.id / f"{name}.json"

    def _held(self, obj: ObjectType, record_id: str) -> dict[str, Any] | None:
        try:
            found = json.loads(self._path(obj, record_id).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        return found if isinstance(found, dict) else None

    def _read(self, obj: ObjectType, record_id: str, want: Want) -> Record | None:
        held = self._held(obj, record_id)
        if held is None:
            return None
        known = {f.name for f in self._object(obj.id).fields}
        at = self._path(obj, record_id).stat().st_mtime_ns // 1000
        return Record(
            record_id,
            {name: held.get(name) for name in want.fields if name in known},
            {name: Reference(tuple(held.get(name) or ())) for name in want.references},
            modified_at=EPOCH + timedelta(microseconds=at),
        )

    # Write -----------------------------------------------------------------------------

    def reserve(self, obj: ObjectType, count: int) -> list[str] | None:
        """Names of files that are not there yet: a create can be sent again."""
        return [uuid4().hex for _ in range(count)]

    def create(
        self, obj: ObjectType, drafts: Sequence[Draft], want: Want
    ) -> list[Outcome]:
        def one(draft: Draft) -> Outcome:
            new = draft.id or uuid4().hex
            known = self._held(obj, new)
            return self._put(
                obj, new, known or {}, draft.values, draft.references, want
            )

        return self._each(drafts, one)

    def update(
        self, obj: ObjectType, patches: Sequence[Patch], want: Want
    ) -> list[Outcome]:
        return self._each(patches, lambda patch: self._update(obj, patch, want))

    def delete(self, obj: ObjectType, ids: Sequence[str]) -> list[Outcome]:
        def one(record_id: str) -> Outcome:
            try:
                self._path(obj, record_id).unlink()
            except FileNotFoundError:
                return _gone(record_id)
            return Outcome(True)

        return self._each(ids, one)

    def _each(
        self, many: Sequence[Item], one: Callable[[Item], Outcome]
    ) -> list[Outcome]:
        """One outcome each, in their order; a batch asks for the right to write once."""
        outcomes: list[Outcome] = []
        for at, item in enumerate(many):
            if at % BATCH == 0:
                self._call()
                self._context.before_write()
            outcomes.append(one(item))
        return outcomes

    def _update(self, obj: ObjectType, patch: Patch, want: Want) -> Outcome:
        """A list is read again and only its difference made; one that holds a single
        record has no room for two intentions."""
        held = self._held(obj, patch.id)
        if held is None:
            return _gone(patch.id)
        merged = dict(patch.references)
        for name, planned in patch.expected.items():
            field, now = obj.reference(name), tuple(held.get(name) or ())
            if name not in merged or field is None:
                continue
            if field.many:
                ids = three_way(planned.ids, merged[name].ids, now)
                merged[name] = Reference(ids)
            elif set(now) not in (set(planned.ids), set(merged[name].ids)):
                text = f"{name} was changed meanwhile."
                return Outcome(
                    False, code=Code.CHANGED_SINCE_PLAN, message=text, field=name
                )
        return self._put(obj, patch.id, held, patch.values, merged, want)

    def _put(
        self,
        obj: ObjectType,
        record_id: str,
        held: Mapping[str, Any],
        values: Mapping[str, Any],
        references: Mapping[str, Reference],
        want: Want,
    ) -> Outcome:
        try:
            known = self._object(obj.id)
            for name, value in values.items():
                check(known.field(name), name, value)
            for name, reference in references.items():
                self._check_targets(known.reference(name), name, reference)
        except Refused as exc:
            return Outcome(False, code=exc.code, message=exc.message, field=exc.name)
        linked = {name: list(r.ids) for name, r in references.items()}
        path = self._path(obj, record_id)
        new = path.with_name(f".{path.name}")  # nobody sees half a file
        new.write_text(json.dumps({**held, **values, **linked}), encoding="utf-8")
        new.replace(path)
        more = replace(want, fields=tuple(dict.fromkeys((*want.fields, *values))))
        return Outcome(True, record=self._read(obj, record_id, more))

    def _check_targets(
        self, field: ReferenceField | None, name: str, reference: Reference
    ) -> None:
        if field is None:
            raise Refused(Code.FIELD_MISSING, f"There is no field {name}.", name)
        if len(reference.ids) > 1 and not field.many:
            raise Refused(Code.LIMIT_REACHED, f"{name} holds one record.", name)
        target = ObjectType(field.target, field.target)
        for record_id in reference.ids:
            if not self._path(target, record_id).exists():
                text = f"There is no record {record_id} of {field.target}."
                raise Refused(Code.TARGET_NOT_MATCHED, text, name)


def _field(name: str, given: Mapping[str, Any]) -> Field:
    return Field(
        name,
        ValueType(given["type"]),
        native_type=given["type"],
        read_only=given.get("read_only", False),
        options=tuple(Option(o, o) for o in given.get("options", ())),
        max_length=given.get("max_length"),
    )


def _gone(record_id: str) -> Outcome:
    text = f"There is no record {record_id}."
    return Outcome(False, code=Code.RECORD_GONE, message=text)
