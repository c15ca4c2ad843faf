"""Contacts and companies to link in the sandbox."""

from __future__ import annotations

from collections.abc import Sequence

from connections.records import AssociationType, Edge, Linked, Outcome
from tests.contract.hubspot_system import HubSpotSystem

PLAIN = AssociationType("HUBSPOT_DEFINED", 279)
PRIMARY = AssociationType("HUBSPOT_DEFINED", 1)


class Linkable:
    """Contacts and companies to link; the sandbox links nothing by itself."""

    def __init__(self, system: HubSpotSystem) -> None:
        self.system = system
        self.connector = system.connector
        self.control = system.sandbox.control
        self.control.set_switches(first_link_primary="never")

    def make(self, kind: str, count: int) -> list[str]:
        account = self.system.sandbox.hubspot.main
        with account.store.transaction():
            found = account.catalogue.kind(kind)
            name = "name" if kind == "companies" else "firstname"
            return [
                str(account.records.create(found, {name: f"r{n}"}).id)
                for n in range(count)
            ]

    def read(self, ids: Sequence[str]) -> dict[str, tuple[Linked, ...]]:
        return dict(self.connector.associations("0-1", "0-2", ids))

    def pairs(self, ids: Sequence[str]) -> dict[tuple[str, str], set[int]]:
        return {
            (record_id, link.to_id): {t.type_id for t in link.types}
            for record_id, links in self.read(ids).items()
            for link in links
        }

    def link(self, edges: Sequence[Edge]) -> list[Outcome]:
        return self.connector.associate("0-1", "0-2", edges)

    def cap(self, most: int) -> None:
        """Let a contact have so many companies."""
        item = {"category": "HUBSPOT_DEFINED", "typeId": 279, "maxToObjectIds": most}
        path = "/crm/associations/2026-03/definitions/configurations/0-1/0-2"
        made = self.system.api("POST", f"{path}/batch/create", {"inputs": [item]})
        assert made.status_code == 201, made.text


def edge(near: str, far: str, *types: AssociationType) -> Edge:
    return Edge(near, far, frozenset(types or (PLAIN,)))
