"""Check a whole set-up file against the systems it names."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, cast

from associations.services import Types
from associations.setup.checking import Checked, SyncCheck
from associations.setup.guessing import Guess
from associations.setup.joins import Look
from associations.setup.keyed import first_keys
from associations.setup.labels import MissingLabel, make_labels
from associations.setup.mirrors import ends_of, stored_ends
from associations.setup.problems import Problem, Problems, hint
from associations.setup.spec import (
    AccountSpec,
    AppSpec,
    FileSpec,
    Secret,
    SyncSpec,
)
from connections import services
from connections.connectors.base import (
    AssociationConnector,
    AuthError,
    Connector,
    ConnectorError,
    ScopeError,
    TableConnector,
)
from connections.connectors.registry import HUBSPOT, KINDS
from connections.models import ConnectedApp, HubSpotAccount
from connections.records import (
    AssociationLimit,
    ObjectType,
    Report,
    Schema,
    Side,
    same_system,
)
from syncs.models import ObjectSync, RecordLink

Owner = HubSpotAccount | ConnectedApp
Limits = tuple[AssociationLimit, ...]


@dataclass
class Plan:
    """What a file comes to: rows (unsaved), schemas and checked syncs, by path."""

    owners: dict[str, Owner] = field(default_factory=dict)
    schemas: dict[str, Schema] = field(default_factory=dict)
    syncs: dict[str, Checked] = field(default_factory=dict)
    types: dict[tuple[str, str, str], Types] = field(default_factory=dict)
    limits: dict[tuple[str, str, str], Limits] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    guessed: list[Guess] = field(default_factory=list)


class LiveCheck:
    """Connects to everything a file names; `close` gives the connections back."""

    def __init__(
        self, spec: FileSpec, problems: Problems, moved: Collection[str] = ()
    ) -> None:
        self.spec, self.problems, self._moved = spec, problems, moved
        self.plan = Plan()
        self._open: dict[str, Connector] = {}
        self._accounts: dict[str, str] = {}  # the path of each account, by name
        self.missing: list[tuple[str, MissingLabel]] = []  # with the account's path

    def close(self) -> None:
        for connector in self._open.values():
            connector.close()

    def make_labels(self) -> list[Problem]:
        """Make the labels that are missing. Returns: those that could not be made."""
        problems: list[Problem] = []
        for account in dict.fromkeys(path for path, _ in self.missing):
            mine = [missing for path, missing in self.missing if path == account]
            try:
                problems += make_labels(self._hubspot(account), mine)
            except ConnectorError as exc:
                text = f"{exc.code}: {exc.message} {exc.remedy}"
                problems += [Problem(missing.problem.path, text) for missing in mine]
        return problems

    def _hubspot(self, account: str) -> AssociationConnector:
        connector = self._open[account]
        assert hasattr(connector, "association_types")
        hubspot: AssociationConnector = connector  # type: ignore[assignment]
        return hubspot

    def run(self) -> Plan:
        """Check accounts, then apps with their syncs; problems are collected."""
        for account in self.spec.accounts:
            row = account_row(account)
            self._accounts[account.name] = account.path
            self._connect(account.path, row, "token")
        for app in self.spec.apps:
            self._app(app)
        return self.plan

    def _connect(self, path: str, owner: Owner, secret: str) -> None:
        self.plan.owners[path] = owner
        if self.problems.under(path):
            return
        where = f"{path}.{secret}" if secret else path
        if secret and not owner.credentials:
            text = f"{owner.name} has no credentials yet; give them."
            self.problems.add(where, text)
            return
        try:
            connector = (
                services.open_hubspot(owner)
                if isinstance(owner, HubSpotAccount)
                else services.open_app(owner)
            )
            self._open[path] = connector
            report = connector.test()
            self._same_system(where, owner, report)
            owner.identity = report.account[:200]
            owner.system_id = report.system or owner.system_id
            for warning in report.warnings:
                self.plan.warnings.append(f"{owner.name}: {warning}")
            self.plan.schemas[path] = connector.discover()
        except ConnectorError as exc:
            refused = isinstance(exc, AuthError | ScopeError)
            at = where if refused else path
            self.problems.add(at, f"{exc.code}: {exc.message} {exc.remedy}")

    def _same_system(self, path: str, owner: Owner, report: Report) -> None:
        """Ids are a system's own: another portal's or database's records are not those
        paired."""
        is_account = isinstance(owner, HubSpotAccount)
        through = "sync__app__hubspot" if is_account else "sync__app"
        if (
            owner.name not in self._moved
            and not same_system(owner.system_id, report.system)
            and RecordLink.objects.filter(**{through: owner.pk}).exists()
        ):
            text = (
                f"This leads to {report.account}, and the records paired so far are of "
                f"{owner.identity}: give the other one "
                f"{'an account' if is_account else 'an app'} of its own."
            )
            if not is_account:
                text += (
                    " If it is the same data, moved, add --moved with the app's name."
                )
            self.problems.add(path, text)

    def _app(self, app: AppSpec) -> None:
        account = self._account(app)
        if account is None:
            return
        names = KINDS[app.kind].credential_names if app.kind else ()
        given = [name for name in names if name in app.credentials]
        secret = next((f"credentials.{name}" for name in (*given, *names)), "")
        hubspot = self.plan.owners[account]
        assert isinstance(hubspot, HubSpotAccount), "an account's path"
        if app.kind:
            self._connect(app.path, app_row(app, hubspot), secret)
        if account in self.plan.schemas and app.path in self.plan.schemas:
            self._syncs(app, account)

    def _account(self, app: AppSpec) -> str | None:
        """The path of the app's account, which may be one that is stored."""
        if app.hubspot in self._accounts:
            return self._accounts[app.hubspot]
        stored = HubSpotAccount.objects.filter(name=app.hubspot).first()
        if stored is None:
            names = [
                *self._accounts,
                *HubSpotAccount.objects.values_list("name", flat=True),
            ]
            if app.hubspot:
                self.problems.add(
                    f"{app.path}.hubspot",
                    f"There is no HubSpot account {app.hubspot!r}."
                    f"{hint(app.hubspot, names)}",
                )
            return None
        path = self._accounts[app.hubspot] = f"{app.path}.hubspot"
        self._connect(path, stored, "token")
        return path

    def _syncs(self, app: AppSpec, account: str) -> None:
        schemas = {
            Side.HUBSPOT: self.plan.schemas[account],
            Side.APP: self.plan.schemas[app.path],
        }
        named = {s.name: (s.hubspot_object, s.app_object) for s in app.syncs}
        renamed = {s.renamed_from for s in app.syncs}
        row = self.plan.owners[app.path]
        labels = self._open[account].capabilities.carries_labels
        for stored in ObjectSync.objects.filter(app=row.pk, archived_at=None):
            if stored.name not in renamed:
                objects = (stored.hubspot_object, stored.app_object)
                named.setdefault(stored.name, objects)
        keys = first_keys(row.pk) if row.pk else {}
        checks: list[tuple[SyncSpec, SyncCheck, SyncSpec]] = []
        for sync in app.syncs:
            check = SyncCheck(
                sync,
                schemas,
                self.problems,
                kind=app.kind,
                labels=labels,
                link_table=link_table_of(self._open[app.path]),
            )
            settled = check.fields()
            keys.pop(sync.name, None)
            if settled is not None:
                keys[sync.name] = settled.match[0] if settled.match else ()
                checks.append((sync, check, settled))
        mapped = stored_ends(row.pk, but={s.name for s in app.syncs} | renamed)
        for sync, check, settled in checks:
            self._same_objects(sync, row, check.objects)
            ends = ends_of(schemas[Side.APP], mapped)
            types = check.links(
                named, lambda a, b: self._types(account, a, b), keys, ends
            )
            mapped += [
                (sync.name, sync.app_object, link.app_field)
                for link in check.spec.associations
                if not link.by and link.join is None
            ]
            settled = replace(settled, associations=check.spec.associations)
            self.plan.syncs[sync.path] = Checked(
                settled, check.objects, types, check.kept
            )
            self.missing += [(account, missing) for missing in check.missing]
            self.plan.guessed += check.guessed
            self.plan.warnings += [f"{app.name} \u203a {w}" for w in check.warnings]

    def _same_objects(
        self, spec: SyncSpec, app: Owner, objects: Mapping[Side, ObjectType]
    ) -> None:
        """A sync's pairs are of its two objects: ids of others mean other records."""
        if app.pk is None:
            return
        mine = ObjectSync.objects.filter(app=app.pk)
        stored = (
            mine.filter(name=spec.name).first()
            or mine.filter(name=spec.renamed_from or spec.name).first()
        )
        if stored is None or not stored.record_links.filter(
            hubspot_id__isnull=False, app_id__isnull=False
        ):
            return
        for side, name in (
            (Side.HUBSPOT, stored.hubspot_object),
            (Side.APP, stored.app_object),
        ):
            if side in objects and name not in (objects[side].name, objects[side].id):
                self.problems.add(
                    f"{spec.path}.{side}_object",
                    f"The sync has paired records of {name}, and its object cannot "
                    "change: give the new one a sync of another name.",
                )

    def _types(self, account: str, from_object: str, to_object: str) -> Types:
        key = account, from_object, to_object
        if key not in self.plan.types:
            hubspot = self._hubspot(account)
            for ends in dict.fromkeys([key, (account, to_object, from_object)]):
                self.plan.types[ends] = hubspot.association_types(*ends[1:])
                self.plan.limits[ends] = hubspot.association_limits(*ends[1:])
        return self.plan.types[key]


