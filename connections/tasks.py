"""What the task cluster does for connections. Ids in, safe to repeat."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial
from typing import Any

from django.db import transaction
from django.utils import timezone
from django_q.tasks import async_task

from connections import services
from connections.catalogue import Code
from connections.connectors.base import ConnectorError
from connections.models import ConnectedApp, HubSpotAccount
from connections.redaction import redact
from connections.schemas import Owner

logger = logging.getLogger(__name__)

ACCOUNT, APP = "account", "app"


def kind_of(owner: Owner) -> str:
    """The word that names an owner's table in a task's arguments."""
    return ACCOUNT if isinstance(owner, HubSpotAccount) else APP


def _owner(kind: str, pk: int) -> Owner | None:
    model = HubSpotAccount if kind == ACCOUNT else ConnectedApp
    return model._default_manager.filter(pk=pk).first()


def enqueue(task: str, owner: Owner) -> None:
    """Queue one of this module's tasks (a dotted path) once the transaction is done."""
    name = f"{task.rpartition('.')[2].replace('_', ' ')} {owner.pk}"
    transaction.on_commit(
        partial(async_task, task, kind_of(owner), owner.pk, task_name=name)
    )


def test_connection(kind: str, pk: int) -> str:
    """Test a connection; how it went stands on its row."""
    return noted(kind, pk, services.test_connection)


def refresh_schema(kind: str, pk: int) -> str:
    """Discover a system's objects again; how it went stands on its row."""
    return noted(kind, pk, read_objects)


def read_objects(owner: Owner) -> None:
    """Discover, and note that the connection works.

    Raises: ConnectorError.
    """
    found = services.refresh_schema(owner)
    count = len(found.objects)
    note(owner, "", f"{count} object{'' if count == 1 else 's'} found.")


def noted(kind: str, pk: int, work: Callable[[Owner], Any]) -> str:
    """Ask a connection's system; what came of it stands on its row."""
    owner = _owner(kind, pk)
    if owner is None:
        return "nothing to do"
    try:
        work(owner)
    except ConnectorError as exc:
        note(owner, exc.code, exc.message)
    except Exception as exc:
        logger.exception("%s could not be asked", owner)
        note(owner, Code.INTERNAL, f"{type(exc).__name__}: {exc}")
    return owner.test_code or "ok"


def note(owner: Owner, code: str, text: str) -> None:
    """Keep on the connection's row how the last call to its system went."""
    owner.tested_at = timezone.now()
    owner.test_code, owner.test_text = code, redact(text)
    owner.save(update_fields=["tested_at", "test_code", "test_text"])
