"""The kinds of app a set-up file can name, with their settings and credentials."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class KindKeys:
    """`texts` and `lists` are settings; `credentials` the secrets, all of them needed."""

    texts: tuple[str, ...] = ()
    lists: tuple[str, ...] = ()
    credentials: tuple[str, ...] = ()

    @property
    def settings(self) -> tuple[str, ...]:
        return (*self.texts, *self.lists)


AVAILABLE = {
    "postgres": KindKeys(
        texts=("schema", "change_log"),
        lists=("tables", "keys"),
        credentials=("dsn",),
    )
}
LATER = {
    "airtable": "The kind airtable",
    "notion": "The kind notion",
    "webflow": "The kind webflow",
    "kintone": "The kind kintone",
}
DEFAULTS = {"postgres": {"schema": "public"}}
