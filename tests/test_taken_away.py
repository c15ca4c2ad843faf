"""What people take away in an app while its syncs are on: it has a code, health shows it,
the other sync goes on, nothing is lost in HubSpot, and once it is back all that changed
meanwhile arrives without a full read.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from django.urls import reverse

from connections.models import ConnectedApp
from connections.sandbox.airtable.app import Airtable
from connections.sandbox.airtable.tokens import MAIN_BASE
from connections.sandbox.host import Host
from connections.sandbox.kintone.server import KintoneServer
from connections.sandbox.server import SandboxServer
from syncs.models import ObjectSync, RecordLink, SyncRun
from tests.airtable_world import AirtableWorld
from tests.test_kintone_job import KintoneWorld
from tests.vendor import all_records

pytestmark = [pytest.mark.integration, pytest.mark.django_db(transaction=True)]
STATUSES = ("NEW", "OPEN", "IN_PROGRESS")
MAILS = [f"p{n}@acorn.example" for n in range(5)]  # nothing happens to the last two
Json = dict[str, Any]


@dataclass
class Taken:
    """What is taken away. `status` and `code` are what the contacts' sync then says;
    `both`: the companies' sync says the same. `all`: once it is back everything is read,
    since nothing tells whether a field that is called so again holds what it held."""

    what: str
    status: str
    code: str
    take: Callable[[Any], None]
    both: bool = False
    all: bool = False


class Office:
    """An app with companies and people, as whoever takes things away sees it."""

    world: Any
    given: Any = None

    def set_up(self) -> None:
        world = self.world
        (acorn,) = world.create("companies", [{"name": "A", "domain": "acorn.example"}])
        rows = [{"email": m, "hs_lead_status": "NEW"} for m in MAILS]
        rows[1]["hs_lead_status"] = "OPEN"
        self.contacts = dict(zip(MAILS, world.create("contacts", rows), strict=True))
        world.update("contacts", self.contacts[MAILS[3]], firstname="Fay")
        for mail in (MAILS[0], MAILS[3]):
            world.make_primary(self.contacts[mail], acorn)
        self.apply()
        assert self.run()["status"] == "succeeded"
        assert self.run()["status"] == "succeeded"

    def run(self) -> Json:
        report: Json = self.world.run(*ObjectSync.objects.all())
        return report

    def status_in_hubspot(self) -> str | None:
        """The status of the person whose record the app edits and whose status nobody."""
        names = ("email", "hs_lead_status")
        found = all_records(self.world.client, "contacts", names).values()
        return {row["email"]: row["hs_lead_status"] for row in found}[MAILS[1]]

    def apply(self) -> None:
        raise NotImplementedError

    def keep(self) -> None:
        """Remember how things are."""
        raise NotImplementedError

    def give_back(self) -> None:
        """Have things as they were when they were kept."""
        raise NotImplementedError

    def rename_company(self, name: str) -> None:
        raise NotImplementedError

    def person(self, mail: str) -> Json:
        """first, last and status of a person."""
        raise NotImplementedError

    def rename_person(self, mail: str, last: str) -> None:
        raise NotImplementedError


class AirtableOffice(Office):
    called: tuple[str, str] | None = None  # an option's name now, and before

    def __init__(self, sandbox: SandboxServer, host: Host, folder: Any) -> None:
        self.world = AirtableWorld(sandbox, host, folder)
        choices = {"choices": [{"name": s} for s in STATUSES]}
        made = {"name": "Status", "type": "singleSelect", "options": choices}
        self.change("make_field", "People", made, by_person=True)

    @property
    def bases(self) -> Any:
        return self.world.fake.bases

    def change(self, how: str, table: str, *args: Any, **more: Any) -> None:
        """Let a person change the base."""
        table_id = self.world.fake.table(table)["id"]
        with self.world.fake.store.transaction():
            getattr(self.bases, how)(MAIN_BASE, table_id, *args, **more)

    def call_option(self, old: str, new: str) -> None:
        """Rename an option of the status, which moves no record."""
        store, table_id = self.world.fake.store, self.world.fake.table("People")["id"]
        base = self.bases.get(MAIN_BASE)
        field_ = self.bases.field(self.bases.table(base, table_id), "Status")
        for choice in field_["options"]["choices"]:
            choice["name"] = new if choice["name"] == old else choice["name"]
        with store.transaction():
            self.bases.keep(base)
            for row in list(store.rows(table_id)):
                if row.cells.get(field_["id"]) == old:
                    row.cells[field_["id"]] = new
                    store.keep(row)
        self.called = (new, old)

    def lock(self) -> None:
        base = self.bases.get(MAIN_BASE)
        self.bases.table(base, "People")["sandboxLocked"] = True
        with self.world.fake.store.transaction():
            self.bases.keep(base)

    def apply(self) -> None:
        tree = self.world.tree()
        fields = tree["apps"][0]["syncs"][1]["fields"]
        fields.append({"hubspot": "hs_lead_status", "app": "Status"})
        self.world.apply(tree)

    def keep(self) -> None:
        self.given = copy.deepcopy(self.bases.get(MAIN_BASE))

    def give_back(self) -> None:
        if self.called:
            self.call_option(*self.called)
        self.called = None
        with self.world.fake.store.transaction():
            self.bases.keep(copy.deepcopy(self.given))
        self.log_in("everything")

    def log_in(self, token: str) -> None:
        app = ConnectedApp.objects.get()
        app.credentials = {"token": self.world.fake.tokens[token]}
        app.save()

    def rename_company(self, name: str) -> None:
        (found,) = self.world.companies_there().values()
        self.world.edit("Companies", found["id"], Name=name)

    def person(self, mail: str) -> Json:
        held = self.world.people_there()[mail]
        return {k: held.get(k, "") for k in ("Last name", "Status")}

    def rename_person(self, mail: str, last: str) -> None:
        record_id = self.world.people_there()[mail]["id"]
        self.world.edit("People", record_id, Last_name=last)


class KintoneOffice(Office):
    def __init__(self, sandbox: SandboxServer, kintone: KintoneServer) -> None:
        self.world = KintoneWorld(sandbox, kintone)
        text = {"type": "SINGLE_LINE_TEXT"}
        status = {"type": "DROP_DOWN", "options": list(STATUSES)}
        self.form("last", text)
        self.form("status", status)

    def form(self, code: str, given: Json | None) -> None:
        self.world.kintone.domain.change_form(self.world.people, code, given)

    def rename(self, old: str, new: str) -> None:
        self.world.kintone.domain.rename_field(self.world.people, old, new)

    def apply(self) -> None:
        link = {"app_field": "company", "to": "Companies", "type": "primary"}
        pairs = [("email", "email"), ("firstname", "first"), ("lastname", "last")]
        pairs.append(("hs_lead_status", "status"))
        fields = [{"hubspot": h, "app": a} for h, a in pairs]
        self.world.apply(self.world.tree(link, fields=fields))

    def keep(self) -> None:
        people = self.world.people
        self.given = copy.deepcopy(people.properties)
        self.values = {i: dict(r.values) for i, r in people.records.items()}

    def give_back(self) -> None:
        """Values that somebody wrote meanwhile stay; those that went with a field return."""
        domain, people = self.world.kintone.domain, self.world.people
        with domain.change():
            domain.apps[people.id] = people
            people.properties = copy.deepcopy(self.given)
            for i, record in people.records.items():
                old = self.values[i]
                record.values = {
                    **old,
                    **{k: v for k, v in record.values.items() if k in old},
                }
            people.holders.clear()
            for record in people.records.values():
                people.hold(record)
        self.log_in(self.world.firms, people, self.world.roles)

    def log_in(self, *apps: Any) -> None:
        app = ConnectedApp.objects.get()
        tokens = ",".join(self.world.kintone.token(a) for a in apps)
        app.credentials = {"api_tokens": tokens}
        app.save()

    def drop(self) -> None:
        """With a user, whose rights do not go with the app."""
        user, password = self.world.kintone.password
        app = ConnectedApp.objects.get()
        app.credentials = {"username": user, "password": password}
        app.save()
        self.world.kintone.domain.drop_app(self.world.people)

    def read_only(self) -> None:
        world = self.world
        tokens = (
            world.kintone.token(world.firms),
            world.kintone.token(world.people, "view"),
        )
        app = ConnectedApp.objects.get()
        app.credentials = {"api_tokens": ",".join(tokens)}
        app.save()

    def rename_company(self, name: str) -> None:
        self.world.edit(self.world.firms, "domain", "acorn.example", name=name)

    def person(self, mail: str) -> Json:
        found = self.world.people.find("email", mail)
        assert found is not None
        return {k: found.values.get(k) or "" for k in ("last", "status")}

    def rename_person(self, mail: str, last: str) -> None:
        self.world.edit(self.world.people, "email", mail, last=last)


AIRTABLE = (
    Taken(
        "the right to read records",
        "failed",
        "SCOPE_MISSING",
        lambda o: o.log_in("no records"),
        both=True,
    ),
    Taken("the right to write a table", "failed", "SCOPE_MISSING", lambda o: o.lock()),
    Taken(
        "a field's name",
        "partial",
        "FIELD_MISSING",
        lambda o: o.change("rename", "People", "First name", "Given"),
    ),
    Taken(
        "a field",
        "partial",
        "FIELD_MISSING",
        lambda o: o.change("drop_field", "People", "First name"),
    ),
    Taken(
        "a link's name",
        "partial",
        "FIELD_MISSING",
        lambda o: o.change("rename", "People", "Company", "Firm"),
    ),
    Taken(
        "a link",
        "partial",
        "FIELD_MISSING",
        lambda o: o.change("drop_field", "People", "Company"),
    ),
    Taken(
        "an option",
        "partial",
        "OPTION_UNKNOWN",
        lambda o: o.change("drop_choice", "People", "Status", "OPEN"),
    ),
    Taken(
        "an option's name",
        "partial",
        "OPTION_UNKNOWN",
        lambda o: o.call_option("OPEN", "ACTIVE"),
    ),
    Taken(
        "a table",
        "failed",
        "SCHEMA_CHANGED",
        lambda o: o.change("drop_table", "People"),
    ),
)
KINTONE = (
    Taken(
        "the right to an app",
        "failed",
        "SCOPE_MISSING",
        lambda o: o.log_in(o.world.firms),
    ),
    Taken(
        "the right to write an app", "failed", "SCOPE_MISSING", lambda o: o.read_only()
    ),
    Taken(
        "a field's code",
        "partial",
        "FIELD_MISSING",
        lambda o: o.rename("first", "given"),
    ),
    Taken(
        "a field",
        "partial",
        "FIELD_MISSING",
        lambda o: o.form("first", None),
    ),
    Taken(
        "a lookup's code",
        "partial",
        "FIELD_MISSING",
        lambda o: o.rename("company", "firm"),
    ),
    Taken(
        "a lookup",
        "partial",
        "FIELD_MISSING",
        lambda o: o.form("company", None),
    ),
    Taken(
        "an option",
        "partial",
        "OPTION_UNKNOWN",
        lambda o: o.form(
            "status", {"type": "DROP_DOWN", "options": ["NEW", "IN_PROGRESS"]}
        ),
    ),
    Taken(
        "an app",
        "failed",
        "SCHEMA_CHANGED",
        lambda o: o.drop(),
    ),
)


@dataclass
class Play:
    """Takes one thing after another away, and says of each what went otherwise."""

    office: Office
    client: Any
    wrong: list[str] = field(default_factory=list)

    def take(self, taken: Taken, number: int) -> None:
        office, world = self.office, self.office.world
        office.keep()
        linked = world.links()
        read = dict(ObjectSync.objects.values_list("name", "full_read_at"))
        office.rename_person(MAILS[1], f"app {number}")
        taken.take(office)
        office.rename_company(f"A{number}")
        world.update(
            "contacts",
            office.contacts[MAILS[0]],
            hs_lead_status="OPEN",
            firstname=f"F{number}",
        )
        world.update(
            "contacts",
            office.contacts[MAILS[2]],
            lastname=f"hubspot {number}",
            firstname=f"G{number}",
        )
        report = office.run()
        found = {s["sync"]: s for s in report["syncs"]}
        contacts, companies = found["Contacts"], found["Companies"]
        codes = {e["code"] for e in contacts["errors"]}
        self.same(taken, "status", contacts["status"], taken.status)
        self.same(taken, "codes", codes, {taken.code})
        other = taken.status if taken.both else "succeeded"
        self.same(taken, "the other sync", companies["status"], other)
        name = world.companies_in_hubspot()["acorn.example"]["name"]
        self.same(taken, "the other's change", name == f"A{number}", not taken.both)
        self.same(taken, "links", world.links(), linked)
        gone = RecordLink.objects.filter(app_gone_at__isnull=False).count()
        self.same(taken, "records taken for gone", gone, 0)
        self.health(taken, contacts["run"])
        self.same(taken, "a value nobody emptied", office.status_in_hubspot(), "OPEN")
        office.give_back()
        report = office.run()
        self.same(taken, "status once it is back", report["status"], "succeeded")
        self.same(taken, "links once it is back", world.links(), linked)
        again = dict(ObjectSync.objects.values_list("name", "full_read_at"))
        changed = {name for name in read if read[name] != again[name]}
        self.same(taken, "read in full", changed, {"Contacts"} if taken.all else set())
        last = world.contacts_in_hubspot()[MAILS[1]]["lastname"]
        self.same(taken, "the app's change", last, f"app {number}")
        held = list(office.person(MAILS[0]).values())[1]
        self.same(taken, "HubSpot's option", held, "OPEN")
        held = list(office.person(MAILS[1]).values())[1]
        self.same(taken, "a value nobody changed", held, "OPEN")
        self.same(taken, "it in HubSpot", office.status_in_hubspot(), "OPEN")
        last = next(iter(office.person(MAILS[2]).values()))
        self.same(taken, "HubSpot's change", last, f"hubspot {number}")
        name = world.companies_in_hubspot()["acorn.example"]["name"]
        self.same(taken, "the other's change at last", name, f"A{number}")
        world.update("contacts", office.contacts[MAILS[0]], hs_lead_status="NEW")
        office.run()

    def health(self, taken: Taken, run_id: int) -> None:
        """The pages that people look at: home shows the badge, the run the code."""
        home = self.client.get(reverse("admin:index")).content.decode()
        run = reverse("admin:syncs_syncrun_change", args=[run_id])
        self.same(taken, "home leads to the run", run in home, True)
        status = SyncRun.objects.get(pk=run_id).get_status_display()
        self.same(taken, "home tells the status", status in home, True)
        page = self.client.get(run).content.decode()
        self.same(taken, "the run's page tells the code", taken.code in page, True)

    def same(self, taken: Taken, what: str, found: object, wanted: object) -> None:
        if found != wanted:
            self.wrong.append(f"{taken.what}: {what}: {found!r}, not {wanted!r}")


@pytest.fixture
def sandbox() -> Iterator[SandboxServer]:
    with SandboxServer(switches={"search_lag_s": 0}) as server:
        yield server


def test_what_is_taken_away_in_airtable_and_given_back(sandbox, tmp_path, admin_client):
    with Host(Airtable()) as host:
        office = AirtableOffice(sandbox, host, tmp_path)
        office.set_up()
        play = Play(office, admin_client)
        for number, taken in enumerate(AIRTABLE):
            play.take(taken, number)
    assert not play.wrong, "\n".join(play.wrong)


def test_what_is_taken_away_in_kintone_and_given_back(sandbox, admin_client):
    with KintoneServer() as kintone:
        office = KintoneOffice(sandbox, kintone)
        office.set_up()
        play = Play(office, admin_client)
        for number, taken in enumerate(KINTONE):
            play.take(taken, number)
    assert not play.wrong, "\n".join(play.wrong)
