"""Forms of accounts and apps: settings by kind, and credentials that only go in."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from django import forms

from connections.connectors.kinds import Credential, Setting, Shape
from connections.connectors.registry import HUBSPOT, KINDS, app_kinds
from connections.models import ConnectedApp, HubSpotAccount

if TYPE_CHECKING:
    from django.forms import PasswordInput, TextInput

    AccountForm = forms.ModelForm[HubSpotAccount]
    AppForm = forms.ModelForm[ConnectedApp]
else:
    from unfold.widgets import UnfoldAdminPasswordWidget as PasswordInput
    from unfold.widgets import UnfoldAdminTextInputWidget as TextInput

    AccountForm = AppForm = forms.ModelForm

INPUT = "django/forms/widgets/input.html"
LEAST_FOR_TAIL = 20  # characters a secret must have before its last four are shown


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


def secret_field(
    credential: Credential,
    stored: Mapping[str, Any],
    env: str,
    *,
    optional: bool = False,
) -> forms.CharField:
    """A write-only field: never shown again, blank keeps what is stored."""
    key, help_text = credential.name, credential.help
    if key in stored:
        source = f" from {env}" if env else ""
        help_text = f"Stored{source}: {masked(stored[key])}. Leave blank to keep it."
    return forms.CharField(
        label=credential.label,
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
    kind = KINDS[owner.kind if isinstance(owner, ConnectedApp) else HUBSPOT]
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
        (token,) = KINDS[HUBSPOT].credentials
        self.fields["token"] = secret_field(
            token, account.credentials, account.credential_env.get("token", "")
        )
        for name in ("requests_per_10s", "search_per_second"):
            if name in self.fields:
                self.fields[name].widget.attrs |= {"min": "0.1", "step": "any"}
        for name, value in self.initial.items():
            if isinstance(value, float) and value.is_integer():
                self.initial[name] = int(value)
        if "base_url" in self.fields:
            # Not a link to an API, which shows nothing to a browser.
            self.fields["base_url"].widget.template_name = INPUT

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
        if "kind" in self.fields:  # chosen on the page before this form
            self.fields["kind"].widget = forms.HiddenInput()
        self.kind = KINDS[self._chosen_kind()]
        self._settings = {f"setting_{s.name}": s for s in self.kind.settings}
        for name, setting in self._settings.items():
            self.fields[name] = self._setting(setting, app.settings.get(setting.name))
        self._secrets = {f"secret_{c.name}": c for c in self.kind.credentials}
        for name, credential in self._secrets.items():
            self.fields[name] = secret_field(
                credential,
                app.credentials,
                app.credential_env.get(credential.name, ""),
                optional=self.kind.optional(credential.name),
            )

    def _chosen_kind(self) -> str:
        asked = self.data.get("kind") or self.initial.get("kind") or self.instance.kind
        known = [name for name, _ in app_kinds()]
        return str(asked) if asked in known else known[0]

    @staticmethod
    def _setting(setting: Setting, stored: Any) -> forms.CharField:
        shown = ", ".join(stored) if isinstance(stored, list) else stored
        return forms.CharField(
            label=setting.label,
            help_text=setting.help,
            required=setting.required,
            initial=shown or setting.default,
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
        return [*self._settings, *self._secrets]

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or self.cleaned_data
        typed = {c.name: cleaned.get(n) or "" for n, c in self._secrets.items()}
        held = self.kind.merged(
            self.instance.credentials, {k: v for k, v in typed.items() if v}
        )
        ways = self.kind.either
        if ways and not any(all(held.get(k) for k in way) for way in ways):
            called = {c.name: c.label for c in self.kind.credentials}
            labels = " or ".join(" and ".join(called[k] for k in way) for way in ways)
            self.add_error(f"secret_{ways[0][0]}", f"Give {labels}.")
        return cleaned

    def _post_clean(self) -> None:
        super()._post_clean()  # type: ignore[misc]
        app, given = self.instance, self.cleaned_data
        settings = dict(app.settings)
        for name, setting in self._settings.items():
            value: Any = given.get(name, "").strip()
            if setting.shape is Shape.NUMBER:
                value = self._number(name, value)
            if setting.shape is Shape.LIST:
                value = [part.strip() for part in value.split(",") if part.strip()]
            settings.pop(setting.name, None)
            if value and value != setting.default:
                settings[setting.name] = value
        app.settings = settings
        typed = {c.name: given.get(n, "").strip() for n, c in self._secrets.items()}
        keep_secrets(app, typed)
