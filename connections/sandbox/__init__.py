"""The fake systems: real wire formats over HTTP, with the semantics that hurt.

Shares no code and no table with the connectors, so that it can prove them wrong.
"""

from __future__ import annotations
