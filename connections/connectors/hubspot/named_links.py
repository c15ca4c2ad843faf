"""Read and write links as API version v3 does: by type name, and without labels.

What v3 lists is names; which is the plain and which the primary type of a pair, the
names tell. A read to companies shows the primary company alone.

Source: https://developers.hubspot.com/docs/api-reference/legacy/crm/associations-v3
"""

from __future__ import annotations

from collections.abc import Callable, Sequence, Set
from dataclasses import dataclass

from connections.catalogue import Code
from connections.connectors.base import SchemaError, TransientError
from connections.connectors.hubspot.api import Api, Json, next_after, text
from connections.connectors.hubspot.links import BUCKET, Asked, Links, Placed, Reading
from connections.connectors.hubspot.schema import singular
from connections.connectors.hubspot.values import COMPANIES
from connections.connectors.parts import chunks, rows
from connections.records import AssociationType, AssociationTypeInfo, Edge, Outcome

WRITE_BATCH = 100  # inputs of one create or archive; HubSpot documents no figure
PAGE = 500  # links of one page
CUSTOM = "2-"  # how the ids of custom objects begin
PRIMARY_LABEL = "Primary"
NO_LABELS = (
    "API version v3 writes only the plain and the primary type, no label; use api_version "
    "2026-03 or v4."
)


@dataclass(frozen=True, slots=True)
class Named:
    """An association type with its word."""

    name: str
    type: AssociationType


@dataclass(frozen=True, slots=True)
class Names:
    """What v3 has between two object types."""

    plain: Named | None = None
    primary: Named | None = None


