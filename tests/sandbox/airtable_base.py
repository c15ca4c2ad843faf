"""The fake Airtable with a base of companies and people, and pyairtable to call it."""

from __future__ import annotations

from typing import Any

import requests
from pyairtable import Api

from connections.sandbox.airtable.app import Airtable
from connections.sandbox.airtable.tokens import MAIN_BASE
from connections.sandbox.host import Host

TEXT = "singleLineText"


class AirtableBase:
    """One host; `api` is pyairtable's, `call` a raw request."""

    def __init__(self, **how: Any) -> None:
        self.fake = Airtable(how.pop("path", None), **how)
        self.host = Host(self.fake).start()
        self.base_id = MAIN_BASE
        self.api: Any = self.client()
        self.base: Any = self.api.base(MAIN_BASE)

    def client(self, name: str = "everything") -> Any:
        """pyairtable as it comes, but for the address; no retries hide a refusal."""
        return Api(
            self.fake.tokens[name], endpoint_url=self.host.url, retry_strategy=None
        )

    def call(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        token: str = "everything",
        headers: dict[str, str] | None = None,
    ) -> requests.Response:
        sent = {"Authorization": f"Bearer {self.fake.tokens[token]}"}
        return requests.request(
            method,
            f"{self.host.url}/v0/{path}",
            json=body,
            headers=sent if headers is None else headers,
            timeout=10,
        )

    def make(self) -> None:
        """Companies, and People that link to them."""
        companies = [{"name": "Name", "type": TEXT}]
        self.base.create_table("Companies", companies)
        target = {"linkedTableId": self.fake.table("Companies")["id"]}
        people = [
            {"name": "Name", "type": TEXT},
            {"name": "Mail", "type": "email"},
            {"name": "Company", "type": "multipleRecordLinks", "options": target},
            {
                "name": "Colour",
                "type": "singleSelect",
                "options": {"choices": [{"name": "red"}, {"name": "green"}]},
            },
            {"name": "Amount", "type": "number", "options": {"precision": 2}},
        ]
        self.base.create_table("People", people)
        self.host.reset_counts()

    @property
    def people(self) -> Any:
        return self.base.table(self.fake.table("People")["id"])

    @property
    def companies(self) -> Any:
        return self.base.table(self.fake.table("Companies")["id"])
