"""Write what is configured as a set-up file; applying it again changes nothing."""

from __future__ import annotations

import re
from typing import Any

import yaml

from associations.models import AssociationMapping, By
from associations.setup.environment import escape
from associations.setup.filters import export_filters
from associations.setup.spec import AccountSpec, SyncSpec
from connections.connectors.registry import KINDS
from connections.models import ConnectedApp, HubSpotAccount
from syncs.models import ObjectSync

STORED = "crosslink-stored-credential"
_IN_BRACES = re.compile(rf",\s*(token|credentials):\s+{STORED}")
Json = dict[str, Any]
_PLAIN_ACCOUNT = AccountSpec(path="", name="")
_PLAIN_SYNC = SyncSpec(path="", name="", hubspot_object="", app_object="")


def export(*names: str) -> str:
    """The file of every app, or of those named with their accounts.

    Raises: LookupError for an app there is not.
    """
    apps = ConnectedApp.objects.filter(archived_at=None).order_by("pk")
    accounts = HubSpotAccount.objects.filter(archived_at=None).order_by("pk")
    if names:
        apps = apps.filter(name__in=names)
        accounts = accounts.filter(apps__in=list(apps)).distinct()
        missing = set(names) - set(apps.values_list("name", flat=True))
        if missing:
            raise LookupError(*sorted(missing))
    tree: Json = {"version": 1}
    if found := [export_account(a) for a in accounts]:
        tree["hubspot"] = found
    if listed := [_app(a) for a in apps.select_related("hubspot")]:
        tree["apps"] = listed
    text: str = yaml.safe_dump(
        tree, sort_keys=False, allow_unicode=True, default_flow_style=None, width=100
    )
    return _commented(text)


def _commented(text: str) -> str:
    """Stored credentials are left out, with a comment in their place."""
    # An account, and an app without syncs, is a list item in braces, perhaps over several
    # lines; its name is first.
    while found := _IN_BRACES.search(text):
        item = text.rfind("\n- ", 0, found.start()) + 1
        whose, verb = ("account's", "is") if found[1] == "token" else ("app's", "are")
        note = f"# The next {whose} {found[1]} {verb} stored here, not exported.\n"
        text = text[:item] + note + text[item : found.start()] + text[found.end() :]
    lines = []
    for line in text.splitlines():
        if STORED in line:
            lead = line[: len(line) - len(line.lstrip())]
            line = f"{lead}# credentials: stored here, not exported"
        lines.append(line)
    return "\n".join(lines) + "\n"


def _text(value: Any) -> Any:
    if isinstance(value, str):
        return escape(value)
    if isinstance(value, dict):
        return {k: _text(v) for k, v in value.items()}
    if isinstance(value, list):
        return [_text(v) for v in value]
    return value


def export_account(account: HubSpotAccount) -> Json:
    """An account, as the file says it; no credential."""
    found: Json = {"name": escape(account.name)}
    found["token"] = account.credential_env.get("token", STORED)
    for name in (
        "api_version",
        "base_url",
        "requests_per_10s",
        "association_requests_per_10s",
        "search_per_second",
    ):
        value = getattr(account, name)
        if value != getattr(_PLAIN_ACCOUNT, name):
            found[name] = _number(value) if isinstance(value, float) else escape(value)
    return found


def _number(value: float) -> float | int:
    return int(value) if value == int(value) else value


def _app(app: ConnectedApp) -> Json:
    found = export_app(app)
    syncs = app.syncs.filter(archived_at=None).order_by("position", "pk")
    if listed := [export_sync(s) for s in syncs]:
        found["syncs"] = listed
    return found


def export_app(app: ConnectedApp) -> Json:
    """An app without its syncs, as the file says it; no credential."""
    found: Json = {
        "name": escape(app.name),
        "kind": app.kind,
        "hubspot": escape(app.hubspot.name),
    }
    if app.settings:
        found["settings"] = {
            key: _number(value) if isinstance(value, float) else _text(value)
            for key, value in app.settings.items()
        }
    if names := KINDS[app.kind].credential_names:
        secrets = {n: app.credential_env[n] for n in names if n in app.credential_env}
        found["credentials"] = secrets or STORED
    return found


