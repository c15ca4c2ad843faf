"""Write links as records of a join app."""

from __future__ import annotations

from collections.abc import Sequence

from connections.catalogue import Code
from connections.connectors.http import Safety
from connections.connectors.kintone.api import Api
from connections.connectors.kintone.batches import Kind, Row, send, uncertain
from connections.connectors.kintone.forms import object_of
from connections.connectors.kintone.judging import Judging
from connections.connectors.kintone.keys import KeyIndex
from connections.connectors.kintone.link_apps import Line, Shape, lines
from connections.connectors.link_rows import Work
from connections.records import Outcome, RowsWrite

MOVED = "Somebody changed the rows of this pair in Kintone meanwhile."


class RowWriter:
    """Writes the rows of one join app."""

    def __init__(self, api: Api, shape: Shape) -> None:
        self._api, self._shape = api, shape

    def write(self, writes: Sequence[RowsWrite]) -> list[Outcome]:
        """Make pairs' rows what they are to be: what changes its label stays the row.

        Rows are read right before; those of a pair that are not what they were before
        are left alone (CHANGED_SINCE_PLAN).
        """
        if not writes:
            return []
        near = list(dict.fromkeys(w.from_id for w in writes))
        there = lines(self._api, self._shape, near)
        outcomes: dict[int, Outcome] = {}
        work: Work[Line] = Work()
        for at, write in enumerate(writes):
            held = [x for x in there[write.from_id] or [] if x.far == write.to_id]
            if not work.plan(at, held, write):
                outcomes[at] = _moved()
        for at, outcome in (
            *self._change(work),
            *self._delete(work),
            *self._make(work, writes),
        ):
            if not outcome.ok or at not in outcomes:
                outcomes[at] = outcome
        return [outcomes.get(at, Outcome(True)) for at in range(len(writes))]

    def _send(
        self, kind: Kind, places: Sequence[int], rows: Sequence[Row]
    ) -> list[tuple[int, Outcome]]:
        obj = object_of(self._shape.form)
        found = send(self._api, kind, rows, Judging(self._api, obj).judge)
        return [(places[at], outcome) for at, outcome in found.items()]

    def _change(self, work: Work[Line]) -> list[tuple[int, Outcome]]:
        app, name = self._shape.form.app, self._shape.label
        kind = Kind(
            "PUT",
            Safety.REPEATABLE,
            f"change {self._shape.form.name}",
            lambda some: {
                "app": app,
                "records": [
                    {"id": r.id, "revision": r.revision, "record": r.body} for r in some
                ],
            },
            lambda body, some: [Outcome(True) for _ in some],
        )
        rows = [
            Row(at, {name: {"value": label or ""}}, line.id, revision=line.revision)
            for at, (_, line, label) in enumerate(work.changed)
        ]
        return self._send(kind, [place for place, *_ in work.changed], rows)

    def _delete(self, work: Work[Line]) -> list[tuple[int, Outcome]]:
        app = self._shape.form.app
        kind = Kind(
            "DELETE",
            Safety.REPEATABLE,
            f"delete from {self._shape.form.name}",
            lambda some: {
                "app": app,
                "ids": [r.id for r in some],
                "revisions": [r.revision for r in some],
            },
            lambda body, some: [Outcome(True) for _ in some],
        )
        rows = [
            Row(at, {}, line.id, revision=line.revision)
            for at, (_, line) in enumerate(work.deleted)
        ]
        found = self._send(kind, [place for place, _ in work.deleted], rows)
        done = Outcome(True)  # gone is what it was to be
        return [(at, done if o.code == Code.RECORD_GONE else o) for at, o in found]

    def _make(
        self, work: Work[Line], writes: Sequence[RowsWrite]
    ) -> list[tuple[int, Outcome]]:
        shape, index = self._shape, KeyIndex(self._api)
        keys = {}
        for end, ids in (
            (shape.near, {writes[at].from_id for at, _ in work.made}),
            (shape.far, {writes[at].to_id for at, _ in work.made}),
        ):
            if ids:
                keys[end.name] = index.keys_of(end.target, end.target_columns[0], ids)
        rows, found = [], []
        for place, (at, label) in enumerate(work.made):
            near = keys[shape.near.name].get(writes[at].from_id)
            far = keys[shape.far.name].get(writes[at].to_id)
            if not near or not far:
                found.append((at, _keyless(shape, near)))
                continue
            body = {shape.near.name: {"value": near}, shape.far.name: {"value": far}}
            if label is not None:
                body[shape.label] = {"value": label}
            rows.append(Row(place, body))
        kind = Kind(
            "POST",
            Safety.ONCE,
            f"add to {shape.form.name}",
            lambda some: {"app": shape.form.app, "records": [r.body for r in some]},
            lambda body, some: [_made(body, some) for _ in some],
        )
        return [*found, *self._send(kind, [at for at, _ in work.made], rows)]


def _made(body: object, some: Sequence[Row]) -> Outcome:
    ids = body.get("ids") if isinstance(body, dict) else None
    if isinstance(ids, list) and len(ids) == len(some):
        return Outcome(True)
    return uncertain("Kintone's answer does not say what became of this link.")


def _moved() -> Outcome:
    return Outcome(False, code=Code.CHANGED_SINCE_PLAN, message=MOVED)


def _keyless(shape: Shape, near: str | None) -> Outcome:
    end = shape.far if near else shape.near
    return Outcome(
        False,
        code=Code.TARGET_NOT_MATCHED,
        message=f"The record of app {end.target} has no {end.target_columns[0]}, by which "
        f"{end.name} could look it up.",
        field=end.name,
    )