class NamedLinks(Links):
    """The links of one account, by type name."""

    def __init__(self, api: Api) -> None:
        super().__init__(api)
        self._known: dict[tuple[str, str], Names] = {}

    # Types ------------------------------------------------------------------------------

    def types(
        self, from_object: str, to_object: str
    ) -> tuple[AssociationTypeInfo, ...]:
        self._known.pop((from_object, to_object), None)
        names = self._names(from_object, to_object)
        return tuple(
            AssociationTypeInfo(
                found.type.category, found.type.type_id, label, from_object, to_object
            )
            for found, label in ((names.primary, PRIMARY_LABEL), (names.plain, None))
            if found is not None
        )

    def _names(self, from_object: str, to_object: str) -> Names:
        ends = from_object, to_object
        if ends not in self._known:
            ids = {
                text(row.get("name")): int(row["id"])
                for row in self._listed(from_object, to_object, "types")
                if text(row.get("id")).isdigit() and row.get("name")
            }
            own = from_object.startswith(CUSTOM) or to_object.startswith(CUSTOM)
            self._known[ends] = self._custom(ends, ids) if own else _standard(ends, ids)
        return self._known[ends]

    def _custom(self, ends: tuple[str, str], ids: dict[str, int]) -> Names:
        """A custom object's schema tells which of its types is the plain one."""
        custom = next(end for end in ends if end.startswith(CUSTOM))
        answer = self._api.read(
            f"read the definition of {custom}",
            "GET",
            f"{self._api.paths.schemas}/{custom}",
        )
        plain = {
            text(row.get("id"))
            for row in rows(answer.body, "associations")
            if (row.get("fromObjectTypeId"), row.get("toObjectTypeId")) == ends
        }
        found = sorted((i, name) for name, i in ids.items() if str(i) in plain)
        if not found:
            return Names()
        type_id, name = found[0]
        return Names(Named(name, AssociationType("USER_DEFINED", type_id)))

    def _needed(self, from_object: str, to_object: str) -> tuple[Names, Named]:
        """The names of a pair that can be linked, and the plain one among them."""
        names = self._names(from_object, to_object)
        if names.plain is None:
            raise SchemaError(
                f"API version v3 names no plain link from {from_object} to {to_object}.",
                code=Code.TYPE_UNKNOWN,
            )
        return names, names.plain

    # Read -------------------------------------------------------------------------------

    def shows_all(self, from_object: str, to_object: str) -> bool:
        return to_object != COMPANIES

    def _take(
        self,
        ends: tuple[str, str],
        held: dict[str, set[AssociationType]],
        found: Sequence[Json],
    ) -> None:
        """Whatever type is named, the plain one stands beside it."""
        names, plain = self._needed(*ends)
        for row in found:
            far = text(row.get("id"))
            if not far:
                continue
            types = held.setdefault(far, set())
            types.add(plain.type)
            if names.primary is not None and row.get("type") == names.primary.name:
                types.add(names.primary.type)

    def _further(
        self, from_object: str, to_object: str, asked: Asked, reading: Reading
    ) -> dict[str, str | None]:
        """A batch read begins at the beginning: long lists go on one by one."""
        for record_id, after in asked.items():
            while after is not None:
                answer = self._api.read(
                    f"read the links from {from_object} to {to_object}",
                    "GET",
                    self._api.paths.objects(
                        from_object, record_id, "associations", to_object
                    ),
                    query={"limit": str(PAGE), "after": after},
                    bucket=BUCKET,
                )
                held = reading.held.setdefault(record_id, {})
                self._take((from_object, to_object), held, rows(answer.body, "results"))
                before, after = after, next_after(answer.body)
                if after == before:
                    raise TransientError("HubSpot's list of links does not move on.")
            reading.whole.add(record_id)
        return {}

    # Write ------------------------------------------------------------------------------

    def associate(
        self, from_object: str, to_object: str, edges: Sequence[Edge]
    ) -> list[Outcome]:
        """Add each pair's primary or plain type; v3 takes none off."""
        names, plain = self._needed(from_object, to_object)
        primary = names.primary or plain
        path = self._api.paths.associations(from_object, to_object, "batch", "create")

        def inputs(some: Placed) -> list[Json]:
            return [
                _input(edge, primary if primary.type in edge.types else plain)
                for _, edge in some
            ]

        def write(mine: Sequence[Edge]) -> list[Outcome]:
            batches = chunks(list(enumerate(mine)), WRITE_BATCH)
            return self._write(path, batches, inputs, "link records", len(mine))

        return _writable(edges, {primary.type, plain.type}, write)

    def dissociate(
        self, from_object: str, to_object: str, edges: Sequence[Edge]
    ) -> list[Outcome]:
        """Take the primary and the plain type off each pair, and so every label."""
        names, plain = self._needed(from_object, to_object)
        both = [n for n in (names.primary, plain) if n is not None]
        return self._archive(from_object, to_object, edges, both, "unlink records")

    def unlabel(
        self, from_object: str, to_object: str, edges: Sequence[Edge]
    ) -> list[Outcome]:
        """Take the primary off its pairs. Any other label is refused."""
        primary = self._names(from_object, to_object).primary
        names = [primary] if primary else []

        def write(mine: Sequence[Edge]) -> list[Outcome]:
            doing = "take labels off links"
            return self._archive(from_object, to_object, mine, names, doing)

        return _writable(edges, {n.type for n in names}, write)

    def _archive(
        self,
        from_object: str,
        to_object: str,
        edges: Sequence[Edge],
        names: Sequence[Named],
        doing: str,
    ) -> list[Outcome]:
        path = self._api.paths.associations(from_object, to_object, "batch", "archive")
        batches = chunks(list(enumerate(edges)), WRITE_BATCH // len(names))

        def inputs(some: Placed) -> list[Json]:
            return [_input(edge, name) for _, edge in some for name in names]

        return self._write(path, batches, inputs, doing, len(edges))


def _writable(
    edges: Sequence[Edge],
    known: Set[AssociationType],
    write: Callable[[Sequence[Edge]], list[Outcome]],
) -> list[Outcome]:
    """Write the edges whose types v3 can name; the others are refused."""
    refused = Outcome(False, code=Code.TYPE_UNKNOWN, message=NO_LABELS)
    mine = [edge for edge in edges if edge.types <= known]
    done = iter(write(mine) if mine else [])
    return [next(done) if edge.types <= known else refused for edge in edges]


def _standard(ends: tuple[str, str], ids: dict[str, int]) -> Names:
    """Where a pair has a primary type, that one owns the short name."""
    here, there = map(singular, ends)
    short, long = f"{here}_to_{there}", f"{here}_to_{there}_unlabeled"
    primary = short if long in ids else f"{here}_to_primary_{there}"
    plain = long if long in ids else short
    return Names(_named(plain, ids), _named(primary, ids))


def _named(name: str, ids: dict[str, int]) -> Named | None:
    if name not in ids:
        return None
    return Named(name, AssociationType("HUBSPOT_DEFINED", ids[name]))


def _input(edge: Edge, name: Named) -> Json:
    return {
        "from": {"id": edge.from_id},
        "to": {"id": edge.to_id},
        "type": name.name,
    }
