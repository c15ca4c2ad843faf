"""A HubSpot and a PostgreSQL with companies and people, and the syncs between them.

Results are read back through HubSpot's own client and SQL, never from our tables.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable, Mapping
from contextlib import closing
from typing import Any

import psycopg

from associations.models import AssociationMapping
from associations.models import AssociationType as StoredType
from connections import services as connection_services
from connections.models import ConnectedApp, HubSpotAccount
from connections.sandbox.server import SandboxServer
from syncs import services
from syncs.models import FieldMapping, MatchKey, ObjectSync, SyncRun
from syncs.models.choices import Trigger
from tests.vendor import all_edges, all_records, vendor_client

SCHEMA = """
CREATE TABLE companies (
  id serial PRIMARY KEY, name text, domain text, phone text,
  annual_revenue numeric(12,2), industry text,
  updated_at timestamptz NOT NULL DEFAULT clock_timestamp());
CREATE TABLE people (
  id serial PRIMARY KEY, email text, first_name text, last_name text,
  company_id int REFERENCES companies ON DELETE SET NULL,
  updated_at timestamptz NOT NULL DEFAULT clock_timestamp());
CREATE INDEX ON companies (updated_at, id);
CREATE INDEX ON people (updated_at, id);
CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
  IF NEW IS DISTINCT FROM OLD THEN NEW.updated_at := clock_timestamp(); END IF;
  RETURN NEW; END $$;
