"""A HubSpot and a PostgreSQL that hold all cells of one choice of types."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import psycopg

from associations.models import AssociationLink, LinkState
from associations.setup.applying import apply
from associations.setup.problems import SetupRefused
from connections.sandbox.hubspot.links import Pair
from connections.sandbox.server import SandboxServer
from syncs import services
from syncs.models import ObjectSync, SyncRun
from syncs.models.choices import Trigger
from tests.campaign.portal import OBJECTS, Portal
from tests.matrix.spec import (
    CONFLICT,
    KINDS,
    LABELLED,
    MOST_LINKS,
    TYPES,
    Cell,
    Standing,
    cells,
    edited,
    refusal,
    start,
)
from tests.vendor import all_edges, all_records, vendor_client

COMPANIES = ("a", "b", "c", "e", "f")  # on both sides from the start
KEYLESS = ("x1", "x2", "x3", "x4")
# By direction: HubSpot's object, what its records are called by, and the ids of the
# plain and the primary type to companies.
OBJECT = {
    "two_way": ("contacts", "email", 279, 1),
    "to_hubspot": ("deals", "dealname", 341, 5),
    "to_app": ("tickets", "subject", 339, 26),
}
NEEDED = {
    "contacts": {},
    "deals": {"pipeline": "default", "dealstage": "appointmentscheduled"},
    "tickets": {"hs_pipeline": "0", "hs_pipeline_stage": "1"},
}
LABELS = {"one": "One", "two": "Two", "adviser": "Adviser", "other": "Other"}
INVERSE = {"adviser": "Advised by"}
YAML_TYPES: dict[str, object] = {
    "primary": "primary",
    "default": "default",
    "label": "One",
    "two_labels": ["One", "Two"],
    "paired_label": "Adviser",
}
FIELDS = {
    "single": "company_id",
    "foreign_key": "company_code",
    "multi": "company_ids",
    "match_key": "company_domain",
}
KEY = "{}.example"  # what a company is called by on both sides
SCHEMA = """
CREATE TABLE companies (
  id serial PRIMARY KEY, domain text UNIQUE, code text NOT NULL UNIQUE,
  active boolean NOT NULL DEFAULT true,
  updated_at timestamptz NOT NULL DEFAULT clock_timestamp());
CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
  IF NEW IS DISTINCT FROM OLD THEN NEW.updated_at := clock_timestamp(); END IF;
  RETURN NEW; END $$;
CREATE TRIGGER touch BEFORE UPDATE ON companies FOR EACH ROW EXECUTE FUNCTION touch();
"""
TABLE = """
CREATE TABLE {0} (
  id serial PRIMARY KEY, key text NOT NULL UNIQUE,
  company_id int REFERENCES companies, company_code text REFERENCES companies (code),
  company_ids int[] NOT NULL DEFAULT '{{}}', company_domain text,
  updated_at timestamptz NOT NULL DEFAULT clock_timestamp());
CREATE TRIGGER touch BEFORE UPDATE ON {0} FOR EACH ROW EXECUTE FUNCTION touch();
CREATE TABLE {0}_links (
  record int NOT NULL REFERENCES {0}, company int NOT NULL REFERENCES companies,
  role text, note text DEFAULT 'kept');
"""


@dataclass(frozen=True)
class Place:
    """One sync: where some cells' records live."""

    direction: str
    kinds: tuple[str, ...]

    @property
    def table(self) -> str:
        only = f"_{self.kinds[0]}" if self.direction == "two_way" else ""
        return f"{OBJECT[self.direction][0]}{only}"


def places(mine: Sequence[Cell]) -> Iterator[Place]:
    """Where some cells live."""
    kinds = tuple(dict.fromkeys(cell.kind for cell in mine))
    for direction in dict.fromkeys(cell.direction for cell in mine):
        if direction == "two_way":
            yield from (Place(direction, (kind,)) for kind in kinds)
        else:
            yield Place(direction, kinds)


