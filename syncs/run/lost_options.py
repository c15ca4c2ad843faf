"""Options that an app's records lost because the field lost them.

Where an app takes a deleted option out of the records, or all that a field of another type
cannot hold, those show a blank that nobody made: it must not empty HubSpot. HubSpot itself
keeps the values of options that are deleted.
"""

from __future__ import annotations

from connections.records import Side, ValueType
from syncs.engine.values import words
from syncs.models import RecordLink
from syncs.run.session import MappedField, Session

CHOICES = (ValueType.OPTION, ValueType.OPTIONS)


def options_lost(session: Session, link: RecordLink, mapped: MappedField) -> set[str]:
    """What went from an app's record because its field has those options no more.

    Looks at the app's schema, once a run, where a record holds less than it did and no
    more: another option beside may be a renamed one.
    """
    name, stored = mapped.name_on(Side.APP), link.baseline.get(mapped.key)
    field = mapped.field_on(Side.APP)
    # A list of anything has no options, and can lose none.
    if stored is None or field.type not in CHOICES or field.people or not field.options:
        return set()
    held, left = set(words(stored[1])), set(words(link.app_values.get(name)))
    if not left < held:
        return set()
    session.look_once(Side.APP)
    known = session.object_on(Side.APP).field(name)
    if known is None:
        return set()
    if known.type not in CHOICES:  # it holds something else, and lost what it could not
        return set() if left else held
    return held - left - {o.value for o in known.options if not o.archived}
