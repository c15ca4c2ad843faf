"""Lists of links are replaced whole: they are read again, and only what was meant to
change is changed.

A person's edit between our read and our write survives, and so do members that nobody
here knows. A field that prefers a single record has no room for both: there the write is
refused when the field is not what it was.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from connections.catalogue import Code
from connections.connectors.airtable.reading import Reader
from connections.connectors.merging import three_way
from connections.records import ObjectType, Outcome, Patch, Record, Reference, Want

References = Mapping[str, Reference]


class Merger:
    """Merges the references of patches with what records hold now."""

    def __init__(self, reader: Reader, obj: ObjectType) -> None:
        self._reader = reader
        self._obj = obj

    def merged(self, patches: Sequence[Patch]) -> list[References | Outcome]:
        """The references to write for each patch, or why it cannot be written.

        One read for each 100 records that have a list to be merged.
        """
        names = {n for p in patches for n in p.references if n in p.expected}
        ids = [p.id for p in patches if names & p.references.keys()]
        if not ids:
            return [p.references for p in patches]
        want = Want(references=tuple(sorted(names)))
        fetched = self._reader.fetch(self._obj, ids, want)
        now = dict(fetched.records)
        found: list[References | Outcome] = []
        for patch in patches:
            if not patch.references.keys() & names:
                found.append(patch.references)
            elif patch.id in fetched.gone:
                text = f"The record {patch.id} does not exist any more."
                found.append(Outcome(False, code=Code.RECORD_GONE, message=text))
            elif patch.id not in now:
                text = f"The record {patch.id} could not be read before it was written."
                found.append(Outcome(False, code=Code.NOT_READ, message=text))
            else:
                made = self._one(patch, now[patch.id])
                if not isinstance(made, Outcome):  # a later patch goes on from here
                    held = now[patch.id]
                    references = {**held.references, **made}
                    now[patch.id] = Record(held.id, references=references)
                found.append(made)
        return found

    def _one(self, patch: Patch, held: Record) -> References | Outcome:
        merged: dict[str, Reference] = {}
        for name, wanted in patch.references.items():
            planned, current = patch.expected.get(name), held.references.get(name)
            if planned is None or current is None:
                merged[name] = wanted
                continue
            field = self._obj.reference(name)
            single = field is not None and not field.many
            moved = set(planned.ids) != set(current.ids)
            if single and moved and set(current.ids) != set(wanted.ids):
                return Outcome(
                    False,
                    code=Code.CHANGED_SINCE_PLAN,
                    message=f"{name} was changed in Airtable meanwhile.",
                    field=name,
                )
            merged[name] = Reference(three_way(planned.ids, wanted.ids, current.ids))
        return merged
