"""Hold the pairs whose ids were given to other records.

Reading marks a paired record none of whose key values is what it was (`identity`). Once
both sides are read, such a pair is held if the former key is another record's of that
side, or if the key it has now is that of a record which is held: nothing is written for
it, either way, until its keys agree again or a person decides. Any other was given a new
key, and goes on.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from django.db import transaction

from connections.records import Side
from syncs.models import ObjectSync, RecordKey, RecordLink
from syncs.run.identity import FLAG, MARK, free, held_text, marked
from syncs.run.session import Session
from syncs.run.store import update_rows

LINKS_AT_ONCE = 500
ROWS_AT_ONCE = 5000

Sides = dict[str, set[tuple[int, str]]]  # (rank, value) of each side
At = tuple[str, int, str]  # side, rank, value


def decide(session: Session) -> None:
    """Hold the marked pairs whose ids were given away, and free the others."""
    sync = ObjectSync.objects.get(pk=session.sync.pk)
    if not sync.read_state.get(FLAG):
        return
    for links in _suspects(session):
        _hold(session, links)
    for links in _suspects(session):
        for link in links:
            free(link)
        update_rows(links, ["stage_state"])
        session.lease.check()
    with transaction.atomic():
        sync = ObjectSync.objects.select_for_update().get(pk=session.sync.pk)
        sync.read_state.pop(FLAG, None)
        sync.save(update_fields=["read_state"])
    session.sync.read_state.pop(FLAG, None)


def _suspects(session: Session) -> Iterator[list[RecordLink]]:
    """Marked links that nothing was decided about, some at a time."""
    rows = RecordLink.objects.filter(
        sync=session.sync, dirty=True, hubspot_id__isnull=False, app_id__isnull=False
    ).order_by("pk")
    last = 0
    while some := list(
        rows.filter(pk__gt=last).values_list("pk", "stage_state")[:ROWS_AT_ONCE]
    ):
        last = some[-1][0]
        ids = [pk for pk, state in some if MARK in state and "text" not in state[MARK]]
        for start in range(0, len(ids), LINKS_AT_ONCE):
            found = RecordLink.objects.in_bulk(ids[start : start + LINKS_AT_ONCE])
            yield list(found.values())


def _hold(session: Session, suspects: Sequence[RecordLink]) -> None:
    """Hold those of some suspects whose former key lives elsewhere, and the pairs where
    it lives if those are suspects, too."""
    apart = _disagreeing(suspects)
    homes = _homes(session, apart)
    held: dict[int, RecordLink] = {}
    takers: dict[int, RecordLink] = {}  # the link whose key they took, by their own id
    for link in apart:
        home = next((homes[at] for at in _was(link) if at in homes), None)
        if home is None:
            continue
        home_id, home_record = home
        link.stage_state[MARK]["text"] = _gave(session, link, home_record)
        held[link.pk] = link
        takers[home_id] = link
    others = RecordLink.objects.in_bulk(set(takers) - set(held))
    for other in _disagreeing([x for x in others.values() if marked(x)]):
        if not held_text(other):
            text = _took(session, other, takers[other.pk])
            other.stage_state[MARK]["text"] = text
            held[other.pk] = other
    update_rows(list(held.values()), ["stage_state"])
    session.lease.check()


def _was(link: RecordLink) -> list[At]:
    mark = link.stage_state[MARK]
    return [(mark["side"], rank, value) for rank, value in mark["was"]]


def _keys_of(links: Iterable[RecordLink]) -> dict[int, Sides]:
    """The key values that links have on each side."""
    found: dict[int, Sides] = {}
    rows = RecordKey.objects.filter(link__in=[link.pk for link in links])
    for link_id, side, rank, value in rows.values_list("link", "side", "rank", "value"):
        sides = found.setdefault(link_id, {str(s): set() for s in Side})
        sides[side].add((rank, value))
    return found


def _disagreeing(links: Sequence[RecordLink]) -> list[RecordLink]:
    agreeing = agree(links)
    return [link for link in links if link.pk not in agreeing]


def agree(links: Sequence[RecordLink]) -> set[int]:
    """Those of some marked links that are right: both sides have a key value in common,
    or the record has one again that it had before it was marked."""
    by_id = {link.pk: link for link in links}
    found: set[int] = set()
    for link_id, sides in _keys_of(links).items():
        now = {(side, *key) for side, keys in sides.items() for key in keys}
        back = now & set(_was(by_id[link_id]))
        if back or sides[Side.HUBSPOT] & sides[Side.APP]:
            found.add(link_id)
    return found


def _homes(
    session: Session, links: Sequence[RecordLink]
) -> Mapping[At, tuple[int, str]]:
    """Where the former keys of some links are now: another record of the same side."""
    wanted: dict[str, set[str]] = {}
    own: dict[At, set[int]] = {}
    for link in links:
        for at in _was(link):
            wanted.setdefault(at[0], set()).add(at[2])
            own.setdefault(at, set()).add(link.pk)
    found: dict[At, tuple[int, str]] = {}
    for side, values in wanted.items():
        rows = RecordKey.objects.filter(
            sync=session.sync,
            rank__in=range(len(session.keys)),
            side=side,
            value__in=sorted(values),
            **{f"link__{side}_gone_at__isnull": True},
        ).values_list("link", "rank", "value", f"link__{side}_id")
        for link_id, rank, value, remote_id in rows.iterator(chunk_size=ROWS_AT_ONCE):
            at = (side, rank, value)
            if at in own and link_id not in own[at]:
                found.setdefault(at, (link_id, remote_id))
    return found


# Words ---------------------------------------------------------------------------------


def _names(session: Session, link: RecordLink) -> tuple[str, str, str]:
    """The system's name, and the record's former and present keys."""
    side = Side(link.stage_state[MARK]["side"])
    system = "HubSpot" if side is Side.HUBSPOT else session.sync.app.name
    values = link.values_on(side)
    parts = [part for key in session.keys for part in key]
    now = [str(v) for p in parts if (v := values.get(p.name_on(side)))]
    was = [value for _, _, value in _was(link)]
    return system, ", ".join(was[:3]), ", ".join(now[:3]) or "without a key"


def _gave(session: Session, link: RecordLink, home: str) -> str:
    system, was, now = _names(session, link)
    side = Side(link.stage_state[MARK]["side"])
    return (
        f"Record {link.id_on(side)} of {system} was {was} and is {now}, while {was} is "
        f"record {home} there: {_REST}"
    )


def _took(session: Session, link: RecordLink, giver: RecordLink) -> str:
    system, was, now = _names(session, link)
    side = Side(link.stage_state[MARK]["side"])
    return (
        f"Record {link.id_on(side)} of {system} was {was} and is {now}, which was record "
        f"{giver.id_on(side)} there: {_REST}"
    )


_REST = (
    "the id may have been given to another record. Nothing is written to either side "
    "until their keys agree again or a person decides."
)
