"""Labels that a set-up names and HubSpot has not: made there once a person confirmed."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass

from associations.setup.problems import Problem
from connections.connectors.base import (
    AssociationConnector,
    RejectedError,
    UncertainError,
)

MAX_NAME = 40  # characters of the name that a label keeps for ever
HOW = (
    "To make it in HubSpot, add --create-labels (on the page: tick Make it in HubSpot)."
)


@dataclass(frozen=True, slots=True)
class MissingLabel:
    """A label to make between two objects, by type id; `problem` is what it is without."""

    problem: Problem
    from_object: str
    to_object: str
    label: str

    @property
    def ends(self) -> frozenset[str]:
        return frozenset((self.from_object, self.to_object))

    def __str__(self) -> str:
        return (
            f"HubSpot label {self.label!r} from {self.from_object} to {self.to_object}"
        )


def make_labels(
    hubspot: AssociationConnector, wanted: Sequence[MissingLabel]
) -> list[Problem]:
    """Make labels, each once, after reading how many may still be made.

    Returns: what could not be made, and why; none is made where there is no room for all.
    Raises: ConnectorError.
    """
    once = {(w.from_object, w.to_object, w.label): w for w in wanted}
    problems = []
    for ends in {w.ends for w in once.values()}:
        mine = [w for w in once.values() if w.ends == ends]
        room = hubspot.label_room(mine[0].from_object, mine[0].to_object)
        if room is not None and room < len(mine):
            text = (
                f"HubSpot has room for {room} more labels between these objects, and "
                f"{len(mine)} are to be made: {', '.join(w.label for w in mine)}."
            )
            problems += [Problem(w.problem.path, text) for w in mine]
    if problems:
        return problems
    for want in once.values():
        try:
            _make(hubspot, want)
        except RejectedError as exc:
            problems.append(Problem(want.problem.path, f"{exc.code}: {exc.message}"))
    return problems


def _make(hubspot: AssociationConnector, want: MissingLabel) -> None:
    ends = want.from_object, want.to_object
    name = name_of(want.label)
    try:
        hubspot.create_label(*ends, label=want.label, name=name)
    except UncertainError:
        if not _is_there(hubspot, want):
            raise
    except RejectedError:
        # Another label had that name once: names stay, whatever their label says now.
        if _is_there(hubspot, want):
            return
        mark = hashlib.sha256(want.label.encode()).hexdigest()[:8]
        hubspot.create_label(*ends, label=want.label, name=f"{name}_{mark}")


def _is_there(hubspot: AssociationConnector, want: MissingLabel) -> bool:
    found = hubspot.association_types(want.from_object, want.to_object)
    return any(info.label == want.label for info in found)


def name_of(label: str) -> str:
    """The name that goes with a label: letters, digits and "_", no digit first."""
    word = re.sub(r"[^a-z0-9]+", "_", label.casefold()).strip("_")[:MAX_NAME]
    if not word:
        return f"label_{hashlib.sha256(label.encode()).hexdigest()[:8]}"
    return word if not word[0].isdigit() else f"label_{word}"
