"""Fields in conflict that a person decides.

Such a field has two held changes: one would write HubSpot's value to the app, the other
the app's value to HubSpot (one alone, where a side cannot hold the other's value). To
approve one is to choose it; the other falls. They stand unchanged, with their ids, as long
as neither side moves; nothing else of the record waits for them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from django.db.models import Exists, OuterRef, Q, QuerySet

from connections.catalogue import Code
from connections.records import Side
from syncs.engine.fields import Decision, decide
from syncs.models import Change, ObjectSync, RecordLink
from syncs.models.choices import Awaiting, ChangeKind, ChangeOutcome, RecordState
from syncs.run.session import PROBLEMS, MappedField, Session, now
from syncs.run.stage import Chunk
from syncs.run.store import update_rows

NAMED = 5  # fields in a text


def waiting(sync: ObjectSync | None = None) -> QuerySet[Change]:
    """The choices that stand, of one sync or of all."""
    rows = Change.objects.filter(
        outcome=ChangeOutcome.HELD, awaiting=Awaiting.CONFLICTS
    )
    return rows if sync is None else rows.filter(sync=sync)


def fields_waiting(session: Session) -> int:
    """How many fields await a decision; each may have two choices.

    A preview adds what it would ask about.
    """
    rows = waiting(session.sync)
    if session.run.dry_run:
        previewed = Change.objects.filter(
            run=session.run, outcome=ChangeOutcome.SKIPPED, error_code=Code.CONFLICT
        )
        rows = Change.objects.filter(
            Q(pk__in=rows.values("pk")) | Q(pk__in=previewed.values("pk"))
        )
    return rows.order_by().values("link", "mapping_key").distinct().count()


def text_of(names: Sequence[str]) -> str:
    """What a record says whose fields await a decision."""
    more = " …" if len(names) > NAMED else ""
    return (
        f"A person decides which value stays: {', '.join(names[:NAMED])}{more}. "
        "The rest of the record goes on."
    )


# Planning ------------------------------------------------------------------------------


def ask(
    chunk: Chunk, link: RecordLink, mapped: MappedField, decision: Decision, record: str
) -> None:
    """Plan a field's choices."""
    for choice in decision.choices:
        side = choice.side
        if side is None:
            continue
        here, there = mapped.name_on(side), mapped.name_on(side.other)
        chunk.asks.append(
            Change(
                run=chunk.session.run,
                sync=chunk.session.sync,
                link=link,
                side=side,
                kind=ChangeKind.UPDATE,
                record=record,
                mapping_key=mapped.key,
                reason=f"{here}: {choice.reason}",
                rule=choice.rule,
                before={here: link.values_on(side).get(here)},
                after={here: choice.value},
                origin={there: link.values_on(side.other).get(there)},
                outcome=ChangeOutcome.HELD,
                awaiting=Awaiting.CONFLICTS,
            )
        )


def keep(chunk: Chunk) -> None:
    """Make the choices that stand those that the chunk's records have now.

    Call inside the transaction that keeps the chunk's plan.
    """
    asks = [change for change in chunk.asks if change.link_id in chunk.due]
    if chunk.session.run.dry_run:
        _preview(asks)
        return
    held = {
        (row.link_id, row.mapping_key, row.side): row
        for row in waiting(chunk.session.sync).filter(link__in=list(chunk.due))
    }
    fresh: list[Change] = []
    dropped: list[Change] = []
    for change in asks:
        row = held.pop((change.link_id, change.mapping_key, change.side), None)
        if row is None:
            fresh.append(change)
        elif not _alike(row, change):
            fresh.append(change)
            dropped.append(_drop(row, "A side changed: a newer choice stands."))
    links = {link.pk: link for link in chunk.links}
    for row in held.values():
        link = links.get(row.link_id or 0)
        if link is None or not _unreadable(link, row):
            dropped.append(_drop(row, _why(chunk.session, link, row)))
    _save(dropped)
    Change.objects.bulk_create(fresh, batch_size=300)


def _preview(asks: Sequence[Change]) -> None:
    for change in asks:
        change.outcome, change.awaiting = ChangeOutcome.SKIPPED, ""
        change.error_code = Code.CONFLICT
        change.error_text = "A person would be asked to choose between two values."
    Change.objects.bulk_create(asks, batch_size=300)


