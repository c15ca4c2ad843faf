"""What the admin shows, made directly in the database: no system is asked."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

from associations.models import AssociationLink, AssociationMapping, AssociationType
from connections.models import ConnectedApp, HubSpotAccount, RateBudget
from connections.records import (
    Field,
    ObjectType,
    Option,
    ReferenceField,
    Schema,
    ValueType,
)
from connections.schemas import save_schema
from syncs.models import (
    Change,
    FieldMapping,
    LogEntry,
    MatchKey,
    ObjectSync,
    RecordKey,
    RecordLink,
    SyncRun,
)

TOKEN = "pat-eu1-11111111-2222-3333-4444-55555555wxyz"
DSN = "postgresql://ops:hunter2-and-more@db.invalid:5432/operations"
TEXT, TIME = ValueType.TEXT, ValueType.DATETIME

COMPANY = ObjectType(
    "companies",
    "0-2",
    "Companies",
    fields=(
        Field("name", TEXT, "Name"),
        Field("domain", TEXT, "Domain"),
        Field(
            "industry",
            ValueType.OPTION,
            "Industry",
            options=(Option("SOFTWARE"), Option("RETAIL")),
        ),
        Field("createdate", TIME, "Created", read_only=True),
        Field("ext_id", TEXT, "External id", unique=True),
    ),
    display_field="name",
)
CONTACT = ObjectType(
    "contacts",
    "0-1",
    "Contacts",
    fields=(Field("email", TEXT, "Email"), Field("firstname", TEXT, "First name")),
    display_field="email",
)
FIRMS = ObjectType(
    "firms",
    "public.firms",
    fields=(
        Field("id", ValueType.NUMBER, read_only=True, unique=True),
        Field("name", TEXT),
        Field("domain", TEXT),
        Field("industry", TEXT),
        Field("updated_at", TIME),
    ),
)
PEOPLE = ObjectType(
    "people",
    "public.people",
    fields=(
        Field("id", ValueType.NUMBER, read_only=True, unique=True),
        Field("email", TEXT),
        Field("first_name", TEXT),
        Field("updated_at", TIME),
    ),
    references=(ReferenceField("firm_id", "firms", columns=("firm_id",)),),
)


def open_office() -> SimpleNamespace:
    """An account, an app and two syncs, ready to run."""
    account = HubSpotAccount.objects.create(
        name="Acme",
        base_url="http://hubspot.invalid",
        credentials={"token": TOKEN},
        credential_env={"token": "${HUBSPOT_TOKEN}"},
        discovered_at=datetime.now(UTC),
    )
    app = ConnectedApp.objects.create(
        name="Ops",
        kind="postgres",
        hubspot=account,
        credentials={"dsn": DSN},
        settings={"schema": "public"},
        discovered_at=datetime.now(UTC),
    )
    save_schema(account, Schema((COMPANY, CONTACT)))
    save_schema(app, Schema((FIRMS, PEOPLE)))
    common = {"app": app, "matching": "fields", "app_cursor": "updated_at"}
    companies = ObjectSync.objects.create(
        name="Companies", hubspot_object="companies", app_object="firms", **common
    )
    contacts = ObjectSync.objects.create(
        name="Contacts", hubspot_object="contacts", app_object="people", **common
    )
    for sync, key, fields in (
        (companies, "domain", [("name", "name"), ("domain", "domain")]),
        (contacts, "email", [("email", "email"), ("firstname", "first_name")]),
    ):
        MatchKey.objects.create(sync=sync, hubspot=key, app=key)
        for at, (hubspot, column) in enumerate(fields):
            FieldMapping.objects.create(
                sync=sync, position=at, hubspot=hubspot, app=column
            )
    for type_id, label in ((1, "Primary"), (279, "")):
        AssociationType.objects.create(
            account=account,
            from_object="0-1",
            to_object="0-2",
            category="HUBSPOT_DEFINED",
            type_id=type_id,
            label=label,
        )
    mapping = AssociationMapping.objects.create(
        sync=contacts,
        app_field="firm_id",
        to_sync=companies,
        type="primary",
        category="HUBSPOT_DEFINED",
        type_id=1,
    )
    RateBudget.objects.create(
        key=f"hubspot:{account.pk}",
        bucket="general",
        used_today=4321,
        day=datetime.now(UTC).date(),
    )
    return SimpleNamespace(
        account=account,
        app=app,
        companies=companies,
        contacts=contacts,
        mapping=mapping,
    )


def past_run(office: SimpleNamespace, user: object, **how: object) -> SyncRun:
    """A finished run of both syncs that wrote a change of every kind."""
    began = datetime.now(UTC) - timedelta(minutes=5)
    times = {"started_at": began, "finished_at": began + timedelta(seconds=8)}
    common = {"trigger": "admin", "started_by": user, "status": "succeeded"}
    common |= {"app": office.app, **times, **how}
    run = SyncRun.objects.create(**common)
    for sync in (office.companies, office.contacts):
        child = SyncRun.objects.create(
            parent=run,
            sync=sync,
            revision=sync.revision,
            counters={
                "read": {"hubspot": 30, "app": 31},
                "created": {"hubspot": 4, "app": 5},
                "associations": {"added": {"hubspot": 7, "app": 0}},
            },
            totals={
                "in_sync": 17,
                "failing": 3,
                "excluded": 2,
                "associations": {"in_sync": 11, "pending": 6, "failing": 0},
            },
            errors=[{"code": "MATCH_AMBIGUOUS", "count": 3, "example": "maple"}],
            timings={"read": 1.25, "write": 2.5},
            **common,
        )
        LogEntry.objects.create(run=child, text="Read everything again.")
        _changes(child, sync)
    return run


def _changes(child: SyncRun, sync: ObjectSync) -> None:
    common = {"run": child, "sync": sync, "outcome": "applied"}
    if child.dry_run:
        common["outcome"] = "planned"
    link = RecordLink.objects.filter(sync=sync).first()
    Change.objects.create(
        **common,
        link=link,
        side="app",
        kind="update",
        record="Maple & <Sons>",
        before={"name": "Mapel"},
        after={"name": "Maple & <Sons>"},
        origin={"name": "Maple & <Sons>"},
        reason="name: only HubSpot moved",
        rule="one side moved",
    )
    Change.objects.create(
        **common | {"outcome": "failed"},
        side="hubspot",
        kind="create",
        record="Broken Ltd",
        after={"name": "Broken Ltd"},
        error_code="VALUE_INVALID",
        error_text="The value is refused.",
    )
    for side in ("hubspot", "app"):
        Change.objects.create(
            **common,
            link=link,
            side=side,
            kind="link",
            record="ann@example.com",
            other_record="Maple",
            before={"ids": ["4"], "field": "firm_id", "types": []},
            after={"field": "firm_id", "types": [["HUBSPOT_DEFINED", 1]]},
        )


def records(office: SimpleNamespace, count: int) -> None:
    """So many pairs of each sync, each with its key and a link to a company."""
    made = {}
    for sync in (office.companies, office.contacts):
        made[sync.pk] = RecordLink.objects.bulk_create(
            RecordLink(
                sync=sync,
                hubspot_id=str(9000 + at),
                app_id=str(at),
                hubspot_values={"email": f"p{at}@example.com", "name": f"Firm {at}"},
                app_values={"email": f"p{at}@example.com", "name": f"Firma {at}"},
                baseline={"name=name": [f"Firm {at}", f"Old firm {at}"]},
                state="in_sync" if at % 5 else "failing",
                error_code="" if at % 5 else "MATCH_AMBIGUOUS",
                candidates=[] if at % 5 else ["hubspot:9001", "app:77"],
            )
            for at in range(count)
        )
        RecordKey.objects.bulk_create(
            RecordKey(
                link=link, sync=sync, side="app", rank=0, value=f"key{at}@example.com"
            )
            for at, link in enumerate(made[sync.pk])
        )
    AssociationLink.objects.bulk_create(
        AssociationLink(
            mapping=office.mapping,
            link=contact,
            other=company if at % 4 else None,
            other_remote_id="" if at % 4 else f"far{at}",
            state="in_sync" if at % 4 else "pending",
            code="" if at % 4 else "TARGET_NOT_MATCHED",
        )
        for at, (company, contact) in enumerate(
            zip(made[office.companies.pk], made[office.contacts.pk], strict=True)
        )
    )
