"""What is kept in step: object syncs, their runs and their changes."""

from __future__ import annotations
