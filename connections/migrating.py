"""Migrations that leave a running installation at work.

Tables of records, keys, changes and links hold millions of rows. On PostgreSQL an index on
them is made and dropped CONCURRENTLY, which needs `atomic = False` in its migration; on
SQLite, which has one writer anyway, as usual. What does need a lock on a table for a moment
gives up after `LOCK_TIMEOUT` rather than make everybody wait behind it: migrate again.
"""

from __future__ import annotations

from typing import Any

from django.db import connections
from django.db.backends.base.schema import BaseDatabaseSchemaEditor as SchemaEditor
from django.db.migrations.operations import AddIndex, AlterField, RemoveIndex
from django.db.migrations.state import ProjectState
from django.db.models import Index
from django.db.transaction import TransactionManagementError

LOCK_TIMEOUT = "5s"


def wait_little(*, using: str, **kwargs: Any) -> None:
    """Before migrations: give up soon on a lock that somebody holds."""
    _set_lock_timeout(using, f"'{LOCK_TIMEOUT}'")


def wait_as_usual(*, using: str, **kwargs: Any) -> None:
    """After migrations."""
    _set_lock_timeout(using, "DEFAULT")


def _set_lock_timeout(using: str, value: str) -> None:
    connection = connections[using]
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute(f"SET lock_timeout = {value}")


def _concurrently(schema_editor: SchemaEditor) -> bool:
    """Whether to work without locks; a migration that cannot is refused."""
    if schema_editor.connection.vendor != "postgresql":
        return False
    if schema_editor.connection.in_atomic_block:
        raise TransactionManagementError("This migration needs atomic = False.")
    # Waiting for old transactions makes nobody else wait.
    schema_editor.execute("SET lock_timeout = 0")
    return True


def _done(schema_editor: SchemaEditor) -> None:
    schema_editor.execute(f"SET lock_timeout = '{LOCK_TIMEOUT}'")


class AddIndexQuietly(AddIndex):
    """Make an index while others write; one that is there from an earlier try stays."""

    atomic = False

    def database_forwards(
        self,
        app_label: str,
        schema_editor: SchemaEditor,
        from_state: ProjectState,
        to_state: ProjectState,
    ) -> None:
        model = to_state.apps.get_model(app_label, self.model_name)
        table, name = model._meta.db_table, str(self.index.name)
        concurrently = _concurrently(schema_editor)
        connection = schema_editor.connection
        with connection.cursor() as cursor:
            known = name in connection.introspection.get_constraints(cursor, table)
            if known and concurrently:
                cursor.execute(
                    "SELECT indisvalid FROM pg_index WHERE indexrelid = %s::regclass",
                    [schema_editor.quote_name(name)],
                )
                (known,) = cursor.fetchone()
                if not known:  # what a try that was interrupted leaves
                    cursor.execute(
                        f"DROP INDEX CONCURRENTLY {schema_editor.quote_name(name)}"
                    )
        if not known:
            how: dict[str, Any] = {"concurrently": True} if concurrently else {}
            schema_editor.add_index(model, self.index, **how)
        if concurrently:
            _done(schema_editor)

    def database_backwards(
        self,
        app_label: str,
        schema_editor: SchemaEditor,
        from_state: ProjectState,
        to_state: ProjectState,
    ) -> None:
        _remove(schema_editor, from_state, app_label, self.model_name, self.index)


class RemoveIndexQuietly(RemoveIndex):
    """Drop an index while others write."""

    atomic = False

    def database_forwards(
        self,
        app_label: str,
        schema_editor: SchemaEditor,
        from_state: ProjectState,
        to_state: ProjectState,
    ) -> None:
        state = from_state.models[app_label, self.model_name_lower]
        index = state.get_index_by_name(self.name)
        _remove(schema_editor, from_state, app_label, self.model_name, index)

    def database_backwards(
        self,
        app_label: str,
        schema_editor: SchemaEditor,
        from_state: ProjectState,
        to_state: ProjectState,
    ) -> None:
        index = to_state.models[app_label, self.model_name_lower].get_index_by_name(
            self.name
        )
        AddIndexQuietly(self.model_name, index).database_forwards(
            app_label, schema_editor, from_state, to_state
        )


def _remove(
    schema_editor: SchemaEditor,
    state: ProjectState,
    app_label: str,
    model_name: str,
    index: Index,
) -> None:
    model = state.apps.get_model(app_label, model_name)
    concurrently = _concurrently(schema_editor)
    how: dict[str, Any] = {"concurrently": True} if concurrently else {}
    schema_editor.remove_index(model, index, **how)
    if concurrently:
        _done(schema_editor)


class DropColumnIndex(AlterField):
    """Drop the index that a foreign key brings, where a longer one begins with it.

    The field's own alteration would write the whole table anew on SQLite.
    """

    atomic = False

    def database_forwards(
        self,
        app_label: str,
        schema_editor: SchemaEditor,
        from_state: ProjectState,
        to_state: ProjectState,
    ) -> None:
        model = from_state.apps.get_model(app_label, self.model_name)
        column = str(model._meta.get_field(self.name).column)
        concurrently = _concurrently(schema_editor)
        names = schema_editor._constraint_names(  # type: ignore[attr-defined]
            model,
            [column],
            index=True,
            unique=False,
            type_=Index.suffix,
            exclude={index.name for index in model._meta.indexes},
        )
        word = "CONCURRENTLY " if concurrently else ""
        for name in names:
            schema_editor.execute(f"DROP INDEX {word}{schema_editor.quote_name(name)}")
        if concurrently:
            _done(schema_editor)

    def database_backwards(
        self,
        app_label: str,
        schema_editor: SchemaEditor,
        from_state: ProjectState,
        to_state: ProjectState,
    ) -> None:
        model = to_state.apps.get_model(app_label, self.model_name)
        field = model._meta.get_field(self.name)
        for statement in schema_editor._field_indexes_sql(  # type: ignore[attr-defined]
            model, field
        ):
            schema_editor.execute(statement)