def link_table_of(connector: Connector) -> Look | None:
    """What asks an app about its join tables; None where it has none."""
    if not connector.capabilities.link_tables:
        return None
    return cast(TableConnector, connector).link_table


def _stored(model: type[Any], spec: AccountSpec | AppSpec) -> Any:
    """The row that a spec is about, by its name or the one it had."""
    return (
        model.objects.filter(name=spec.name).first()
        or model.objects.filter(name=spec.renamed_from or spec.name).first()
        or model()
    )


def _secrets(owner: Owner, given: Mapping[str, Secret]) -> None:
    """Put credentials on a row; those that are not given stay, but for those of another
    way to log in."""
    kind = KINDS[owner.kind if isinstance(owner, ConnectedApp) else HUBSPOT]
    owner.credentials = kind.merged(
        owner.credentials, {key: secret.value for key, secret in given.items()}
    )
    kept = {k: v for k, v in owner.credential_env.items() if k not in given}
    kept |= {key: secret.template for key, secret in given.items() if secret.template}
    owner.credential_env = {k: v for k, v in kept.items() if k in owner.credentials}


def account_row(spec: AccountSpec) -> HubSpotAccount:
    """The account as the file wants it, unsaved."""
    row: HubSpotAccount = _stored(HubSpotAccount, spec)
    for name in (
        "name",
        "base_url",
        "api_version",
        "requests_per_10s",
        "association_requests_per_10s",
        "search_per_second",
    ):
        setattr(row, name, getattr(spec, name))
    row.archived_at = None
    _secrets(row, {"token": spec.token} if spec.token else {})
    return row


def app_row(spec: AppSpec, hubspot: HubSpotAccount) -> ConnectedApp:
    """The app as the file wants it, unsaved."""
    row: ConnectedApp = _stored(ConnectedApp, spec)
    row.name, row.kind, row.hubspot = spec.name, spec.kind, hubspot
    row.settings = dict(spec.settings)
    row.archived_at = None
    _secrets(row, spec.credentials)
    return row
