"""What of a sync is known not to be in step, and what to do about it."""

from __future__ import annotations

from django.db.models import Count, Min
from django.utils.timesince import timesince

from associations.handover.parts import Section
from associations.models import AssociationLink, LinkState
from connections.catalogue import meaning_of, remedy_for
from connections.redaction import redact
from syncs.models import Change, ObjectSync, RecordLink
from syncs.models.choices import Awaiting, ChangeOutcome, RecordState
from syncs.run.naming import show

FAILING = (RecordState.FAILING, RecordState.UNCERTAIN, RecordState.WAITING)
WAITS = {
    Awaiting.LIMITS: "changes held by a limit",
    Awaiting.DELETES: "deletions to confirm",
    Awaiting.CONFLICTS: "values to choose",
}


def section(sync: ObjectSync) -> Section:
    """The known exceptions of a sync, counted now."""
    found = Section("Known exceptions", 4)
    _counts(found, sync)
    _records(found, sync)
    _links(found, sync)
    return found


def _counts(found: Section, sync: ObjectSync) -> None:
    links = RecordLink.objects.filter(sync=sync)
    states = dict(links.values_list("state").annotate(Count("pk")).order_by())
    waiting = dict(
        Change.objects.filter(sync=sync, outcome=ChangeOutcome.HELD)
        .values_list("awaiting")
        .annotate(Count("pk"))
        .order_by()
    )
    rows = [
        ("records in sync", states.get(RecordState.IN_SYNC, 0)),
        ("records excluded", states.get(RecordState.EXCLUDED, 0)),
        ("records on one side only", states.get(RecordState.UNMATCHED, 0)),
        ("records gone on one side", states.get(RecordState.GONE, 0)),
        ("records kept apart by hand", links.filter(keep_apart=True).count()),
        *((text, waiting.get(what, 0)) for what, text in WAITS.items()),
    ]
    shown = [(text, str(count)) for text, count in rows if count]
    if shown:
        found.table(("What", "How many"), shown)
    else:
        found.text("It has not run yet.")


def _records(found: Section, sync: ObjectSync) -> None:
    failing = RecordLink.objects.filter(sync=sync, state__in=FAILING)
    groups = failing.values_list("error_code").annotate(Count("pk"), Min("pk"))
    rows = []
    for code, count, first in sorted(groups.order_by(), key=lambda g: (-g[1], g[0])):
        link = RecordLink.objects.get(pk=first)
        example = redact(f"{show(link)}: {link.error_text}")
        rows.append((code, str(count), meaning_of(code), remedy_for(code), example))
    if rows:
        found.text("Records that fail or wait:")
    found.table(("Code", "Records", "What it means", "What to do", "Example"), rows)


def _links(found: Section, sync: ObjectSync) -> None:
    rows = []
    open_ = AssociationLink.objects.filter(mapping__sync=sync).exclude(
        state=LinkState.IN_SYNC
    )
    groups = open_.values_list("mapping", "state", "code").annotate(
        Count("pk"), Min("pk"), Min("since")
    )
    for _, state, code, count, first, since in groups.order_by("mapping", "state"):
        row = AssociationLink.objects.select_related("mapping__to_sync", "link").get(
            pk=first
        )
        rows.append(
            (
                str(row.mapping),
                LinkState(state).label,
                str(count),
                timesince(since, depth=1),
                code,
                redact(f"{show(row.link)}: {row.text}"),
                remedy_for(code),
            )
        )
    if rows:
        found.text("Links that are not in step:")
    head = ("Mapping", "State", "Links", "Oldest", "Code", "Example", "What to do")
    found.table(head, rows)
