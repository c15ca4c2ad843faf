"""One connector per kind of system, behind one protocol (`base.py`)."""

from __future__ import annotations
