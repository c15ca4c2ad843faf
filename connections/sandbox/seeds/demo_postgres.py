"""The PostgreSQL half of the demo."""

from __future__ import annotations

import psycopg

from connections.sandbox.seeds import business

SCHEMA = """
CREATE TABLE companies (
  id serial PRIMARY KEY,
  name text NOT NULL,
  domain text,
  phone text,
  city text,
  annual_revenue numeric(12,2),
  updated_at timestamptz NOT NULL DEFAULT clock_timestamp());
CREATE TABLE people (
  id serial PRIMARY KEY,
  email text,
  first_name text,
  last_name text,
  phone text,
  job_title text,
  company_id int REFERENCES companies ON DELETE SET NULL,
  updated_at timestamptz NOT NULL DEFAULT clock_timestamp());
CREATE TABLE deals (
  id serial PRIMARY KEY,
  name text NOT NULL,
  amount numeric(12,2),
  stage text,
  company_id int REFERENCES companies ON DELETE SET NULL,
  person_id int REFERENCES people ON DELETE SET NULL,
  updated_at timestamptz NOT NULL DEFAULT clock_timestamp());
CREATE TABLE vessels (
  id serial PRIMARY KEY,
  name text NOT NULL,
  imo_number text UNIQUE,
  tonnage numeric(10,0),
  updated_at timestamptz NOT NULL DEFAULT clock_timestamp());
CREATE TABLE vessel_companies (
  vessel_id int REFERENCES vessels ON DELETE CASCADE,
  company_id int REFERENCES companies ON DELETE CASCADE,
  role text,
  UNIQUE (vessel_id, company_id, role));
CREATE INDEX ON companies (updated_at, id);
CREATE INDEX ON people (updated_at, id);
CREATE INDEX ON people (company_id);
CREATE INDEX ON deals (updated_at, id);
CREATE INDEX ON vessels (updated_at, id);
CREATE INDEX ON vessel_companies (company_id);
CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
  IF NEW IS DISTINCT FROM OLD THEN NEW.updated_at := clock_timestamp(); END IF;
  RETURN NEW; END $$;
CREATE TRIGGER touch BEFORE UPDATE ON companies FOR EACH ROW EXECUTE FUNCTION touch();
CREATE TRIGGER touch BEFORE UPDATE ON people FOR EACH ROW EXECUTE FUNCTION touch();
CREATE TRIGGER touch BEFORE UPDATE ON deals FOR EACH ROW EXECUTE FUNCTION touch();
CREATE TRIGGER touch BEFORE UPDATE ON vessels FOR EACH ROW EXECUTE FUNCTION touch();
"""


def plant(dsn: str) -> None:
    """Make the tables and fill them; a database that has them is left alone."""
    with psycopg.connect(dsn) as conn:
        if conn.execute(
            "SELECT to_regclass('public.people') IS NOT NULL"
        ).fetchone() == (True,):
            return
        conn.execute(SCHEMA)
        ids = _companies(conn)
        people = _people(conn, ids)
        _deals(conn, ids, people)
        _vessels(conn, ids)


def _companies(conn: psycopg.Connection[tuple[object, ...]]) -> dict[int, int]:
    rows = []
    for number, company in enumerate(business.companies()):
        if number not in business.HUBSPOT_ONLY_COMPANIES:
            phone = company.phone
            if number in business.PHONE_DIFFERS:
                phone = f"{phone}0"
            revenue = None if number == business.ROUNDED else company.revenue
            row = (company.name, company.domain, phone, company.city, revenue)
            rows.append((number, row))
    names = "name, domain, phone, city, annual_revenue"
    with conn.cursor() as cursor:
        cursor.executemany(
            f"INSERT INTO companies ({names}) VALUES (%s, %s, %s, %s, %s)",
            [row for _, row in rows],
        )
    # The key counts from one, in the order of the rows.
    return {number: at for at, (number, _) in enumerate(rows, start=1)}


def _people(
    conn: psycopg.Connection[tuple[object, ...]], companies: dict[int, int]
) -> dict[int, int]:
    rows: list[tuple[object, ...]] = []
    ids: dict[int, int] = {}
    for number, person in enumerate(business.people()):
        if number in business.HUBSPOT_ONLY_PEOPLE:
            continue
        title = person.title
        if number in business.TITLE_DIFFERS:
            title = f"{title} (former)"
        employer = companies.get(-1 if person.company is None else person.company)
        if number == business.ORPHAN:
            employer = None
        row = (
            person.email,
            person.first,
            person.last,
            person.phone,
            title,
            employer,
        )
        ids[number] = len(rows) + 1
        rows += [row] * (2 if number == business.TWIN_PERSON else 1)
    names = "email, first_name, last_name, phone, job_title, company_id"
    with conn.cursor() as cursor:
        cursor.executemany(
            f"INSERT INTO people ({names}) VALUES (%s, %s, %s, %s, %s, %s)", rows
        )
    return ids


def _deals(
    conn: psycopg.Connection[tuple[object, ...]],
    companies: dict[int, int],
    people: dict[int, int],
) -> None:
    rows = [
        (
            deal.name,
            deal.amount,
            business.STAGES[deal.stage],
            companies[deal.company],
            people[deal.person],
        )
        for number, deal in enumerate(business.deals())
        if number not in business.HUBSPOT_ONLY_DEALS
    ]
    names = "name, amount, stage, company_id, person_id"
    with conn.cursor() as cursor:
        cursor.executemany(
            f"INSERT INTO deals ({names}) VALUES (%s, %s, %s, %s, %s)", rows
        )


def _vessels(
    conn: psycopg.Connection[tuple[object, ...]], companies: dict[int, int]
) -> None:
    ships = [
        ship
        for number, ship in enumerate(business.vessels())
        if number not in business.HUBSPOT_ONLY_VESSELS
    ]
    roles = [
        (vessel_id, companies[place], role)
        for vessel_id, ship in enumerate(ships, start=1)
        for role, place in ship.companies.items()
    ]
    with conn.cursor() as cursor:
        cursor.executemany(
            "INSERT INTO vessels (name, imo_number, tonnage) VALUES (%s, %s, %s)",
            [(ship.name, ship.imo, ship.tonnage) for ship in ships],
        )
        cursor.executemany("INSERT INTO vessel_companies VALUES (%s, %s, %s)", roles)
