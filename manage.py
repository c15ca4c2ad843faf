#!/usr/bin/env python
"""Run a management command: `manage.py help` lists them."""

from __future__ import annotations

import os
import sys

LATER = ("explain",)  # promised, and not in this version


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    if len(sys.argv) > 1 and sys.argv[1] in LATER:
        sys.stderr.write(f"{sys.argv[1]} is not available in this version.\n")
        sys.exit(2)
    from django.conf import settings
    from django.core.exceptions import ImproperlyConfigured
    from django.core.management import execute_from_command_line

    try:
        assert settings.INSTALLED_APPS  # reads the settings
    except ImproperlyConfigured as exc:
        sys.stderr.write(f"{exc}\n")
        sys.exit(2)
    execute_from_command_line(sys.argv)


if __name__ == "__main__":
    main()
