"""A plain field of the app that holds the key of the far record, not its id.

What its text was found to mean is kept on the record link, beside the references, as the
far record's id. It holds until the text changes: a target that goes by another name since
is no unlink.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from django.db.models import Count, Exists, OuterRef, Q, QuerySet
from django.db.models.functions import Substr

from associations.models import AssociationLink, AssociationMapping, By, LinkState
from associations.run.ends import Json, ReferenceEnd, Written, parts
from associations.run.stored import far_ids
from connections.catalogue import Code
from connections.records import (
    Canon,
    Field,
    Outcome,
    Patch,
    ReferenceField,
    Side,
    Want,
)
from syncs.engine.matching import KeyPart, normalise
from syncs.engine.values import ValueProblem, convert, is_blank
from syncs.models import Change, RecordKey, RecordLink
from syncs.run.session import PROBLEMS, Session
from syncs.run.stage import Inline
from syncs.run.store import KEPT, clip, update_rows

NOBODY, SEVERAL = "≟", "≈"  # before a text that is no id of any record
LONGEST = 299  # characters of such a text; AssociationLink.other_remote_id has one more
HELD = ("app_references", "app_modified_at", "app_values")


class KeyEnd(ReferenceEnd):
    """A field that names its far record by the first match key of the target sync."""

    def __init__(
        self, row: AssociationMapping, field: Field, key: KeyPart, far_field: Field
    ) -> None:
        super().__init__(
            ReferenceField(
                field.name,
                row.to_sync.app_object,
                nullable=not field.required,
                read_only=field.read_only,
            )
        )
        self.slot = f"{KEPT}{field.name}"
        self.to_id, self.key = row.to_sync_id, key
        self.value_field, self.far_field = field, far_field

    # What the texts mean

    def load(self, session: Session, links: Sequence[RecordLink]) -> None:
        """Find whom the texts name: a call or two of our own database."""
        texts = {link.pk: self._text(link) for link in links if self._told(link)}
        held = {
            pk: self._held(link, texts) for link in links if (pk := link.pk) in texts
        }
        there = self._there({i for ids in held.values() for i in ids})
        asked = {
            text
            for pk, text in texts.items()
            if text and not set(held[pk]) & there.keys()
        }
        named = self._named(asked)
        changed = []
        for link in links:
            if link.pk not in texts:
                continue
            text = texts[link.pk]
            ids = [i for i in held[link.pk] if i in there]
            if text and not ids:
                ids = _meant(text, named.get(clip(text), ()), held[link.pk])
            entry = self._entry(ids, text)
            if link.app_references.get(self.slot) != entry:
                link.app_references = {**link.app_references, self.slot: entry}
                changed.append(link)
        if session.run.pk and not session.run.dry_run:
            update_rows([link for link in changed if link.pk], ["app_references"])

    def _told(self, link: RecordLink) -> bool:
        """Whether it is known what the field holds."""
        unreadable = link.app_values.get(PROBLEMS) or {}
        known = self.name in link.app_values and self.name not in unreadable
        return link.app_id is not None and known

    def _text(self, link: RecordLink) -> str:
        """What the field holds, as keys compare it; as it is where it is no key."""
        value = link.app_values.get(self.name)
        if is_blank(value):
            return ""
        return normalise(value, self.key.normalize) or str(value).strip()

    def _entry(self, ids: Sequence[str], text: str) -> Json:
        return {"ids": list(ids), "complete": True, "text": text, "to": self.to_id}

    def _held(self, link: RecordLink, texts: Mapping[int, str]) -> list[str]:
        """Whom the same text meant before; nobody where that was not known."""
        entry = link.app_references.get(self.slot) or {}
        same = entry.get("to") == self.to_id and entry.get("text") == texts[link.pk]
        ids = entry.get("ids", ()) if same else ()
        return [i for i in ids if not i.startswith((NOBODY, SEVERAL))]

    def _live(self) -> QuerySet[RecordLink]:
        return RecordLink.objects.filter(
            sync=self.to_id, app_id__isnull=False, app_gone_at__isnull=True
        )

    def _there(self, ids: Iterable[str]) -> dict[str, int]:
        """Those of some far records that the app still has."""
        found: dict[str, int] = {}
        for some in parts(sorted(ids)):
            rows = self._live().filter(app_id__in=some)
            found |= {i or "": pk for i, pk in rows.values_list("app_id", "pk")}
        return found

    def _named(self, texts: Iterable[str]) -> dict[str, set[str]]:
        """The app's ids of the far records with each key."""
        found: dict[str, set[str]] = {}
        for some in parts(sorted({clip(text) for text in texts})):
            rows = RecordKey.objects.filter(
                sync=self.to_id,
                side=Side.APP,
                rank=0,
                value__in=some,
                link__app_id__isnull=False,
                link__app_gone_at__isnull=True,
            )
            for value, app_id in rows.values_list("value", "link__app_id"):
                found.setdefault(value, set()).add(app_id or "")
        return found

    def ids(self, link: RecordLink) -> list[str] | None:
        if link.app_id is None:
            return []
        entry = link.app_references.get(self.slot)
        if not self._told(link) or entry is None or entry.get("to") != self.to_id:
            return None
        return list(entry["ids"])

    # Writing

    def carry(self, inline: Inline, change: Change) -> bool:
        assert change.other_link is not None
        far = RecordLink.objects.get(pk=change.other_link.pk)
        try:
            inline.values[self.name] = self._value_of(far)
        except ValueProblem:
            return False  # said when it is written by itself
        return True

    def carried(self, link: RecordLink, changes: Sequence[Change]) -> None:
        for change in changes:
            far = RecordLink.objects.get(pk=change.other_link_id or 0)
            self._take(link, [far.app_id or ""], self._value_of(far))

    def _value_of(self, far: RecordLink) -> Canon:
        """A far record's key as this field holds it.

        Raises: ValueProblem.
        """
        value = far.app_values.get(self.key.app)
        if is_blank(value):
            raise ValueProblem(
                Code.TARGET_NOT_MATCHED,
                f"The linked record has no {self.key.app} to be named by.",
            )
        return convert(value, self.far_field, self.value_field)

    def _value(self, change: Change) -> Canon:
        """What a change leads to: the far record's key, a text as it was, or a blank."""
        keys = [k for k in change.after.get("far", ()) if isinstance(k, int)]
        far = RecordLink.objects.filter(pk__in=keys).first()
        if far is not None:
            return self._value_of(far)
        for remote_id in change.after.get("unknown", ()):
            if text := names_nobody(str(remote_id)):
                return text
            raise ValueProblem(
                Code.TARGET_NOT_MATCHED,
                f"Record {remote_id}, which {self.name} named, is not known any more.",
            )
        return None

    def _take(self, link: RecordLink, ids: Sequence[str], value: Canon) -> None:
        """Note what the field holds now, unsaved."""
        link.app_values = {**link.app_values, self.name: value}
        entry = self._entry(ids, self._text(link))
        link.app_references = {**link.app_references, self.slot: entry}

    @classmethod
    def refresh(
        cls, session: Session, work: Mapping[Any, Sequence[RecordLink]]
    ) -> None:
        super().refresh(session, work)
        for end, links in work.items():
            end.load(
                session, list(RecordLink.objects.filter(pk__in=[x.pk for x in links]))
            )

    @classmethod
    def write(cls, session: Session, work: Mapping[Any, Sequence[Change]]) -> Written:
        written = Written(columns=HELD)
        sent: dict[int, list[tuple[KeyEnd, Change, Canon]]] = {}
        for end, change in ((e, c) for e, changes in work.items() for c in changes):
            try:
                value = end._value(change)
            except ValueProblem as exc:
                refused = Outcome(False, code=exc.code, message=exc.message)
                written.answered.append((change, refused))
            else:
                sent.setdefault(change.link_id or 0, []).append((end, change, value))
        patches = [
            Patch(rows[0][1].link.app_id or "", {e.name: v for e, _, v in rows})  # type: ignore[union-attr]
            for rows in sent.values()
        ]
        names = tuple(sorted({e.name for rows in sent.values() for e, _, _ in rows}))
        obj, want = session.object_on(Side.APP), Want(names, session.references)
        outcomes = session.app.update(obj, patches, want) if patches else []
        answers = dict(zip(sent, outcomes, strict=True))
        written.answered += [
            (change, answers[pk]) for pk, rows in sent.items() for _, change, _ in rows
        ]
        done = [pk for pk, outcome in answers.items() if outcome.ok]
        links = RecordLink.objects.in_bulk(done)
        for pk, link in links.items():
            record = answers[pk].record
            told = session.canonical_values(Side.APP, record) if record else {}
            for end, change, value in sent[pk]:
                end._take(link, far_ids(change), told.get(end.name, value))  # type: ignore[arg-type]
            if record is not None and record.modified_at:
                link.app_modified_at = record.modified_at
        written.held = list(links.values())
        return written


