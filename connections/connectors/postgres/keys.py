"""The keys of views and foreign tables, which only a person can name.

The app's setting `keys` lists columns as "view.column"; a key of several columns is
named by several entries of one view.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from connections.catalogue import Code
from connections.connectors.base import SchemaError
from connections.connectors.postgres.tables import QUERIED, Table


def key_of(name: str, keys: Sequence[str]) -> tuple[str, ...]:
    """The columns that `keys` names of one view."""
    lead = f"{name}."
    return tuple(key[len(lead) :] for key in keys if key.startswith(lead))


def check_keys(keys: Sequence[str], tables: Mapping[str, Table]) -> None:
    """Raises: SchemaError where a key is that of no view, or of no column."""
    for key in keys:
        owners = [t for name, t in tables.items() if key.startswith(f"{name}.")]
        if not any(key_of(t.name, [key])[0] in t.columns for t in owners):
            raise SchemaError(
                f"keys names {key}, and there is no such view and column.",
                code=Code.FIELD_MISSING,
            )
        if not any(t.kind in QUERIED for t in owners):
            raise SchemaError(
                f"keys is for views and foreign tables; give {owners[0].name} a primary "
                "key instead."
            )