def key_of(cell: Cell) -> str:
    """What a cell's record is called by on both sides."""
    what = "".join(c if c.isalnum() else "-" for c in f"{cell.kind} {cell.event}")
    return f"{what}@x.example" if cell.direction == "two_way" else what


class Systems:
    """Both systems of a world.

    Args: types, the choice that its mappings make; only, kinds and directions (all).
    """

    def __init__(
        self, sandbox: SandboxServer, dsn: str, types: str, *only: Sequence[str]
    ) -> None:
        self.sandbox, self.dsn, self.types = sandbox, dsn, types
        self.portal, self.client = Portal(sandbox), vendor_client(sandbox)
        self.session = psycopg.connect(dsn, autocommit=True)
        self.cells = tuple(cells(types, *only))
        self.places = tuple(places(self.cells))
        self.place = {(p.direction, kind): p for p in self.places for kind in p.kinds}
        self.type_ids: dict[str, dict[str, tuple[str, int]]] = {}
        self.records: dict[Cell, str] = {}  # ids in HubSpot
        self.companies: dict[str, str] = {}  # ids in HubSpot
        self.rows: dict[str, int] = {}  # ids of companies in the app
        self._make_types()
        self._make_tables()
        self._make_companies()
        self._make_records()

    def close(self) -> None:
        self.session.close()

    def sql(self, statement: str, *values: Any) -> list[tuple[Any, ...]]:
        cursor = self.session.execute(statement, values or None)
        return cursor.fetchall() if cursor.description else []

    # What is there from the start ---------------------------------------------------------

    def _make_types(self) -> None:
        """HubSpot's types by object: its own, and labels that an administrator makes."""
        account = self.sandbox.hubspot.main
        company = account.catalogue.kind("companies")
        for name, _, plain, primary in OBJECT.values():
            found = {
                "plain": ("HUBSPOT_DEFINED", plain),
                "primary": ("HUBSPOT_DEFINED", primary),
            }
            for word in ({*TYPES[self.types]} & LABELS.keys()) | {"other"}:
                body = {"name": word, "label": LABELS[word]}
                body |= {"inverseLabel": INVERSE[word]} if word in INVERSE else {}
                path = f"/crm/v4/associations/{name}/companies/labels"
                self.portal.call("POST", path, body)
                listed = self.portal.call("GET", path)["results"]
                (made,) = (t for t in listed if t["label"] == LABELS[word])
                found[word] = (made["category"], made["typeId"])
            self.type_ids[name] = found
            near = account.catalogue.kind(name)
            with account.store.transaction():
                account.caps.configure(
                    (near.type_id, company.type_id), found["plain"], MOST_LINKS
                )

    def _make_tables(self) -> None:
        self.sql(SCHEMA)
        for place in self.places:
            self.sql(TABLE.format(place.table))

    def _make_companies(self) -> None:
        for word in (*COMPANIES, *KEYLESS, "n"):
            self.arrive_in_hubspot(word)
        for word in (*COMPANIES, "m"):
            self.arrive_in_app(word)

    def arrive_in_hubspot(self, word: str) -> None:
        key = "name" if word in KEYLESS else "domain"
        values = {key: KEY.format(word)}
        self.companies[word] = self.portal.create("companies", values)

    def arrive_in_app(self, word: str) -> None:
        ((self.rows[word],),) = self.sql(
            "INSERT INTO companies (domain, code, active) VALUES (%s, %s, %s) "
            "RETURNING id",
            KEY.format(word),
            word,
            word != "e",
        )

    def _make_records(self) -> None:
        by_object: dict[str, list[Cell]] = defaultdict(list)
        for cell in self.cells:
            by_object[OBJECT[cell.direction][0]].append(cell)
        for name, mine in by_object.items():
            called = next(o[1] for o in OBJECT.values() if o[0] == name)
            ids = self._create(
                name, [NEEDED[name] | {called: key_of(cell)} for cell in mine]
            )
            found = all_records(self.client, name, (called,))
            keys = {str(row[called]): i for i, row in found.items()}
            assert set(ids) == set(found)
            self.records |= {cell: keys[key_of(cell)] for cell in mine}
        for cell in self.cells:
            table = self.place[cell.direction, cell.kind].table
            self.sql(f"INSERT INTO {table} (key) VALUES (%s)", key_of(cell))
            self.show(start(cell))

    def _create(self, name: str, rows: list[dict[str, str]]) -> list[str]:
        made: list[str] = []
        for at in range(0, len(rows), 100):
            some = [{"properties": r, "associations": []} for r in rows[at : at + 100]]
            path = f"{OBJECTS}/{name}/batch/create"
            answer = self.portal.call("POST", path, {"inputs": some})
            made += [str(row["id"]) for row in answer["results"]]
        return made

    # What people do -----------------------------------------------------------------------

    def show(self, now: Standing) -> None:
        """Make both systems show what stands for a cell, as people leave it."""
        self._show_in_hubspot(now)
        self._show_in_app(now)

    def _show_in_hubspot(self, now: Standing) -> None:
        account = self.sandbox.hubspot.main
        name = OBJECT[now.cell.direction][0]
        kinds = account.catalogue.kind(name), account.catalogue.kind("companies")
        ids = self.type_ids[name]
        with account.store.transaction():
            pairs = {
                word: Pair(kinds[0], int(self.records[now.cell]), kinds[1], int(far))
                for word, far in self.companies.items()
            }
            for word, pair in pairs.items():
                wanted = {ids[t] for t in now.pairs.get(word, ())}
                had = account.links.types_of(pair)
                account.links._remove(pair, had - wanted)
                if had and had != wanted:
                    account.links._moved(pair)
            for word, types in now.pairs.items():
                account.links.graft(pairs[word], {ids[t] for t in types})

    def _show_in_app(self, now: Standing) -> None:
        table = self.place[now.cell.direction, now.cell.kind].table
        kind, held = now.cell.kind, sorted(now.held)
        if kind == "join_table":
            self._show_rows(table, now)
            return
        ids = [self.rows[word] for word in held]
        value: object = next(iter(ids), None)
        if kind == "multi":
            value = ids
        elif kind == "foreign_key":
            value = next(iter(held), None)
        elif kind == "match_key":
            value = next((KEY.format(word) for word in held), None)
        self.sql(
            f"UPDATE {table} SET {FIELDS[kind]} = %s WHERE key = %s",
            value,
            key_of(now.cell),
        )

    def _show_rows(self, table: str, now: Standing) -> None:
        """As a program would: rows that stay are left alone."""
        ((near,),) = self.sql(
            f"SELECT id FROM {table} WHERE key = %s", key_of(now.cell)
        )
        labels = TYPES[self.types] if now.cell.labelled else (None,)
        wanted = {(self.rows[word], label) for word in now.held for label in labels}
        mine = f"FROM {table}_links WHERE record = %s"
        had = set(self.sql(f"SELECT company, role {mine}", near))
        for far, label in had - wanted:
            where = "AND company = %s AND role IS NOT DISTINCT FROM %s"
            self.sql(f"DELETE {mine} {where}", near, far, label)
        for far, label in wanted - had:
            self.sql(f"INSERT INTO {table}_links VALUES (%s, %s, %s)", near, far, label)

    def edit(self) -> None:
        for cell in self.cells:
            now = edited(cell)
            if cell.what.hubspot != ("", ""):
                self._show_in_hubspot(now)
            if cell.what.app != ("", ""):
                self._show_in_app(now)
        self.sql("UPDATE companies SET active = false WHERE code = 'f'")

    def arrive(self) -> None:
        self.arrive_in_hubspot("m")
        self.arrive_in_app("n")
        self.sql("UPDATE companies SET active = true WHERE code = 'f'")

    def delete_labels(self) -> None:
        """Take a mapped label off every record, and delete it: HubSpot asks for both."""
        word = TYPES[self.types][0]
        for cell, pairs in self.links().items():
            left = {far: types - {word} for far, types in pairs.items()}
            self._show_in_hubspot(Standing(cell, left))
        for name, *_ in OBJECT.values():
            _, type_id = self.type_ids[name][word]
            path = f"/crm/v4/associations/{name}/companies/labels/{type_id}"
            self.portal.call("DELETE", path)

    # What stands --------------------------------------------------------------------------

    def links(self) -> dict[Cell, dict[str, frozenset[str]]]:
        """Every link in HubSpot, as its own client reads them."""
        words = {i: word for word, i in self.companies.items()}
        found: dict[Cell, dict[str, frozenset[str]]] = {c: {} for c in self.cells}
        for direction, (name, *_) in OBJECT.items():
            known = {i: word for word, i in self.type_ids[name].items()}
            mine = {self.records[c]: c for c in self.cells if c.direction == direction}
            edges = all_edges(self.client, name, "companies", mine)
            for (near, far), types in edges.items():
                spelt = frozenset(known[t] for t in types)
                found[mine[near]][words[far]] = spelt
        return found

    def held(self) -> dict[Cell, list[str]]:
        """What the app holds in each cell's field, in words; a row's label with it."""
        words = {i: word for word, i in self.rows.items()}
        held: dict[tuple[str, str, str], list[str]] = defaultdict(list)
        for place in self.places:
            for kind in place.kinds:
                rows = (
                    self._rows_of(place.table, words)
                    if kind == "join_table"
                    else self._fields_of(place.table, kind, words)
                )
                for key, spelt in rows:
                    held[place.table, kind, key].append(spelt)
        return {
            c: sorted(held[self.place[c.direction, c.kind].table, c.kind, key_of(c)])
            for c in self.cells
        }

    def _rows_of(
        self, table: str, words: Mapping[int, str]
    ) -> Iterator[tuple[str, str]]:
        for key, far, label in self.sql(
            f"SELECT key, company, role FROM {table}_links JOIN {table} ON id = record"
        ):
            yield key, f"{words[far]} {label}" if label is not None else words[far]

    def _fields_of(
        self, table: str, kind: str, words: Mapping[int, str]
    ) -> Iterator[tuple[str, str]]:
        named = {KEY.format(word): word for word in words.values()}
        for key, value in self.sql(f"SELECT key, {FIELDS[kind]} FROM {table}"):
            if value is not None:
                several = value if kind == "multi" else [value]
                for each in several:
                    if kind == "foreign_key":
                        yield key, each
                    else:
                        yield key, (named if kind == "match_key" else words)[each]

    def open(self) -> dict[Cell, set[tuple[str, str]]]:
        """(state, code) of every link of ours that is not in step, by cell."""
        mine = {
            (self.place[c.direction, c.kind].table, self.records[c]): c
            for c in self.cells
        }
        found: dict[Cell, set[tuple[str, str]]] = {c: set() for c in self.cells}
        rows = AssociationLink.objects.exclude(state=LinkState.IN_SYNC)
        for sync, record, state, code in rows.values_list(
            "link__sync__name", "link__hubspot_id", "state", "code"
        ):
            found[mine[sync, str(record)]].add((state, code))
        return found

    def versions(self) -> list[tuple[Any, ...]]:
        """Which transaction wrote each row last: what stays the same was not written."""
        return [
            row
            for table in ("companies", *self._tables())
            for row in self.sql(f"SELECT xmin::text, * FROM {table} ORDER BY 1, 2, 3")
        ]

    def _tables(self) -> Iterator[str]:
        for place in self.places:
            yield from (place.table, f"{place.table}_links")

    def writes(self) -> list[tuple[Any, ...]]:
        """Every write that HubSpot took."""
        done = self.sandbox.control.writes()
        return [(w["method"], w["path"], w["body"]) for w in done if w["status"] < 300]

    # Set-up and runs ----------------------------------------------------------------------

    def set_up(self) -> list[str]:
        return apply(json.dumps(self.file()), {})

    def refused(self) -> dict[tuple[str, str], str]:
        """What set-up says of the kinds that make no sense, by kind and direction."""
        file, asked = self.file(), {}
        syncs = file["apps"][0]["syncs"]
        refused = [k for k in KINDS if refusal(k, self.types)]
        for kind in refused:
            for direction in OBJECT:
                at, sync = next(
                    (at, sync)
                    for at, sync in enumerate(syncs)
                    if sync["hubspot_object"] == OBJECT[direction][0]
                )
                place = len(sync["associations"])
                sync["associations"].append(
                    mapping_file(kind, self.types, direction, sync["app_object"])
                )
                path = f"apps[0].syncs[{at}].associations[{place}].type"
                asked[path] = kind, direction
        try:
            apply(json.dumps(file), {}, check=True)
        except SetupRefused as exc:
            return {asked[p.path]: p.text for p in exc.problems}
        return {}

    def file(self) -> dict[str, Any]:
        """The set-up file."""
        fast = 1_000_000
        account = {
            "name": "Acme",
            "token": self.sandbox.token,
            "base_url": self.sandbox.hubspot_url,
            "requests_per_10s": fast,
            "association_requests_per_10s": fast,
            "search_per_second": fast,
        }
        app = {
            "name": "Ops",
            "kind": "postgres",
            "hubspot": "Acme",
            "credentials": {"dsn": self.dsn},
            "syncs": [self._companies(), *map(self._sync, self.places)],
        }
        return {"version": 1, "hubspot": [account], "apps": [app]}

    def _companies(self) -> dict[str, Any]:
        active = {"field": "active", "operator": "is", "value": True}
        return _sync_file("Companies", "companies", "companies", "domain", "domain") | {
            "filters": {"app": [active]}
        }

    def _sync(self, place: Place) -> dict[str, Any]:
        name, called, *_ = OBJECT[place.direction]
        return _sync_file(place.table, name, place.table, called, "key") | {
            "associations": [
                mapping_file(kind, self.types, place.direction, place.table)
                for kind in place.kinds
            ]
        }

    def run(self, **how: Any) -> dict[str, Any]:
        syncs = list(ObjectSync.objects.order_by("position"))
        run = services.start(syncs=syncs, trigger=Trigger.COMMAND, **how)
        services.execute(run)
        return services.report(SyncRun.objects.get(pk=run.pk))


def mapping_file(kind: str, types: str, direction: str, table: str) -> dict[str, Any]:
    """One association as the set-up file writes it. Args: table, of its records."""
    common = {
        "to": "Companies",
        "direction": direction,
        "conflict": CONFLICT.get(kind, "hubspot"),
    }
    if kind == "match_key":
        common["by"] = "match_key"
    if kind != "join_table":
        return {"app_field": FIELDS[kind], "type": YAML_TYPES[types], **common}
    join = {"name": f"{table}_links", "from": "record", "to": "company"}
    if types not in LABELLED:
        return {"join_table": join, "type": YAML_TYPES[types], **common}
    labels = {word: LABELS[word] for word in TYPES[types]}
    return {"join_table": join | {"label": "role"}, "labels": labels, **common}


def _sync_file(
    name: str, hubspot: str, app: str, hubspot_key: str, app_key: str
) -> dict[str, Any]:
    return {
        "name": name,
        "hubspot_object": hubspot,
        "app_object": app,
        "creates": "none",
        "match": [{"hubspot": hubspot_key, "app": app_key}],
        "fields": [],
        "app_cursor": "updated_at",
        "limits": {"unlink": "off", "percent": "off"},
    }
