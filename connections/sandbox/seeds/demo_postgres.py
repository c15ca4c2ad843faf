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
CREATE INDEX ON companies (updated_at, id);
CREATE INDEX ON people (updated_at, id);
CREATE INDEX ON people (company_id);
CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
  IF NEW IS DISTINCT FROM OLD THEN NEW.updated_at := clock_timestamp(); END IF;
  RETURN NEW; END $$;
CREATE TRIGGER touch BEFORE UPDATE ON companies FOR EACH ROW EXECUTE FUNCTION touch();
CREATE TRIGGER touch BEFORE UPDATE ON people FOR EACH ROW EXECUTE FUNCTION touch();
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
        _people(conn, ids)


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
) -> None:
    rows = []
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
        rows += [row] * (2 if number == business.TWIN_PERSON else 1)
    names = "email, first_name, last_name, phone, job_title, company_id"
    with conn.cursor() as cursor:
        cursor.executemany(
            f"INSERT INTO people ({names}) VALUES (%s, %s, %s, %s, %s, %s)", rows
        )
