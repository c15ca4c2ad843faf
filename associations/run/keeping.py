"""Keep, in our rows, what was written and what was refused."""

from __future__ import annotations

from collections.abc import Sequence

from associations.models import AssociationLink, LinkState
from syncs.models import Change
from syncs.models.choices import ChangeKind
from syncs.run.plan import wait_after
from syncs.run.session import Session, now
from syncs.run.store import update_rows

KINDS = (ChangeKind.LINK, ChangeKind.UNLINK, ChangeKind.RELABEL)
COUNTED = {
    ChangeKind.LINK: "added",
    ChangeKind.UNLINK: "removed",
    ChangeKind.RELABEL: "changed",
}


def count(session: Session, done: Sequence[Change]) -> None:
    for change in done:
        session.tally.add_link(COUNTED[ChangeKind(change.kind)], change.side)


def keep(done: Sequence[Change]) -> None:
    """Both sides have the links written and lack the links removed."""
    rows = [
        AssociationLink(
            mapping_id=int(c.mapping_key),
            link_id=c.link_id,
            other_id=c.other_link_id,
            types=c.after["base"] if "base" in c.after else c.after.get("types", []),
        )
        for c in done
        if c.other_link_id and c.link_id and _has_baseline(c)
    ]
    ended = {
        (int(c.mapping_key), c.link_id, other)
        for c in done
        for other in c.after.get("ends", [])
    }
    ended |= {
        (int(c.mapping_key), c.link_id, c.other_link_id)
        for c in done
        if "base" in c.after
    }
    if ended:
        held = AssociationLink.objects.filter(
            link__in={i for _, i, _ in ended}, state=LinkState.IN_SYNC
        ).values_list("pk", "mapping_id", "link_id", "other_id")
        gone = [pk for pk, *at in held if tuple(at) in ended]
        AssociationLink.objects.filter(pk__in=gone).delete()
    _forget_open(done)
    AssociationLink.objects.bulk_create(rows, batch_size=300, ignore_conflicts=True)


def _has_baseline(change: Change) -> bool:
    """Whether both sides have something in common once the change is written."""
    if "base" in change.after:
        return bool(change.after["base"])
    return change.kind != ChangeKind.UNLINK


def _forget_open(done: Sequence[Change]) -> None:
    """A link that was pending or failing and is written now is neither."""
    AssociationLink.objects.filter(
        mapping__in={int(c.mapping_key) for c in done},
        link__in={c.link_id for c in done},
        other__in={c.other_link_id for c in done},
    ).exclude(state=LinkState.IN_SYNC).delete()


def keep_failing(refused: Sequence[Change]) -> None:
    """Note links that HubSpot or the app would not take."""
    known = {
        (row.mapping_id, row.link_id, row.other_id): row
        for row in AssociationLink.objects.filter(
            link__in=[c.link_id for c in refused if c.link_id],
            state=LinkState.FAILING,
        )
    }
    new: list[AssociationLink] = []
    for change in refused:
        if not change.link_id:
            continue
        at = (int(change.mapping_key), change.link_id, change.other_link_id)
        row = known.get(at)
        if row is None:
            row = known[at] = AssociationLink(
                mapping_id=at[0],
                link_id=at[1],
                other_id=at[2],
                state=LinkState.FAILING,
            )
            new.append(row)
        row.side, row.code, row.text = (
            change.side,
            change.error_code,
            change.error_text,
        )
        row.attempts += 1
        row.retry_at = now() + wait_after(row.attempts)
    names = ["side", "code", "text", "attempts", "retry_at"]
    update_rows([row for row in known.values() if row.pk], names)
    AssociationLink.objects.bulk_create(new, batch_size=300, ignore_conflicts=True)
