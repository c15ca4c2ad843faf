"""The fake HubSpot is honest: what its API answers, held against what is documented.

Calls go through HubSpot's official client, unchanged, and over plain HTTP; nothing here
reads the sandbox's state any other way.
"""

from __future__ import annotations