CREATE TRIGGER touch BEFORE UPDATE ON companies FOR EACH ROW EXECUTE FUNCTION touch();
CREATE TRIGGER touch BEFORE UPDATE ON people FOR EACH ROW EXECUTE FUNCTION touch();
"""
PRIMARY, PLAIN = ("HUBSPOT_DEFINED", 1), ("HUBSPOT_DEFINED", 279)
COMPANY_FIELDS = (
    ("name", "name"),
    ("domain", "domain"),
    ("phone", "phone"),
    ("annualrevenue", "annual_revenue"),
)
CONTACT_FIELDS = (
    ("email", "email"),
    ("firstname", "first_name"),
    ("lastname", "last_name"),
)


class Session(threading.local):
    """A thread's session with PostgreSQL, kept as long as it does: each new one costs
    as much as several statements."""

    def __init__(self) -> None:
        self._kept: psycopg.Connection[Any] | None = None
        self._of: tuple[int, str] | None = None

    def run(self, dsn: str, statement: str, values: Any) -> list[tuple[Any, ...]]:
        """What a statement answers; once more where the server cut the session off."""
        try:
            cursor = self._at(dsn).execute(statement, values)
        except psycopg.OperationalError:
            if self._kept is None or not self._kept.closed:
                raise
            cursor = self._at(dsn).execute(statement, values)
        return cursor.fetchall() if cursor.description else []

    def _at(self, dsn: str) -> psycopg.Connection[Any]:
        of = (os.getpid(), dsn)  # a forked process must not use its parent's
        if self._kept is None or self._kept.closed or self._of != of:
            self._kept = psycopg.connect(dsn, autocommit=True, prepare_threshold=None)
            self._of = of
        return self._kept


class World:
    """Two systems and their set-up; `run` syncs them in this process."""

    def __init__(self, sandbox: SandboxServer, dsn: str) -> None:
        self.sandbox, self.dsn = sandbox, dsn
        self.client = vendor_client(sandbox)
        self._session = Session()
        self.sql(SCHEMA)

    # Set-up -----------------------------------------------------------------------------

    def set_up(self, **changes: Any) -> None:
        """Make the account, the app and both syncs; `changes` go to both syncs."""
        self.connect()
        self.make_syncs(**changes)

    def connect(self) -> None:
        """Make the account and the app, and discover what they have."""
        self.account = HubSpotAccount.objects.create(
            name="Acme",
            base_url=self.sandbox.hubspot_url,
            credentials={"token": self.sandbox.token},
            requests_per_10s=1_000_000,
            association_requests_per_10s=1_000_000,
            search_per_second=1_000_000,
        )
        self.app = ConnectedApp.objects.create(
            name="Ops",
            kind="postgres",
            hubspot=self.account,
            credentials={"dsn": self.dsn},
        )
        for owner in (self.account, self.app):
            connection_services.refresh_schema(owner)

    def make_syncs(self, **changes: Any) -> None:
        """Make both syncs, their keys, fields and links; `changes` go to both."""
        common = {"app": self.app, "app_cursor": "updated_at", "matching": "fields"}
        self.companies = ObjectSync.objects.create(
            name="Companies",
            hubspot_object="companies",
            app_object="companies",
            **(common | changes),
        )
        self.contacts = ObjectSync.objects.create(
            name="Contacts",
            hubspot_object="contacts",
            app_object="people",
            position=1,
            **(common | changes),
        )
        self._key(self.companies, 0, "domain", "domain", "domain")
        self._key(self.contacts, 0, "email", "email", "email")
        for sync, fields in (
            (self.companies, COMPANY_FIELDS),
            (self.contacts, CONTACT_FIELDS),
        ):
            for position, (hubspot, app) in enumerate(fields):
                FieldMapping.objects.create(
                    sync=sync, position=position, hubspot=hubspot, app=app
                )
        self.associate()

    def _key(
        self, sync: ObjectSync, rank: int, hubspot: str, app: str, how: str
    ) -> None:
        MatchKey.objects.create(
            sync=sync, rank=rank, hubspot=hubspot, app=app, normalize=how
        )

    def associate(self, type_id: int = 1, **changes: Any) -> AssociationMapping:
        """Map people.company_id to an association type, instead of what there was."""
        with closing(connection_services.open_hubspot(self.account)) as hubspot:
            for info in hubspot.association_types("0-1", "0-2"):
                StoredType.objects.get_or_create(
                    account=self.account,
                    from_object="0-1",
                    to_object="0-2",
                    category=info.category,
                    type_id=info.type_id,
                    defaults={"label": info.label or ""},
                )
        AssociationMapping.objects.filter(sync=self.contacts).delete()
        self.mapping = AssociationMapping.objects.create(
            sync=self.contacts,
            app_field="company_id",
            to_sync=self.companies,
            category="HUBSPOT_DEFINED",
            type_id=type_id,
            **changes,
        )
        return self.mapping

    # Runs -------------------------------------------------------------------------------

    def run(self, *syncs: ObjectSync, **how: Any) -> dict[str, Any]:
        """Run the syncs (both by default) and return what `sync --json` would print."""
        chosen = list(
            ObjectSync.objects.filter(pk__in=[s.pk for s in syncs or self.both])
        )
        run = services.start(syncs=chosen, trigger=Trigger.COMMAND, **how)
        services.execute(run)
        return services.report(SyncRun.objects.get(pk=run.pk))

    @property
    def both(self) -> tuple[ObjectSync, ObjectSync]:
        return self.companies, self.contacts

    # PostgreSQL -------------------------------------------------------------------------

    def sql(self, statement: str, *values: Any) -> list[tuple[Any, ...]]:
        return self._session.run(self.dsn, statement, values or None)

    def company_rows(self) -> dict[str, tuple[Any, ...]]:
        """(name, phone, revenue) of every row, by domain."""
        rows = self.sql("SELECT domain, name, phone, annual_revenue FROM companies")
        assert len({r[0] for r in rows}) == len(rows), "a company stands there twice"
        return {r[0]: r[1:] for r in rows}

    def people_rows(self) -> dict[str, tuple[Any, ...]]:
        """(first name, last name, company's domain) of every row, by e-mail."""
        rows = self.sql(
            "SELECT p.email, p.first_name, p.last_name, c.domain "
            "FROM people p LEFT JOIN companies c ON c.id = p.company_id"
        )
        assert len({r[0] for r in rows}) == len(rows), "a person stands there twice"
        return {r[0]: r[1:] for r in rows}

    # HubSpot ----------------------------------------------------------------------------

    def create(self, kind: str, rows: Iterable[Mapping[str, str]]) -> list[str]:
        """Make records as another integration would; their ids."""
        from hubspot.crm.objects import SimplePublicObjectInputForCreate as Input

        api = self.client.crm.objects.basic_api
        return [
            api.create(kind, Input(properties=dict(row), associations=[])).id
            for row in rows
        ]

    def update(self, kind: str, record_id: str, **properties: str) -> None:
        from hubspot.crm.objects import SimplePublicObjectInput as Input

        api = self.client.crm.objects.basic_api
        api.update(kind, record_id, Input(properties=properties))

    def make_primary(self, contact: str, company: str) -> None:
        """Set a contact's primary company, as a person does in HubSpot."""
        from hubspot.crm.associations.v4 import AssociationSpec

        spec = AssociationSpec(
            association_category="HUBSPOT_DEFINED", association_type_id=1
        )
        self.client.crm.associations.v4.basic_api.create(
            "contacts", contact, "companies", company, [spec]
        )

    def link(self, contact: str, company: str) -> None:
        """Link the two in HubSpot by the plain type alone."""
        self.client.crm.associations.v4.basic_api.create_default(
            "contacts", contact, "companies", company
        )

    def unlink(self, contact: str, company: str) -> None:
        self.client.crm.associations.v4.basic_api.archive(
            "contacts", contact, "companies", company
        )

    def companies_in_hubspot(self) -> dict[str, dict[str, str | None]]:
        """Every company by domain."""
        names = ("domain", "name", "phone", "annualrevenue")
        found = all_records(self.client, "companies", names)
        return {str(row["domain"]): {"id": i, **row} for i, row in found.items()}

    def contacts_in_hubspot(self) -> dict[str, dict[str, str | None]]:
        """Every contact by e-mail."""
        found = all_records(self.client, "contacts", ("email", "firstname", "lastname"))
        return {str(row["email"]): {"id": i, **row} for i, row in found.items()}

    def links(self) -> dict[tuple[str, str], frozenset[tuple[str, int]]]:
        """Every link, by e-mail and domain."""
        contacts = {r["id"]: m for m, r in self.contacts_in_hubspot().items()}
        companies = {r["id"]: d for d, r in self.companies_in_hubspot().items()}
        found = all_edges(self.client, "contacts", "companies", map(str, contacts))
        return {(contacts[a], companies[b]): t for (a, b), t in found.items()}

    def primary(self) -> dict[str, str]:
        """Each contact's primary company: {e-mail: domain}."""
        return {
            mail: domain for (mail, domain), t in self.links().items() if PRIMARY in t
        }
