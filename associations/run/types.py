"""The association types that a run works with: read again when due, missed when gone."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta

from associations.models import AssociationMapping
from associations.models import AssociationType as StoredType
from associations.services import read_pair
from connections import schemas
from connections.catalogue import Code
from connections.connectors.base import AuthError, SetupError
from connections.records import AssociationType, Side
from syncs.run.session import Session, is_due


def refresh_due(session: Session, rows: Iterable[AssociationMapping]) -> None:
    """Read the types and limits of the mappings' pairs of objects again, where a full
    run asks for it, the last reading is too old, or a mapping misses its type.

    An account that does not let them be read is worked with as it was last known.
    """
    account = session.sync.app.hubspot
    near = session.object_on(Side.HUBSPOT).id
    due: dict[str, bool] = {}
    for row in rows:
        far = far_object(session, row)
        due[far] = due.get(far, False) or _is_due(session, row, near, far)
    for far in sorted(far for far, asked in due.items() if asked):
        try:
            read_pair(account, session.hubspot, (near, far))
        except AuthError:
            raise
        except SetupError as exc:
            session.log(
                f"The association types from {near} to {far} could not be read: "
                f"{exc.message}",
                level="warning",
                code=exc.code,
            )


def far_object(session: Session, row: AssociationMapping) -> str:
    """The id of the object type at the other end of a mapping."""
    name, known = row.to_sync.hubspot_object, session.far_objects
    if name not in known:
        known[name] = schemas.load_object(session.sync.app.hubspot, name).id
    return known[name]


def _is_due(session: Session, row: AssociationMapping, near: str, far: str) -> bool:
    stored = list(_stored(session, near, far))
    if not stored or any(t not in _live(stored) for t in row.types):
        return True
    read_at = max(t.discovered_at for t in stored)
    if session.run.full and (begun := session.run.started_at):
        return read_at < begun
    return is_due(read_at, timedelta(seconds=session.sync.full_every_s))


def missing(session: Session, row: AssociationMapping) -> str:
    """What a mapping misses among the types that HubSpot lists; "" if nothing."""
    if not row.types:
        return f"{row.app_field}: its association type is not known in HubSpot."
    near = session.object_on(Side.HUBSPOT).id
    far = far_object(session, row)
    stored = list(_stored(session, near, far))
    lost = [t for t in row.types if stored and t not in _live(stored)]
    if not lost:
        return ""
    texts = {(s.category, s.type_id): s.label for s in stored}
    named = ", ".join(
        f"{texts.get((t.category, t.type_id)) or 'type'!r} ({t.category} {t.type_id})"
        for t in lost
    )
    return (
        f"{row.app_field}: HubSpot does not list {named} from {near} to {far} any more. "
        "Its links stay as they are on both sides; choose another type, or make the "
        "label again and choose that."
    )


def _stored(session: Session, near: str, far: str) -> Iterable[StoredType]:
    return StoredType.objects.filter(
        account=session.sync.app.hubspot_id, from_object=near, to_object=far
    )


def _live(stored: Iterable[StoredType]) -> set[AssociationType]:
    return {AssociationType(s.category, s.type_id) for s in stored if s.gone_at is None}


def say(session: Session, code: Code, text: str) -> None:
    """Log what keeps a mapping from working, and count it as an error of the run."""
    session.log(text, level="error", code=code)
    session.tally.error(code, text)
