"""One world per process of the tests, emptied between seeds rather than made anew."""

from __future__ import annotations

import random
from typing import Any

import psycopg
from django.apps import apps
from django.db import connection

from associations.models import AssociationMapping, By
from connections.sandbox.server import SandboxServer
from tests.campaign.machine import Machine
from tests.campaign.portal import Portal
from tests.world import World

# What a seed makes of its own; the account, the app and what they have stay.
KEPT = {"connections_hubspotaccount", "connections_connectedapp"}
KEPT |= {"connections_remoteobject"}
OURS = ("syncs", "associations", "connections", "django_q")


MORE = "ALTER TABLE {} ADD archived boolean NOT NULL DEFAULT false, ADD city text"
ADVISERS = """
CREATE TABLE advisers (
  person int NOT NULL REFERENCES people ON DELETE CASCADE,
  company int NOT NULL REFERENCES companies ON DELETE CASCADE,
  PRIMARY KEY (person, company))
"""


class SameWorld(World):
    """A world whose session with PostgreSQL stays open, whose rows have more columns."""

    def __init__(self, sandbox: SandboxServer, dsn: str) -> None:
        self.session = psycopg.connect(dsn, autocommit=True)
        super().__init__(sandbox, dsn)
        for table in ("companies", "people"):
            self.sql(MORE.format(table))
        self.sql(ADVISERS)

    def advise(self, label: tuple[str, int]) -> None:
        """Map the table of advisers to a label of contacts."""
        AssociationMapping.objects.create(
            sync=self.contacts,
            position=1,
            by=By.JOIN_TABLE,
            app_field="advisers",
            join_from="person",
            join_to="company",
            to_sync=self.companies,
            type="Adviser",
            category=label[0],
            type_id=label[1],
        )

    def sql(self, statement: str, *values: Any) -> list[tuple[Any, ...]]:
        cursor = self.session.execute(statement, values or None)
        return cursor.fetchall() if cursor.description else []


class Bench:
    """A world on a machine of its own, and the portal that people use."""

    def __init__(self, sandbox: SandboxServer, dsn: str) -> None:
        self.sandbox = sandbox
        self.machine = Machine(sandbox)
        self.portal = Portal(sandbox)
        self.world = SameWorld(sandbox, dsn)
        self.world.connect()

    def close(self) -> None:
        self.world.session.close()

    def start(self, seed: int) -> None:
        """Empty everything for a seed."""
        self.machine.start(seed)
        control = self.sandbox.control
        control.set_faults()
        control.set_hook(None)
        control.set_switches(
            **{n: s["values"][0] for n, s in control.switches().items()}
        )
        control.reset()
        for account in self.sandbox.hubspot.accounts.values():
            account._random = random.Random(seed)
        self.world.sql("DELETE FROM people; DELETE FROM companies")
        self.world.sql(
            "ALTER SEQUENCE people_id_seq RESTART; ALTER SEQUENCE companies_id_seq RESTART"
        )
        self._forget()

    def _forget(self) -> None:
        """Empty our own tables, but for the connections."""
        models = [m for app in OURS for m in apps.get_app_config(app).get_models()]
        tables = [t for m in models if (t := m._meta.db_table) not in KEPT]
        sqlite = connection.vendor == "sqlite"
        with connection.cursor() as cursor:
            if not sqlite:
                names = ", ".join(tables)
                cursor.execute(f"TRUNCATE {names} RESTART IDENTITY CASCADE")
                return
            with connection.constraint_checks_disabled():
                for table in tables:
                    cursor.execute(f"DELETE FROM {table}")
            marks = ", ".join(["%s"] * len(tables))
            cursor.execute(
                f"DELETE FROM sqlite_sequence WHERE name IN ({marks})", tables
            )