def _alike(one: Change, other: Change) -> bool:
    return (one.before, one.after, one.origin) == (
        other.before,
        other.after,
        other.origin,
    )


def _unreadable(link: RecordLink, row: Change) -> bool:
    """Whether a value that the choice is about could not be read this time."""
    names = {*row.before, *row.origin}
    return any(
        names & (link.values_on(side).get(PROBLEMS) or {}).keys() for side in Side
    )


def _drop(row: Change, text: str) -> Change:
    row.outcome, row.error_text, row.done_at = ChangeOutcome.DROPPED, text, now()
    return row


def _save(rows: Sequence[Change]) -> None:
    """Write dropped choices back, but for one that a person has approved meanwhile."""
    if not rows:
        return
    mine = waiting().filter(pk__in=[row.pk for row in rows])
    still = set(mine.select_for_update().values_list("pk", flat=True))
    update_rows(
        [row for row in rows if row.pk in still], ["outcome", "error_text", "done_at"]
    )


def _why(session: Session, link: RecordLink | None, row: Change) -> str:
    """Why nobody needs to decide a field any more."""
    mapped = next((m for m in session.fields if m.key == row.mapping_key), None)
    if mapped is None:
        return "The set-up changed: this field is not compared in this way any more."
    if any(mapped.name_on(s) in session.missing.get(s, ()) for s in Side):
        return "The field does not exist any more."
    if link is None or not link.paired:
        return "The two records are not paired any more."
    if link.hubspot_gone_at or link.app_gone_at:
        return "The record is gone on one side."
    if link.state == RecordState.EXCLUDED:
        return "The record is excluded now."
    names = {side: mapped.name_on(side) for side in Side}
    hubspot, app = (link.values_on(side).get(names[side]) for side in Side)
    if decide(hubspot, app, None, mapped.rule).adopt:
        return "Both sides hold the same now."
    if mapped.rule.conflict != "review":
        return "The set-up changed: its conflict rule decides now."
    return "Only one side still differs from what it held, or one holds no value."


def drop_orphans(sync: ObjectSync) -> None:
    """Choices about a record that is not known any more."""
    waiting(sync).filter(link=None).update(
        outcome=ChangeOutcome.DROPPED,
        error_text="The record is not known any more.",
        done_at=now(),
    )


# Once a person has decided -------------------------------------------------------------


def drop_twins(chosen: QuerySet[Change]) -> int:
    """Drop the other choices of the fields that some choices are about."""
    same = chosen.filter(link=OuterRef("link"), mapping_key=OuterRef("mapping_key"))
    others = waiting().exclude(pk__in=chosen.order_by().values("pk"))
    return others.filter(Exists(same)).update(
        outcome=ChangeOutcome.DROPPED,
        error_text="The other value was chosen.",
        done_at=now(),
    )


def written(applied: Sequence[Change], links: Mapping[int, RecordLink]) -> None:
    """Fields were written as a person chose: nothing is asked about them any more.

    Args: links, by id, in memory: what they say of their conflicts is brought up to date.
    """
    fields = {(c.link_id, c.mapping_key) for c in applied if c.mapping_key}
    if not fields:
        return
    left: dict[int, list[str]] = {link_id: [] for link_id, _ in fields if link_id}
    others: list[Change] = []
    for row in waiting().filter(link__in=list(left)):
        if (row.link_id, row.mapping_key) in fields:
            others.append(_drop(row, "Another value was chosen."))
        else:
            left[row.link_id or 0].append(row.mapping_key)
    _save(others)
    for link_id, keys in left.items():
        restate(links[link_id], keys)


def restate(link: RecordLink, keys: Iterable[str]) -> None:
    """Let a record name only the fields (their mapping keys) that await a decision."""
    if link.error_code != Code.CONFLICT:
        return
    names = sorted({key.partition("=")[0] for key in keys})
    link.error_code = Code.CONFLICT if names else ""
    link.error_text = text_of(names) if names else ""
    link.error_field = names[0] if names else ""


def leave_as_it_is(link: RecordLink, rows: Iterable[Change]) -> None:
    """Take what a person saw on both sides for the baselines of some fields, in memory:
    they differ from here on, and nobody is asked until a side moves."""
    for row in rows:
        (written,), (other,) = row.before.values(), row.origin.values()
        pair = (other, written) if row.side == Side.APP else (written, other)
        link.baseline[row.mapping_key] = list(pair)
