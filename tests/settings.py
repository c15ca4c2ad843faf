"""The settings under test: the product's own, away from the user's files.

A process that a test starts inherits the environment made here, so it uses the same
throw-away folder.
"""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile

if "CROSSLINK_TEST_VAR_DIR" not in os.environ:
    _made = tempfile.mkdtemp(prefix="crosslink-test-")
    os.environ["CROSSLINK_TEST_VAR_DIR"] = _made
    # PostgreSQL refuses to run as root, so its own user must get to its data in here.
    os.chmod(_made, 0o755)
    atexit.register(shutil.rmtree, _made, ignore_errors=True)

os.environ["CROSSLINK_VAR_DIR"] = os.environ["CROSSLINK_TEST_VAR_DIR"]
os.environ["CROSSLINK_ENV_FILE"] = os.devnull
# A shell's own switches must not decide what a test sees.
for _name in ("DEBUG", "CROSSLINK_HTTPS", "ALLOWED_HOSTS", "METRICS_TOKEN"):
    os.environ.pop(_name, None)

from config.settings import *  # noqa: E402, F403

ALLOW_PRIVATE_HOSTS = True  # the sandbox is on loopback
AXES_ENABLED = False  # the test client logs in without a request to throttle
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]  # quick
SEARCH_SETTLE_SECONDS = 0.0
CREATE_SETTLE_SECONDS = 0.0
