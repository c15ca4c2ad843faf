"""Secrets that an installation makes for itself, once, and keeps."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from pathlib import Path


def kept_secret(path: Path, make: Callable[[], str]) -> str:
    """Read the secret kept at a path; make and keep it on first use.

    Args: path, the file to keep it in; make, called once for a new secret.
    Returns: the secret; the same for every process that asks at the same moment.
    Raises: OSError if the file can be neither read nor made.
    """
    if not path.exists():
        _keep(path, make())
    return path.read_text(encoding="ascii").strip()


def _keep(path: Path, secret: str) -> None:
    """Put the secret there whole or not at all, unless another process was first."""
    path.parent.mkdir(parents=True, exist_ok=True)
    # mkstemp makes the file 0600; a link appears whole and never overwrites.
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w", encoding="ascii") as file:
            file.write(secret + "\n")
        os.link(name, path)
    except FileExistsError:
        return
    finally:
        os.unlink(name)
