"""Who we are on a server, and what it lets us do."""

from __future__ import annotations

from collections.abc import Callable

from psycopg import sql

from connections.connectors.base import SchemaError, ScopeError
from connections.connectors.postgres.database import Database, Params, Row
from connections.records import Report

OLDEST = 130_000  # server_version_num; xid8 and what else is asked for came with 13

TEST = sql.SQL("""
SELECT current_user, current_database(), current_setting('server_version'),
  current_setting('server_version_num')::int, pg_is_in_recovery(),
  current_setting('default_transaction_read_only') = 'on',
  coalesce((SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()), false),
  (SELECT has_schema_privilege(n.oid, 'USAGE') FROM pg_namespace n
   WHERE n.nspname = %(schema)s),
  ARRAY(SELECT c.relname::text FROM pg_class c
   JOIN pg_namespace n ON n.oid = c.relnamespace
   WHERE n.nspname = %(schema)s AND c.relkind IN ('r', 'p') AND NOT c.relispartition
   AND (%(tables)s::text[] IS NULL OR c.relname = ANY(%(tables)s))
   AND row_security_active(c.oid) ORDER BY 1),
  concat_ws('/', 'postgres', {system},
    (SELECT oid FROM pg_database WHERE datname = current_database()),
    to_regnamespace(quote_ident(%(schema)s))::oid)
""")


ELSEWHERE = (
    "The dsn leads to another database or schema than the one whose rows are paired. "
    "Correct it, or connect the other one as an app of its own. If it is the same data, "
    "moved, say so: manage.py setup apply FILE --moved NAME."
)
# Which cluster answers, also on its replicas; the timeline is a new one after a failover
# or a restore.
SYSTEM = sql.SQL("(SELECT system_identifier::text FROM pg_control_system())")
CLUSTER = sql.SQL(
    "((SELECT system_identifier FROM pg_control_system()) || '/' "
    "|| (SELECT timeline_id FROM pg_control_checkpoint()))"
)


def control(
    server: Database,
    build: Callable[[sql.SQL], sql.Composed],
    params: Params,
    *,
    asked: sql.SQL = CLUSTER,
) -> list[Row]:
    """The rows of a statement that asks which cluster this is, where the role may ask.

    Args: build, makes the statement with the expression for that, which is `asked`.
    """
    try:
        return server.read(build(asked), params)
    except (ScopeError, SchemaError):
        return server.read(build(sql.SQL("'?'")), params)


def report(server: Database, schema: str, chosen: list[str] | None) -> Report:
    """What one statement says of log-in, database and schema.

    Raises: AuthError, ScopeError, SchemaError, TransientError.
    """
    names = {"schema": schema, "tables": chosen}
    rows = control(
        server, lambda system: TEST.format(system=system), names, asked=SYSTEM
    )
    (user, database, version, number, replica, reads, tls, usage, hidden, system) = (
        rows[0]
    )
    _check_schema(schema, usage, user)
    warnings = []
    if number < OLDEST:
        warnings.append(f"PostgreSQL {version} is older than 13: expect errors.")
    if replica:
        warnings.append("This is a read replica: nothing can be written to it.")
    elif reads:
        warnings.append("The role may only read: nothing can be written.")
    if not tls and not server.is_local:
        warnings.append(
            "The connection is not encrypted: add sslmode=verify-full to the dsn."
        )
    if hidden:
        warnings.append(
            "Row-level security applies to this role, so rows may be hidden and none "
            f"is ever taken for deleted: {', '.join(hidden)}."
        )
    return Report(
        account=f"{user} at {server.where}/{database}",
        details={
            "server": f"PostgreSQL {version}",
            "user": user,
            "database": database,
            "schema": schema,
            "encrypted": "yes" if tls else "no",
        },
        warnings=tuple(warnings),
        system=system,
    )


def _check_schema(schema: str, usage: bool | None, user: str) -> None:
    if usage is None:
        raise SchemaError(f"The database has no schema {schema}.")
    if not usage:
        raise ScopeError(
            f"The role {user} may not use the schema {schema}: "
            f"GRANT USAGE ON SCHEMA {schema} TO {user}."
        )