def _meant(text: str, found: Iterable[str], held: Sequence[str]) -> list[str]:
    """The one record with a key; the one that is gone and had it; else a text."""
    ids = sorted(found)
    if len(ids) == 1:
        return ids
    if ids:
        return [SEVERAL + text[:LONGEST]]
    return list(held) or [NOBODY + text[:LONGEST]]


def names_nobody(remote_id: str) -> str:
    """The text of a field that names no record, or several; "" for an id."""
    return remote_id[1:] if remote_id.startswith((NOBODY, SEVERAL)) else ""


def is_shared(remote_id: str) -> bool:
    return remote_id.startswith(SEVERAL)


def named_by_now(sync_id: int | None) -> Iterator[QuerySet[AssociationLink]]:
    """Links to texts that named nobody, or several records, and may name one now."""
    rows = AssociationMapping.objects.filter(sync=sync_id, by=By.MATCH_KEY)
    for mapping in rows:
        keys = RecordKey.objects.filter(
            sync=mapping.to_sync_id,
            rank=0,
            side=Side.APP,
            value=OuterRef("named"),
            link__app_id__isnull=False,
            link__app_gone_at__isnull=True,
        ).order_by()
        texts = AssociationLink.objects.filter(mapping=mapping, other=None)
        texts = texts.annotate(named=Substr("other_remote_id", 2))
        several = keys.values("value").annotate(n=Count("link", distinct=True))
        yield texts.filter(
            Q(state=LinkState.PENDING, other_remote_id__startswith=NOBODY)
            & Exists(keys)
        )
        yield texts.filter(
            Q(state=LinkState.FAILING, other_remote_id__startswith=SEVERAL)
            & ~Exists(several.filter(n__gt=1))
        )
