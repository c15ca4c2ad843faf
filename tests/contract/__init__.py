"""What every connector does alike, and what each of them and the HTTP door do besides."""

from __future__ import annotations
