"""Tables of a PostgreSQL schema as records, by psycopg 3."""

from __future__ import annotations

from connections.connectors.postgres.connector import PostgresConnector

__all__ = ["PostgresConnector"]
