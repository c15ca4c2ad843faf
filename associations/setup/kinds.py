"""The kinds of app a set-up file can name, with their settings and credentials."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class KindKeys:
    """`texts`, `lists`, `numbers` and `addresses` are settings, of which those `required`
    must be given; `credentials` the secrets, of which `list_credentials` may be lists.
    """

    texts: tuple[str, ...] = ()
    lists: tuple[str, ...] = ()
    numbers: tuple[str, ...] = ()
    addresses: tuple[str, ...] = ()
    required: tuple[str, ...] = ()
    credentials: tuple[str, ...] = ()
    list_credentials: tuple[str, ...] = ()

    @property
    def settings(self) -> tuple[str, ...]:
        return (*self.texts, *self.lists, *self.numbers, *self.addresses)


AVAILABLE = {
    "postgres": KindKeys(
        texts=("schema", "change_log"),
        lists=("tables", "keys"),
        credentials=("dsn",),
    ),
    "airtable": KindKeys(
        texts=("base_id", "change_log"),
        numbers=("requests_per_second",),
        addresses=("base_url",),
        required=("base_id",),
        credentials=("token",),
    ),
    "kintone": KindKeys(
        addresses=("base_url",),
        lists=("app_ids",),
        required=("base_url",),
        credentials=("api_tokens", "username", "password"),
        list_credentials=("api_tokens",),
    ),
}
LATER = {
    "notion": "The kind notion",
    "webflow": "The kind webflow",
}
DEFAULTS = {
    "postgres": {"schema": "public"},
    "airtable": {"base_url": "https://api.airtable.com"},
}
