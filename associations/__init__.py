"""How records relate: association types, mappings and links."""

from __future__ import annotations
