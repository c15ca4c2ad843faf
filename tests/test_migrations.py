"""Migrations leave a running installation at work: no long lock on a table of millions."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.apps import apps
from django.db import connection, migrations, models
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.operations.base import Operation
from django.db.migrations.state import ProjectState
from django.db.transaction import TransactionManagementError, atomic
from django.test.utils import CaptureQueriesContext

from connections import migrating
from connections.migrating import AddIndexQuietly, DropColumnIndex, RemoveIndexQuietly

pytestmark = [pytest.mark.integration, pytest.mark.django_db(transaction=True)]

BIG = {
    ("syncs", "recordlink"),
    ("syncs", "recordkey"),
    ("syncs", "change"),
    ("associations", "associationlink"),
}
FIRST = {"syncs": "0003", "associations": "0003"}  # made before there was a row
QUIET = (AddIndexQuietly, RemoveIndexQuietly, DropColumnIndex)
POSTGRES = connection.vendor == "postgresql"


def locks(operation: Operation, before: ProjectState, app: str) -> str:
    """Why an operation would hold up who reads or writes a big table; "" if it does not."""
    if isinstance(operation, migrations.SeparateDatabaseAndState):
        found = (locks(o, before, app) for o in operation.database_operations)
        return next(filter(None, found), "")
    name = str(getattr(operation, "model_name", getattr(operation, "name", ""))).lower()
    if isinstance(operation, migrations.RunPython | migrations.RunSQL):
        return f"{operation}: who knows what it does?"
    if (app, name) not in BIG or isinstance(operation, QUIET):
        return ""
    if isinstance(operation, migrations.AlterModelOptions | migrations.RemoveField):
        return ""
    if isinstance(operation, migrations.AddField):
        field: Any = operation.field
        plain = not (field.unique or field.db_index or field.remote_field)
        return "" if plain else f"{operation.name}: builds an index under a lock"
    if isinstance(operation, migrations.AlterField):
        old = before.models[app, name].fields[operation.name]
        same = [_stored(old), _stored(operation.field)]
        return "" if same[0] == same[1] else f"{operation.name}: rewrites the table"
    return f"{type(operation).__name__} locks {name}"


def _stored(field: Any) -> tuple[Any, ...]:
    return (
        field.db_parameters(connection)["type"],
        field.null,
        field.unique,
        field.db_index,
    )


def later() -> Iterator[tuple[str, Operation, ProjectState]]:
    """Every operation of the migrations after the first ones, with the state before."""
    loader = MigrationLoader(connection)
    for app, first in FIRST.items():
        names = sorted(n for a, n in loader.disk_migrations if a == app)
        for name in names:
            if name[:4] <= first:
                continue
            state = loader.project_state((app, name), at_end=False)
            for operation in loader.disk_migrations[app, name].operations:
                yield app, operation, state.clone()
                operation.state_forwards(app, state)


def test_no_migration_holds_up_who_works_on_a_big_table() -> None:
    found = list(later())
    assert any(isinstance(operation, AddIndexQuietly) for _, operation, _ in found)
    assert [why for app, op, state in found if (why := locks(op, state, app))] == []


@pytest.mark.parametrize(
    "operation",
    [
        migrations.AddIndex("Change", models.Index(fields=["kind"], name="x")),
        migrations.AddField("Change", "x", models.IntegerField(default=0, unique=True)),
        migrations.AddField(
            "Change", "x", models.IntegerField(null=True, db_index=True)
        ),
        migrations.AddConstraint(
            "Change",
            models.CheckConstraint(condition=models.Q(kind="create"), name="x"),
        ),
        migrations.AlterField("Change", "side", models.CharField(max_length=9)),
        migrations.AlterField("Change", "sent_at", models.DateTimeField()),
        migrations.RunSQL("UPDATE syncs_change SET side = 'app'"),
        migrations.SeparateDatabaseAndState(
            [migrations.AddIndex("change", models.Index(fields=["kind"], name="x"))]
        ),
    ],
    ids=lambda operation: type(operation).__name__,
)
def test_what_would_hold_them_up_is_found(operation: Operation) -> None:
    state = MigrationLoader(connection).project_state()
    assert locks(operation, state, "syncs")


def run(operation: Operation, *, back: bool = False) -> list[str]:
    """Run an operation alone, outside a transaction; what it sent."""
    before = MigrationLoader(connection).project_state()
    after = before.clone()
    operation.state_forwards("syncs", after)
    with (
        CaptureQueriesContext(connection) as caught,
        connection.schema_editor(atomic=False) as editor,
    ):
        if back:
            operation.database_backwards("syncs", editor, after, before)
        else:
            operation.database_forwards("syncs", editor, before, after)
    return [query["sql"] for query in caught]


def indexes() -> dict[str, Any]:
    table = apps.get_model("syncs", "RecordLink")._meta.db_table
    with connection.cursor() as cursor:
        return connection.introspection.get_constraints(cursor, table)


INDEX = models.Index(fields=["attempts", "id"], name="made_quietly")


def test_an_index_is_made_and_dropped_while_others_write() -> None:
    operation = AddIndexQuietly("recordlink", INDEX)
    sent = run(operation)
    assert "made_quietly" in indexes()
    (made,) = [sql for sql in sent if sql.startswith("CREATE INDEX")]
    assert ("CONCURRENTLY" in made) == POSTGRES
    assert not [s for s in run(operation) if s.startswith("CREATE")]  # it is there
    dropped = run(operation, back=True)
    assert ("CONCURRENTLY" in "".join(dropped)) == POSTGRES
    assert "made_quietly" not in indexes()


def test_an_index_that_an_interrupted_try_left_is_made_anew() -> None:
    operation = AddIndexQuietly("recordlink", INDEX)
    run(operation)
    if POSTGRES:  # SQLite leaves none
        with connection.cursor() as cursor:
            cursor.execute(
                "UPDATE pg_index SET indisvalid = false "
                "WHERE indexrelid = 'made_quietly'::regclass"
            )
        assert [s for s in run(operation) if s.startswith("DROP INDEX")]
    assert "made_quietly" in indexes()
    run(operation, back=True)


def test_dropping_an_index_can_be_taken_back() -> None:
    operation = RemoveIndexQuietly("recordlink", "record_link_code")
    run(operation)
    assert "record_link_code" not in indexes()
    run(operation, back=True)
    assert "record_link_code" in indexes()


def test_the_index_of_a_foreign_key_can_be_put_back() -> None:
    field: Any = apps.get_model("syncs", "RecordLink")._meta.get_field("sync").clone()
    field.db_index = True
    indexed = MigrationLoader(connection).project_state()
    indexed.models["syncs", "recordlink"].fields["sync"] = field
    plain = MigrationLoader(connection).project_state()
    operation = DropColumnIndex(
        "recordlink", "sync", plain.models["syncs", "recordlink"].fields["sync"]
    )

    def alone() -> list[str]:
        return [
            name
            for name, found in indexes().items()
            if found["columns"] == ["sync_id"] and found["index"]
        ]

    assert alone() == []
    with connection.schema_editor(atomic=False) as editor:
        operation.database_backwards("syncs", editor, plain, indexed)
    assert len(alone()) == 1
    with connection.schema_editor(atomic=False) as editor:
        operation.database_forwards("syncs", editor, indexed, plain)
    assert alone() == []


def test_an_index_in_a_transaction_is_refused_where_it_would_lock() -> None:
    if POSTGRES:
        with atomic(), pytest.raises(TransactionManagementError, match="atomic"):
            migrating._concurrently(connection.schema_editor())
    else:
        assert not migrating._concurrently(connection.schema_editor())


def test_while_migrations_run_a_lock_is_not_waited_for() -> None:
    def timeout() -> str:
        if not POSTGRES:
            return ""
        with connection.cursor() as cursor:
            cursor.execute("SHOW lock_timeout")
            return str(cursor.fetchone()[0])

    usual = timeout()
    migrating.wait_little(using="default")
    try:
        assert timeout() == (migrating.LOCK_TIMEOUT if POSTGRES else "")
    finally:
        migrating.wait_as_usual(using="default")
    assert timeout() == usual
