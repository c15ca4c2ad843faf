"""Live records of both sides, as many as a page can wait for."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from zoneinfo import ZoneInfo

from django.db import connection

from connections import services
from connections.models import ConnectedApp
from connections.records import Canon, ObjectType, Record, Side, Want
from syncs.engine.values import ValueProblem, canonical

MOST = 5_000  # records of a side
SECONDS = 15.0


@dataclass(frozen=True, slots=True)
class Seen:
    """A record as far as it was asked about; `more` are further values that match."""

    id: str
    values: Mapping[str, Canon]
    more: Mapping[str, tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class Sample:
    """What was read of a side; all there is, where it is `complete`."""

    records: tuple[Seen, ...]
    complete: bool


def sample(
    app: ConnectedApp,
    objects: Mapping[Side, ObjectType],
    names: Mapping[Side, Iterable[str]],
    timezone: str,
) -> dict[Side, Sample]:
    """Read records of both sides at the same time.

    Args: names, the fields that are asked about; one that a side lacks is left out.
    Raises: ConnectorError.
    """
    zone = ZoneInfo(timezone or "UTC")
    with ThreadPoolExecutor(max_workers=len(Side), thread_name_prefix="sample") as pool:
        asked = {
            side: pool.submit(_read, app, side, objects[side], set(names[side]), zone)
            for side in Side
        }
        return {side: found.result() for side, found in asked.items()}


def _read(
    app: ConnectedApp, side: Side, obj: ObjectType, names: set[str], zone: ZoneInfo
) -> Sample:
    until = time.monotonic() + SECONDS
    known = sorted(name for name in names if obj.field(name) is not None)
    want = Want(fields=tuple(known))
    found: list[Seen] = []
    try:
        opened = (
            services.open_hubspot(app.hubspot)
            if side is Side.HUBSPOT
            else services.open_app(app)
        )
        with closing(opened) as connector:
            for page in connector.pages(obj, want):
                found += [_seen(record, obj, known, zone) for record in page.records]
                if page.cursor is None:
                    return Sample(tuple(found), True)
                if len(found) >= MOST or time.monotonic() > until:
                    return Sample(tuple(found), False)
    finally:
        connection.close()  # this thread's own
    return Sample(tuple(found), True)


def _seen(
    record: Record, obj: ObjectType, names: Iterable[str], zone: ZoneInfo
) -> Seen:
    values: dict[str, Canon] = {}
    for name in names:
        field = obj.field(name)
        if field is None:
            continue
        try:
            values[name] = canonical(record.values.get(name), field, zone=zone)
        except ValueProblem:
            values[name] = None  # counts as none: a run would name it
    return Seen(record.id, values, record.keys)
