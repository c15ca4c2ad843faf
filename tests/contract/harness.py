"""One handle for every connected system: what a contract test needs to know of it.

A `System` has one object type, `probes`, with a field of each type. Tests plant and look at
records behind the connector's back, so that what it says is held against what is there.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from typing import Any, ClassVar, Protocol

import psycopg
import requests
from psycopg import sql

from connections.catalogue import Code
from connections.connectors.base import Connector, Context
from connections.connectors.hubspot import HubSpotConnector
from connections.connectors.postgres import PostgresConnector
from connections.records import Canon, Draft, ObjectType, Want
from connections.sandbox.server import SandboxServer
from syncs.engine.values import canonical

Values = Mapping[str, Canon]
FIELDS = ("title", "code", "amount", "flag", "day", "moment", "colour", "tags", "note")
COLOURS, TAGS = ("red", "green", "blue"), ("a", "b", "c d")
LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)


@dataclass
class Naps:
    """Takes the place of time.sleep: keeps how long each pause would have been."""

    taken: list[float] = field(default_factory=list)

    def __call__(self, seconds: float) -> None:
        self.taken.append(seconds)


def new_context(**changes: Any) -> Context:
    """A context of a caller on this machine."""
    return Context(**({"allow_private_hosts": True, "timeout_s": 5.0} | changes))


class System(Protocol):
    """A connected system as a contract test sees it.

    `page` and `changed_page` are records of one page of `pages` and of `changed`; `bad`
    has, for each kind of refusal, values that cause it and the code it must give.
    """

    name: str
    page: int
    changed_page: int
    bad: Mapping[str, tuple[Values, Code]]

    @property
    def connector(self) -> Connector: ...

    @property
    def context(self) -> Context: ...

    @property
    def obj(self) -> ObjectType: ...

    @property
    def want(self) -> Want: ...

    def use(self, context: Context) -> None: ...

    def plant(
        self, rows: Iterable[Values], *, at: datetime | None = None
    ) -> list[str]: ...

    def titles(self) -> dict[str, str]: ...

    def edit(self, record_id: str, title: str) -> None: ...

    def remove(self, record_id: str) -> None: ...

    def lose_field(self, name: str) -> None: ...


def until(condition: Callable[[], bool]) -> None:
    """Wait for what another thread or process is about to do."""
    end = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < end, "waited for too long"
        time.sleep(0.01)


def rows(count: int, start: int = 0) -> list[Values]:
    """Records told apart by title and code."""
    return [{"title": f"t{n}", "code": f"c{n}"} for n in range(start, start + count)]


def drafts(values: Sequence[Values]) -> list[Draft]:
    """One draft for each record's values."""
    return [Draft(trace=f"trace-{n}", values=v) for n, v in enumerate(values)]


def read_values(system: System, record_id: str) -> dict[str, Canon]:
    """A record's canonical values, as the connector reads them."""
    fetched = system.connector.fetch(system.obj, [record_id], system.want)
    record = fetched.records[record_id]
    fields = {f.name: f for f in system.obj.fields}
    return {
        name: canonical(raw, fields[name], zone=UTC)
        for name, raw in record.values.items()
    }


