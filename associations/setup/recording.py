"""Who applied a set-up file, for the history of what it changed."""

from __future__ import annotations

from typing import Any

from django.db.models import Model

from associations.setup.differing import Tree, differences
from associations.setup.exporting import export_account, export_app, export_sync
from connections import audit
from connections.models import ConnectedApp, HubSpotAccount
from connections.redaction import redact
from syncs.models import ObjectSync


class Recorder:
    """Keeps what the rows that a file may change were, and then what they are."""

    def __init__(self, by: str) -> None:
        """Args: by, what applies the file."""
        self._by = f"{by}, as {audit.account_name()}"
        self._before: dict[tuple[type[Model], int], tuple[Tree, Any]] = {}

    def saw(self, *rows: Any) -> None:
        """Remember rows as they are before they are changed."""
        for row in rows:
            self._before[type(row), row.pk] = _tree(row), _secrets(row)

    def keep(self, row: Any) -> None:
        """Keep what a row is now, unless it is what it was."""
        before = self._before.get((type(row), row.pk))
        mark = f", revision {row.revision}" if isinstance(row, ObjectSync) else ""
        if before is None:
            self._write(row, f"Set up by {self._by}{mark}.", added=True)
            return
        stored = type(row)._default_manager.get(pk=row.pk)
        lines = differences(before[0], _tree(stored))
        if before[1] != _secrets(stored):
            lines.append("credentials: replaced")
        if lines:
            self._write(row, f"Edited by {self._by}{mark}. {'; '.join(lines)}.")

    def _write(self, row: Model, text: str, *, added: bool = False) -> None:
        audit.keep(audit.command_line(), [row], redact(text), added=added)


def _tree(row: Any) -> Tree:
    """What a set-up file says of a row, and whether it still counts."""
    if isinstance(row, ObjectSync):
        found = export_sync(row)
    elif isinstance(row, ConnectedApp):
        found = export_app(row)
    else:
        found = export_account(row)
    found = {n: v for n, v in found.items() if n not in ("token", "credentials")}
    return found | {"archived": row.archived_at is not None}


def _secrets(row: Any) -> Any:
    return row.credentials if isinstance(row, (HubSpotAccount, ConnectedApp)) else None
