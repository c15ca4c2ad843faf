"""Tables filled by the ten thousand, and what a statement has to look at to answer."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

from django.db import connection
from django.db.models import Model

from associations.models import AssociationLink
from syncs.models import Change, LogEntry, RecordKey, RecordLink
from tests.office import records

POSTGRES = connection.vendor == "postgresql"
BIG = (
    "syncs_recordlink",
    "syncs_recordkey",
    "syncs_change",
    "associations_association",
)


def copies(template: Model, count: int, **changes: str) -> None:
    """Copy a row so many times; `changes` are columns as SQL, with the number as `i`."""
    columns = [f.column for f in template._meta.concrete_fields if not f.primary_key]
    quote = connection.ops.quote_name
    made = [changes.get(str(c), f"t.{quote(str(c))}") for c in columns]
    table = quote(template._meta.db_table)
    series = f"SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {count:d}"
    with connection.cursor() as cursor:
        cursor.execute(
            f"WITH RECURSIVE n(i) AS ({series}) "
            f"INSERT INTO {table} ({', '.join(quote(str(c)) for c in columns)}) "
            f"SELECT {', '.join(made)} FROM {table} t, n WHERE t.id = {template.pk:d}"
        )


STEPS_A_ROW = 5  # of SQLite's virtual machine, for a row that is let fall at once
UUID = "gen_random_uuid()" if POSTGRES else "lower(hex(randomblob(16)))"


def fill(office: SimpleNamespace, run: Any, count: int) -> None:
    """So many pairs of contacts, each with a key, a link and two changes, all of them in
    order, and a handful at the far end that are not."""
    records(office, 20)
    contact = RecordLink.objects.filter(sync=office.contacts, state="in_sync").latest(
        "pk"
    )
    first = contact.pk
    copies(contact, count, hubspot_id="'h' || i", app_id="'a' || i")
    key = RecordKey.objects.filter(link=contact).earliest("pk")
    number = f"{first} + i"
    copies(key, count, link_id=number, value="'person' || i || '@example.com'")
    link = AssociationLink.objects.filter(state="in_sync").latest("pk")
    copies(link, count, link_id=number)
    child = run.children.get(sync=office.contacts)
    change = Change.objects.filter(run=child, kind="update", outcome="applied")[0]
    for _ in range(2):
        copies(change, count, link_id=number, trace=UUID, record="'Person ' || i")
    LogEntry.objects.filter(run=child).update(text="Read.")
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")


@contextmanager
def work() -> Iterator[list[tuple[int, str]]]:
    """About how many rows of big tables each SELECT had to look at."""
    seen: list[tuple[int, str]] = []
    busy = False

    def watch(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        nonlocal busy
        if busy or many or not re.match(r"\s*SELECT", sql) or not _big(sql):
            return execute(sql, params, many, context)
        busy = True
        try:
            look = _rows_of if POSTGRES else _steps_of
            seen.append((look(sql, params), sql))
        finally:
            busy = False
        return execute(sql, params, many, context)

    with connection.execute_wrapper(watch):
        yield seen


def _rows_of(sql: str, params: Any) -> int:
    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN (ANALYZE, FORMAT JSON) {sql}", params)
        found = cursor.fetchone()[0]
    plan = json.loads(found) if isinstance(found, str) else found
    return _rows(plan[0]["Plan"])


def _steps_of(sql: str, params: Any) -> int:
    steps = 0

    def step() -> int:
        nonlocal steps
        steps += 1
        return 0

    with connection.cursor() as cursor:
        connection.connection.set_progress_handler(step, 100)
        try:
            cursor.execute(sql, params)
            cursor.fetchall()
        finally:
            connection.connection.set_progress_handler(None, 100)
    return steps * 100 // STEPS_A_ROW


def _big(sql: str) -> bool:
    return any(f'"{name}' in sql for name in BIG)


def _rows(plan: dict[str, Any]) -> int:
    """The rows that a plan's scans of big tables took up, those let fall included."""
    found = sum(_rows(part) for part in plan.get("Plans", ()))
    if str(plan.get("Relation Name", "")).startswith(BIG) or "Index Name" in plan:
        loops = plan["Actual Loops"]
        found += int(plan["Actual Rows"] * loops)
        for name in ("Rows Removed by Filter", "Rows Removed by Index Recheck"):
            found += int(plan.get(name, 0) * loops)
    return found