class HubSpotSystem:
    """Contacts of the sandbox, with properties of their own."""

    name = "hubspot"
    page, changed_page = 100, 200
    bad: Mapping[str, tuple[Values, Code]] = {
        "option": ({"colour": "no_such"}, Code.OPTION_UNKNOWN),
        "length": ({"note": "x" * 65_537}, Code.VALUE_TOO_LONG),
        "number": ({"amount": "9" * 400}, Code.VALUE_INVALID),
        "taken": ({"code": "taken"}, Code.DUPLICATE_KEY),
        "read_only": ({"createdate": "2020-01-01"}, Code.FIELD_READ_ONLY),
    }

    _found: ClassVar[dict[str, ObjectType]] = {}

    def __init__(self, sandbox: SandboxServer) -> None:
        self.sandbox = sandbox
        self.naps = Naps()
        self.use(new_context())
        path = "/crm/properties/2026-03/contacts/batch/create"
        made = self.api("POST", path, _PROPERTIES)
        assert made.status_code == 201, made.text

    def use(self, context: Context) -> None:
        self.context = context
        self.connector = self.connect()

    def connect(self, token: str = "", **changes: Any) -> HubSpotConnector:
        """Another connector; its pauses take no time."""
        connector = HubSpotConnector(
            {"base_url": changes.pop("base_url", self.sandbox.hubspot_url)},
            {"token": token or self.sandbox.token},
            changes.pop("context", self.context),
        )
        connector._door._sleep = self.naps
        return connector

    def api(self, method: str, path: str, body: object = None) -> requests.Response:
        """A call as another integration makes it."""
        return requests.request(
            method,
            self.sandbox.hubspot_url + path,
            json=body,
            headers={"Authorization": f"Bearer {self.sandbox.tokens['Second app']}"},
            timeout=10,
        )

    @property
    def obj(self) -> ObjectType:
        """Discovered once a session: it takes a call for each of HubSpot's objects."""
        if not self._found:
            self._found["contacts"] = self.discover("contacts")
        return self._found["contacts"]

    def discover(self, name: str) -> ObjectType:
        found = self.connector.discover().object(name)
        assert found is not None
        return found

    @property
    def want(self) -> Want:
        return Want(FIELDS)

    @property
    def count(self) -> Any:
        return self.sandbox.control.count

    def plant(self, rows: Iterable[Values], *, at: datetime | None = None) -> list[str]:
        account, clock = self.sandbox.hubspot.main, self.sandbox.hubspot.clock
        if at is not None:
            clock.now = at.timestamp  # type: ignore[method-assign]
        try:
            with account.store.transaction():
                kind = account.catalogue.kind("contacts")
                made = [
                    account.records.create(kind, {k: _wire(v) for k, v in row.items()})
                    for row in rows
                ]
        finally:
            if at is not None:
                del clock.now
        return [str(record.id) for record in made]

    def titles(self) -> dict[str, str]:
        store = self.sandbox.hubspot.main.store
        with store.lock:
            found = store.all(
                "SELECT id, json_extract(properties, '$.title') FROM record "
                "WHERE kind = '0-1' AND archived IS NULL"
            )
        return {str(record_id): title for record_id, title in found}

    def edit(self, record_id: str, title: str) -> None:
        path = f"/crm/objects/2026-03/contacts/{record_id}"
        self.api("PATCH", path, {"properties": {"title": title}}).raise_for_status()

    def remove(self, record_id: str) -> None:
        path = f"/crm/objects/2026-03/contacts/{record_id}"
        self.api("DELETE", path).raise_for_status()

    def lose_field(self, name: str) -> None:
        path = f"/crm/properties/2026-03/contacts/{name}"
        self.api("DELETE", path).raise_for_status()


def _wire(value: Canon) -> object:
    return ";".join(value) if isinstance(value, list) else value


def _options(values: Iterable[str]) -> list[dict[str, str]]:
    return [{"label": value.title(), "value": value} for value in values]


_PROPERTIES = {
    "inputs": [
        {"name": name, "label": name, "groupName": "information"}
        | {"type": kind, "fieldType": form}
        | more
        for name, kind, form, more in (
            ("title", "string", "text", {}),
            ("code", "string", "text", {"hasUniqueValue": True}),
            ("amount", "number", "number", {}),
            ("flag", "bool", "booleancheckbox", {}),
            ("day", "date", "date", {}),
            ("moment", "datetime", "date", {}),
            ("colour", "enumeration", "select", {"options": _options(COLOURS)}),
            ("tags", "enumeration", "checkbox", {"options": _options(TAGS)}),
            ("note", "string", "textarea", {}),
        )
    ]
}

