"""Turn a file's tree into `spec`, with every problem of form named."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import urlsplit

from associations.setup.environment import template_of
from associations.setup.keys import Keys, shown
from associations.setup.problems import Problems, hint, key_path
from associations.setup.spec import BASE_URL, AccountSpec, AppSpec, FileSpec, Secret
from associations.setup.sync_parsing import read_sync
from connections.connectors.kinds import Setting, Shape
from connections.connectors.registry import HUBSPOT, KINDS
from connections.models import ApiVersion

ROOT_KEYS = ("version", "hubspot", "apps")
ACCOUNT_KEYS = (
    "name",
    "renamed_from",
    "token",
    "api_version",
    "base_url",
    "requests_per_10s",
    "association_requests_per_10s",
    "search_per_second",
)
APP_KEYS = (
    "name",
    "renamed_from",
    "kind",
    "hubspot",
    "settings",
    "credentials",
    "syncs",
)
MAX_NAME = 120
LATER = {"notion": "The kind notion", "webflow": "The kind webflow"}


def parse(tree: Any, problems: Problems) -> FileSpec:
    """The whole file; what is wrong is added to `problems` and left out."""
    keys = Keys.of(tree, "", problems, "The file", ROOT_KEYS)
    if keys is None:
        return FileSpec()
    if not keys.given("version"):
        keys.bad("version", "version is missing; write version: 1.")
    elif keys.tree["version"] != 1 or keys.tree["version"] is True:
        keys.bad(
            "version", f"Only version 1 is known, not {shown(keys.tree['version'])}."
        )
    accounts = keys.items("hubspot", lambda v, p: _account(v, p, problems))
    apps = keys.items("apps", lambda v, p: _app(v, p, problems))
    unique(((a.path, a.name, a.renamed_from) for a in accounts), "account", problems)
    unique(((a.path, a.name, a.renamed_from) for a in apps), "app", problems)
    return FileSpec(accounts, apps)


def unique(rows: Iterable[tuple[str, str, str]], what: str, problems: Problems) -> None:
    """Complain about names that stand twice, as new or as old names."""
    names: set[str] = set()
    old: set[str] = set()
    for path, name, renamed_from in rows:
        if name and name in names:
            problems.add(
                key_path(path, "name"), f"There is another {what} called {name!r}."
            )
        if renamed_from and renamed_from in old:
            problems.add(
                key_path(path, "renamed_from"),
                f"{renamed_from!r} can be renamed only once.",
            )
        names.add(name)
        old.add(renamed_from)


def _account(value: Any, path: str, problems: Problems) -> AccountSpec | None:
    keys = Keys.of(value, path, problems, "A HubSpot account", ACCOUNT_KEYS)
    if keys is None:
        return None
    base_url = keys.text("base_url", BASE_URL, longest=300)
    check_url(keys, "base_url", base_url)
    return AccountSpec(
        path=path,
        name=keys.required("name", longest=MAX_NAME),
        renamed_from=keys.text("renamed_from"),
        token=_secret(keys, "token"),
        api_version=keys.choice("api_version", ApiVersion.values, ApiVersion.DATED),
        base_url=base_url.rstrip("/"),
        requests_per_10s=keys.rate("requests_per_10s", 100.0),
        association_requests_per_10s=keys.rate("association_requests_per_10s", None),
        search_per_second=keys.rate("search_per_second", 4.0),
    )


def check_url(keys: Keys, key: str, url: str) -> None:
    """Complain about what is no base address of an HTTP API."""
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        keys.bad(key, f"{shown(url)} is not an address.")
        return
    if parts.scheme not in ("https", "http") or not parts.hostname:
        keys.bad(key, f"{key} must begin with https:// and name a host.")
    elif parts.username or parts.password or parts.query or parts.fragment:
        keys.bad(key, f"{key} must hold no user, password, query or fragment.")


def _secret(keys: Keys, key: str) -> Secret | None:
    """A credential. It is never part of a message."""
    if not keys.given(key):
        return None
    value = keys.tree[key]
    if not isinstance(value, str) or not value.strip() or "\x00" in value:
        if not keys.problems.under(keys.at(key)):
            keys.bad(key, f"{key} must be a text that is not empty.")
        return None
    return Secret(str(value).strip(), template_of(value))


def _secret_list(keys: Keys, key: str) -> Secret | None:
    """Several credentials of one kind, as one with commas."""
    found = [
        value.strip()
        for value in keys.tree[key]
        if isinstance(value, str) and value.strip() and "\x00" not in value
    ]
    if not found or len(found) < len(keys.tree[key]):
        if not keys.problems.under(keys.at(key)):
            keys.bad(key, f"{key} must be a list of texts that are not empty.")
        return None
    templates = [template_of(value) for value in keys.tree[key]]
    return Secret(",".join(found), ",".join(templates) if all(templates) else "")


def _app(value: Any, path: str, problems: Problems) -> AppSpec | None:
    keys = Keys.of(value, path, problems, "An app", APP_KEYS)
    if keys is None:
        return None
    keys.required("kind")
    kind = keys.choice("kind", [k for k in KINDS if k != HUBSPOT], "", LATER)
    syncs = keys.items("syncs", lambda v, p: read_sync(v, p, problems))
    unique(((s.path, s.name, s.renamed_from) for s in syncs), "sync", problems)
    return AppSpec(
        path=path,
        name=keys.required("name", longest=MAX_NAME),
        renamed_from=keys.text("renamed_from"),
        kind=kind,
        hubspot=keys.required("hubspot", longest=MAX_NAME),
        settings=_settings(keys, kind),
        credentials=_credentials(keys, kind),
        syncs=syncs,
    )


def _settings(keys: Keys, kind: str) -> Mapping[str, Any]:
    known = KINDS.get(kind)
    if known is None:
        return {}  # the kind is the problem; its settings cannot be judged
    inner = keys.map("settings", f"The settings of {kind}", known.setting_names)
    required = [setting.name for setting in known.settings if setting.required]
    if inner is None:
        for name in required:
            keys.bad("settings", f"The settings of {kind} need {name}.")
        return {}
    for name in required:
        inner.required(name)
    found = {s.name: _setting(inner, s) for s in known.settings}
    return {name: value for name, value in found.items() if value is not None}


def _setting(keys: Keys, setting: Setting) -> Any:
    """What is stored of a setting: None where it says no more than leaving it out."""
    name = setting.name
    if setting.shape is Shape.LIST:
        return keys.texts(name) if keys.given(name) else None
    if setting.shape is Shape.NUMBER:
        return keys.rate(name, None)
    if setting.shape is Shape.TEXT:
        text = keys.text(name, setting.default)
    else:
        text = keys.text(name, setting.default, longest=300).rstrip("/")
        if keys.given(name):
            check_url(keys, name, text)
    return text if text != setting.default else None


def _credentials(keys: Keys, kind: str) -> Mapping[str, Secret]:
    known = KINDS.get(kind)
    if known is None:
        return {}
    names = known.credential_names
    inner = keys.map("credentials", f"The credentials of {kind}", names)
    if inner is None:
        return {}
    secrets = {
        c.name: _secret_list(inner, c.name)
        if c.many and isinstance(inner.tree.get(c.name), list)
        else _secret(inner, c.name)
        for c in known.credentials
    }
    return {key: secret for key, secret in secrets.items() if secret is not None}


__all__ = ["hint", "parse"]
