"""Forms of accounts and apps: settings by kind, and credentials that only go in."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from django import forms

from connections.connectors.registry import KINDS
from connections.models import ConnectedApp, HubSpotAccount, Kind

if TYPE_CHECKING:
    from django.forms import PasswordInput, TextInput

    AccountForm = forms.ModelForm[HubSpotAccount]
    AppForm = forms.ModelForm[ConnectedApp]
else:
    from unfold.widgets import UnfoldAdminPasswordWidget as PasswordInput
    from unfold.widgets import UnfoldAdminTextInputWidget as TextInput

    AccountForm = AppForm = forms.ModelForm

LEAST_FOR_TAIL = 20  # characters a secret must have before its last four are shown
LISTS = {"tables", "keys", "app_ids"}
NUMBERS = {"requests_per_second"}
DEFAULTS = {"schema": "public"}
WORDS = {
    "token": ("Access token", "Of a private app (service key) in this account."),
    "base_id": ("Base", "Its id, app and fourteen letters, from the base's address."),
    "base_url": ("Address", "Blank: the system's own."),
    "requests_per_second": ("Calls per second", "Blank: as many as the system allows."),
    "dsn": ("Connection URL", "postgresql://user:password@host:5432/database"),
    "schema": ("Schema", "Whose tables are offered."),
    "app_ids": (
        "App ids",
        "Comma-separated: the apps to offer. API tokens need them; a user may leave them "
        "blank for every app.",
    ),
    "api_tokens": (
        "API tokens",
        "Comma-separated, one for each app, at most 9; or a user name and password below.",
    ),
    "username": ("User name", "A log-in name, in place of API tokens."),
    "password": ("Password", "Of that user."),
    "tables": ("Tables", "Comma-separated; blank offers every table of the schema."),
    "change_log": (
        "Change log",
        "The table that triggers note changes in; manage.py change_log prints its SQL.",
    ),
    "keys": (
        "Keys of views",
        "Comma-separated, such as active_people.id: the columns that tell rows apart.",
    ),
}


BY_KIND = {
    ("kintone", "base_url"): (
        "Address",
        "https://SUBDOMAIN.cybozu.com; of a guest space, with /k/guest/ID after it.",
    ),
    ("airtable", "token"): (
        "Personal access token",
        "With the scopes data.records:read, data.records:write, schema.bases:read and "
        "webhook:manage, and access to the base; or a service account's.",
    ),
    ("airtable", "change_log"): (
        "Change log",
        "Blank: a webhook's log tells what changed. off: it is not used.",
    ),
    ("airtable", "requests_per_second"): (
        "Calls per second",
        "Of the 5 that Airtable allows for each base; blank for all of them.",
    ),
}


def masked(secret: object) -> str:
    """A hint by which a person can tell one secret from another, and no more."""
    text = secret if isinstance(secret, str) else ""
    if "://" in text:
        try:
            parts = urlsplit(text)
            host = f"{parts.hostname or ''}{f':{parts.port}' if parts.port else ''}"
        except ValueError:
            return "••••"
        return f"{parts.scheme}://••••@{host}{parts.path}"
    return f"••••{text[-4:]}" if len(text) >= LEAST_FOR_TAIL else "••••"


def words(kind: str, key: str) -> tuple[str, str]:
    """What a setting or credential is called in a form, and how it is explained."""
    usual = WORDS.get(key, (key.replace("_", " ").capitalize(), ""))
    return BY_KIND.get((kind, key), usual)


def secret_field(
    key: str,
    stored: Mapping[str, Any],
    env: str,
    kind: str = "hubspot",
    *,
    optional: bool = False,
) -> forms.CharField:
    """A write-only field: never shown again, blank keeps what is stored."""
    label, help_text = words(kind, key)
    if key in stored:
        source = f" from {env}" if env else ""
        help_text = f"Stored{source}: {masked(stored[key])}. Leave blank to keep it."
    return forms.CharField(
        label=label,
        help_text=help_text,
        required=key not in stored and not optional,
        widget=PasswordInput(
            render_value=False, attrs={"autocomplete": "new-password"}
        ),
    )


def keep_secrets(
    owner: HubSpotAccount | ConnectedApp, given: Mapping[str, str]
) -> None:
    """Put what was typed on the row; it no longer comes from the environment then."""
    typed = {key: value for key, value in given.items() if value}
    kind = KINDS[owner.kind if isinstance(owner, ConnectedApp) else "hubspot"]
    owner.credentials = kind.merged(owner.credentials, typed)
    owner.credential_env = {
        k: v
        for k, v in owner.credential_env.items()
        if k not in typed and k in owner.credentials
    }


class HubSpotAccountForm(AccountForm):
    """A HubSpot account with its token."""

    class Meta:
        model = HubSpotAccount
        fields = [
            "name",
            "base_url",
            "api_version",
            "requests_per_10s",
            "association_requests_per_10s",
            "search_per_second",
        ]
        labels = {
            "base_url": "Address",
            "api_version": "API version",
            "requests_per_10s": "Calls per 10 seconds",
            "association_requests_per_10s": "Association calls per 10 seconds",
            "search_per_second": "Searches per second",
        }
        help_texts = {
            "association_requests_per_10s": "Blank: as above, at most 150.",
        }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        account = self.instance
        self.fields["token"] = secret_field(
            "token", account.credentials, account.credential_env.get("token", "")
        )
        for name in ("requests_per_10s", "search_per_second"):
            if name in self.fields:
                self.fields[name].widget.attrs |= {"min": "0.1", "step": "any"}

    def clean_token(self) -> str:
        return str(self.cleaned_data["token"]).strip()

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or self.cleaned_data
        for name in (
            "requests_per_10s",
            "association_requests_per_10s",
            "search_per_second",
        ):
            value = cleaned.get(name)
            if value is not None and value <= 0:
                self.add_error(name, "Give a number above 0.")
        return cleaned

    def _post_clean(self) -> None:
        super()._post_clean()  # type: ignore[misc]
        keep_secrets(self.instance, {"token": self.cleaned_data.get("token", "")})


class ConnectedAppForm(AppForm):
    """An app with the settings and credentials that its kind takes."""

    class Meta:
        model = ConnectedApp
        fields = ["name", "kind", "hubspot"]
        labels = {"hubspot": "HubSpot account"}

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        app = self.instance
        self._kind = KINDS[self._chosen_kind()]
        self._names = {f"setting_{key}": key for key in self._kind.settings}
        for name, key in self._names.items():
            self.fields[name] = self._setting(
                self._chosen_kind(), key, app.settings.get(key)
            )
            self.fields[name].required = key in self._kind.required
        self._secrets = {f"secret_{key}": key for key in self._kind.credentials}
        for name, key in self._secrets.items():
            env = app.credential_env.get(key, "")
            self.fields[name] = secret_field(
                key,
                app.credentials,
                env,
                self._chosen_kind(),
                optional=self._kind.optional(key),
            )

    def _chosen_kind(self) -> str:
        asked = self.data.get("kind") or self.initial.get("kind") or self.instance.kind
        return str(asked) if asked in Kind.values else Kind.values[0]

    @staticmethod
    def _setting(kind: str, key: str, stored: Any) -> forms.CharField:
        label, help_text = words(kind, key)
        initial = ", ".join(stored) if isinstance(stored, list) else stored
        return forms.CharField(
            label=label,
            help_text=help_text,
            required=False,
            initial=initial or DEFAULTS.get(key, ""),
            widget=TextInput(),
        )

    def _number(self, name: str, text: str) -> float | None:
        try:
            number = float(text or "nan")
        except ValueError:
            number = 0.0
        if text and not 0 < number < float("inf"):
            self.add_error(name, "Give a number above 0, or nothing.")
        return number if number > 0 else None

    @property
    def kind_fields(self) -> list[str]:
        """The names of the fields that the kind brings."""
        return [*self._names, *self._secrets]

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or self.cleaned_data
        typed = {k: cleaned.get(n) or "" for n, k in self._secrets.items()}
        held = self._kind.merged(
            self.instance.credentials, {k: v for k, v in typed.items() if v}
        )
        ways = self._kind.either
        if ways and not any(all(held.get(k) for k in way) for way in ways):
            labels = " or ".join(
                " and ".join(WORDS.get(k, (k,))[0] for k in way) for way in ways
            )
            self.add_error(f"secret_{ways[0][0]}", f"Give {labels}.")
        return cleaned

    def _post_clean(self) -> None:
        super()._post_clean()  # type: ignore[misc]
        app, given = self.instance, self.cleaned_data
        settings = dict(app.settings)
        for name, key in self._names.items():
            value: Any = given.get(name, "").strip()
            if key in NUMBERS:
                value = self._number(name, value)
            if key in LISTS:
                value = [part.strip() for part in value.split(",") if part.strip()]
            settings.pop(key, None)
            if value:
                settings[key] = value
        app.settings = settings
        keep_secrets(
            app, {k: given.get(n, "").strip() for n, k in self._secrets.items()}
        )