PROBES = """
CREATE TYPE colour AS ENUM ('red', 'green', 'blue');
CREATE TABLE probes (
  id int GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY, title text,
  code varchar(40) UNIQUE, amount numeric(18,4), flag boolean, day date,
  moment timestamptz, colour colour, tags text[], note varchar(2000),
  fixed text GENERATED ALWAYS AS ('f') STORED,
  changed_at timestamptz NOT NULL DEFAULT clock_timestamp());
CREATE INDEX ON probes (changed_at, id);
CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
  IF NEW IS DISTINCT FROM OLD THEN NEW.changed_at := clock_timestamp(); END IF;
  RETURN NEW; END $$;
CREATE TRIGGER touch BEFORE UPDATE ON probes FOR EACH ROW EXECUTE FUNCTION touch();
"""


class PostgresSystem:
    """The table `probes` of a database of its own."""

    name = "postgres"
    page = changed_page = 1000
    bad: Mapping[str, tuple[Values, Code]] = {
        "option": ({"colour": "no_such"}, Code.OPTION_UNKNOWN),
        "length": ({"note": "x" * 2_001}, Code.VALUE_TOO_LONG),
        "number": ({"amount": "9" * 400}, Code.VALUE_INVALID),
        "taken": ({"code": "taken"}, Code.DUPLICATE_KEY),
        "read_only": ({"fixed": "x"}, Code.FIELD_READ_ONLY),
        "date": ({"day": "2026-02-30"}, Code.VALUE_INVALID),
        "nul": ({"title": "a\0b"}, Code.VALUE_INVALID),
    }

    def __init__(self, dsn: str) -> None:
        self.dsn = dsn
        self.use(new_context())

    def use(self, context: Context) -> None:
        self.context = context
        self.connector = self.connect()

    def connect(self, dsn: str = "", **changes: Any) -> PostgresConnector:
        context = changes.pop("context", self.context)
        return PostgresConnector(changes, {"dsn": dsn or self.dsn}, context)

    def run(self, statement: str, *values: Any) -> list[tuple[Any, ...]]:
        """Rows of a statement as another program sends it."""
        with psycopg.connect(self.dsn, autocommit=True) as conn:
            cursor = conn.execute(sql.SQL(statement), values or None)
            return cursor.fetchall() if cursor.description else []

    @cached_property
    def obj(self) -> ObjectType:
        return self.table("probes")

    def table(self, name: str) -> ObjectType:
        """A table as the connector discovers it now."""
        found = self.connector.discover().object(name)
        assert found is not None
        return found

    @property
    def want(self) -> Want:
        return Want(FIELDS, changed_field="changed_at")

    def plant(self, rows: Iterable[Values], *, at: datetime | None = None) -> list[str]:
        statement = sql.SQL("INSERT INTO probes ({}) VALUES ({}) RETURNING id")
        ids: list[str] = []
        with psycopg.connect(self.dsn) as conn, conn.cursor() as cursor:
            given = [dict(row) | ({"changed_at": at} if at else {}) for row in rows]
            if not given:
                return ids
            names = sorted({name for row in given for name in row})
            cursor.executemany(
                statement.format(
                    sql.SQL(", ").join(map(sql.Identifier, names)),
                    sql.SQL(", ").join([sql.Placeholder()] * len(names)),
                ),
                [[row.get(name) for name in names] for row in given],
                returning=True,
            )
            for result in cursor.results():
                ids += [str(row[0]) for row in result.fetchall()]
        return ids

    def titles(self) -> dict[str, str]:
        return {str(i): t for i, t in self.run("SELECT id, title FROM probes")}

    def edit(self, record_id: str, title: str) -> None:
        self.run("UPDATE probes SET title = %s WHERE id = %s", title, int(record_id))

    def remove(self, record_id: str) -> None:
        self.run("DELETE FROM probes WHERE id = %s", int(record_id))

    def lose_field(self, name: str) -> None:
        self.run(f"ALTER TABLE probes DROP COLUMN {name}")
