"""Which planned links cannot be: they would close a cycle, or pass a limit."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from connections.records import AssociationType

Types = frozenset[AssociationType]
Node = TypeVar("Node", bound=Hashable)


class Chains(Generic[Node]):
    """Directed links, of which none may lead back to where it begins.

    Args: follow, reads where some records lead to, as the system has it now: one call for
        all of them.
    """

    def __init__(
        self, follow: Callable[[Sequence[Node]], Mapping[Node, Iterable[Node]]]
    ) -> None:
        self._follow = follow
        self._read: dict[Node, tuple[Node, ...]] = {}
        self._added: dict[Node, list[Node]] = {}
        self._gone: set[tuple[Node, Node]] = set()

    def drop(self, near: Node, far: Node) -> None:
        """A link that is about to be removed closes nothing."""
        self._gone.add((near, far))

    def add(self, near: Node, far: Node) -> tuple[Node, ...]:
        """Take a new link, unless it closes a cycle. Returns: the cycle from `near` back
        to it, or () where the link may be."""
        came: dict[Node, Node] = {far: near}
        level = [far]
        while level and near not in level:
            self._know([n for n in level if n not in self._read])
            following: list[Node] = []
            for node in level:
                for reached in self._next(node):
                    if reached not in came:
                        came[reached] = node
                        following.append(reached)
            level = following
        if near not in came:
            self._added.setdefault(near, []).append(far)
            return ()
        chain, node = [near], came[near]
        while node != near:
            chain.append(node)
            node = came[node]
        return (near, *reversed(chain[1:]), near)

    def _next(self, node: Node) -> list[Node]:
        standing = [n for n in self._read.get(node, ()) if (node, n) not in self._gone]
        return [*standing, *self._added.get(node, ())]

    def _know(self, nodes: Sequence[Node]) -> None:
        if nodes:
            found = self._follow(nodes)
            self._read |= {n: tuple(found.get(n, ())) for n in nodes}


@dataclass(frozen=True, slots=True)
class Caps:
    """What one direction's links are limited to: of each type, and of all together."""

    by_type: Mapping[AssociationType, int] = field(default_factory=dict)
    pairs: int | None = None

    def __bool__(self) -> bool:
        return bool(self.by_type) or self.pairs is not None


@dataclass(frozen=True, slots=True)
class Over:
    """A limit that a link would pass; `type` None where it is that of all links."""

    most: int
    type: AssociationType | None
    held: tuple[object, ...]


class Counter:
    """The links of one record, counted against one direction's limits."""

    def __init__(self, caps: Caps, held: Mapping[Any, Types]) -> None:
        self._caps = caps
        self._held = dict(held)

    def over(self, far: object, types: Types) -> Over | None:
        """The limit that a link with these types would pass, if any."""
        caps, held = self._caps, self._held
        if caps.pairs is not None and far not in held and len(held) >= caps.pairs:
            return Over(caps.pairs, None, tuple(held))
        for type_ in sorted(types, key=lambda t: (t.category, t.type_id)):
            most = caps.by_type.get(type_)
            having = [f for f, t in held.items() if type_ in t and f != far]
            if most is not None and len(having) >= most:
                return Over(most, type_, tuple(having))
        return None

    def drop(self, far: object, types: Types | None) -> None:
        """A pair is about to lose these types; None: to go."""
        held = self._held.get(far, frozenset())
        self.set(far, frozenset() if types is None else held - types)

    def set(self, far: object, types: Types) -> None:
        """Count a pair as carrying these types; none: it is gone."""
        if types:
            self._held[far] = types
        else:
            self._held.pop(far, None)