def export_sync(sync: ObjectSync) -> Json:
    """One sync, as the file says it."""
    found: Json = {
        "name": escape(sync.name),
        "hubspot_object": escape(sync.hubspot_object),
        "app_object": escape(sync.app_object),
    }
    for name in ("direction", "conflict", "creates"):
        _unless_usual(found, name, getattr(sync, name))
    if sync.matching == "none":
        found["matching"] = "none"
    elif sync.matching == "fields":
        found["match"] = _match(sync)
    if sync.marker:
        found["marker"] = _text(dict(sync.marker))
    found["fields"] = [_field(m) for m in sync.field_mappings.all()]
    if sync.on_create:
        found["on_create"] = _text(dict(sync.on_create))
    if filters := export_filters(sync):
        found["filters"] = filters
    for name in ("deletes", "hard_delete"):
        _unless_usual(found, name, getattr(sync, name))
    if sync.archive:
        found["archive"] = _text(dict(sync.archive))
    if sync.limits:
        found["limits"] = {
            name: "off" if most is None else most for name, most in sync.limits.items()
        }
    if sync.every_s != _PLAIN_SYNC.every_s:
        found["every"] = "off" if sync.every_s is None else duration(sync.every_s)
    for name in ("sweep_every", "full_every"):
        value = getattr(sync, f"{name}_s")
        if value != getattr(_PLAIN_SYNC, f"{name}_s"):
            found[name] = duration(value)
    for name in ("app_cursor", "timezone", "enabled"):
        _unless_usual(found, name, getattr(sync, name))
    links = AssociationMapping.objects.filter(sync=sync).select_related("to_sync")
    if listed := [_association(m) for m in links]:
        found["associations"] = listed
    return found


def _unless_usual(found: Json, name: str, value: Any) -> None:
    if value != getattr(_PLAIN_SYNC, name):
        found[name] = _text(value)


def duration(seconds: int) -> str:
    """Seconds as the largest unit that fits: "10m"."""
    for unit, size in (("d", 86400), ("h", 3600), ("m", 60)):
        if seconds % size == 0:
            return f"{seconds // size}{unit}"
    return f"{seconds}s"


def _match(sync: ObjectSync) -> list[Json]:
    ranks: dict[int, list[Json]] = {}
    for key in sync.match_keys.all():
        part: Json = {"hubspot": escape(key.hubspot), "app": escape(key.app)}
        if key.normalize != "exact":
            part["normalize"] = key.normalize
        ranks.setdefault(key.rank, []).append(part)
    return [p[0] if len(p) == 1 else {"all": p} for _, p in sorted(ranks.items())]


def _field(mapping: Any) -> Json:
    found: Json = {"hubspot": escape(mapping.hubspot), "app": escape(mapping.app)}
    for name in ("direction", "conflict", "seed"):
        if getattr(mapping, name):
            found[name] = getattr(mapping, name)
    if mapping.never_blank is not None:
        found["never_blank"] = mapping.never_blank
    if mapping.values:
        found["values"] = _text(dict(mapping.values))
    return found


def _association(mapping: AssociationMapping) -> Json:
    found: Json = {}
    if mapping.by == By.JOIN_TABLE:
        found["join_table"] = _join_table(mapping)
    else:
        found["app_field"] = escape(mapping.app_field)
    if mapping.by == By.MATCH_KEY:
        found["by"] = "match_key"
    found["to"] = escape(mapping.to_sync.name)
    if mapping.labels:
        found["labels"] = {value: _text(word) for value, word, *_ in mapping.labels}
    if mapping.type:
        found["type"] = _text(mapping.type)
    for name in ("direction", "conflict"):
        if getattr(mapping, name):
            found[name] = getattr(mapping, name)
    if mapping.on_unlink != "keep_pair":
        found["on_unlink"] = mapping.on_unlink
    return found


def _join_table(mapping: AssociationMapping) -> Json:
    found: Json = {
        "name": escape(mapping.app_field),
        "from": escape(mapping.join_from),
        "to": escape(mapping.join_to),
    }
    if mapping.join_label:
        found["label"] = escape(mapping.join_label)
    return found
