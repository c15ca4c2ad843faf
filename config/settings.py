"""Every setting, read from the environment or `.env`; bad values fail at once.

`.env.example` lists what may be set. What an installation can make for itself (its
secret key, its encryption key) is made once and kept under `var/`.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import django_stubs_ext
import environ
from cryptography.fernet import Fernet
from django.core.exceptions import ImproperlyConfigured
from django.core.management.utils import get_random_secret_key
from django.templatetags.static import static

from config.navigation import NAVIGATION
from config.secrets import kept_secret

django_stubs_ext.monkeypatch()  # so that ModelAdmin[Model] stands at run time

BASE_DIR = Path(__file__).resolve().parent.parent

env = environ.Env()
# The environment wins over the file, so that one variable can be tried out.
env.read_env(os.environ.get("CROSSLINK_ENV_FILE", BASE_DIR / ".env"))


def _whole(name: str, default: int) -> int:
    try:
        return int(env.int(name, default=default))
    except ValueError as exc:
        raise ImproperlyConfigured(f"{name} must be a whole number.") from exc


def _seconds(name: str, default: float) -> float:
    try:
        return float(env.float(name, default=default))
    except ValueError as exc:
        raise ImproperlyConfigured(f"{name} must be a number of seconds.") from exc


# Where the installation keeps its own files; the one folder to back up.
VAR_DIR = BASE_DIR / env.str("CROSSLINK_VAR_DIR", default="var")
STATIC_ROOT = VAR_DIR / "static"
STATIC_ROOT.mkdir(parents=True, exist_ok=True)

DEBUG = env.bool("DEBUG", default=False)
SECRET_KEY = env.str("SECRET_KEY", default="") or kept_secret(
    VAR_DIR / "secret_key", get_random_secret_key
)
ALLOWED_HOSTS = env.list("ALLOWED_HOSTS", default=["localhost", "127.0.0.1", "[::1]"])
CSRF_TRUSTED_ORIGINS = env.list("CSRF_TRUSTED_ORIGINS", default=[])

# --- Crosslink's own -----------------------------------------------------------------

# Newest first: the first encrypts, any decrypts.
ENCRYPTION_KEYS: list[str] = env.list("CROSSLINK_ENCRYPTION_KEYS", default=[]) or [
    kept_secret(VAR_DIR / "encryption_key", lambda: Fernet.generate_key().decode())
]
for _position, _key in enumerate(ENCRYPTION_KEYS, start=1):
    try:
        Fernet(_key)
    except ValueError as exc:
        raise ImproperlyConfigured(
            f"CROSSLINK_ENCRYPTION_KEYS: key {_position} is not a Fernet key "
            "(44 characters of URL-safe base64)."
        ) from exc

# How long a silent run keeps its syncs.
LEASE_SECONDS = _whole("CROSSLINK_LEASE_SECONDS", default=60)
ALLOW_PRIVATE_HOSTS = env.bool("CROSSLINK_ALLOW_PRIVATE_HOSTS", default=False)
LOG_RETENTION_DAYS = _whole("CROSSLINK_LOG_RETENTION_DAYS", default=90)
# How long a run that a person started lets HubSpot's search catch up before it asks.
SEARCH_SETTLE_SECONDS = _seconds("CROSSLINK_SEARCH_SETTLE_SECONDS", default=5.0)
# How old a create of unknown outcome must be before its absence is believed.
CREATE_SETTLE_SECONDS = _seconds("CROSSLINK_CREATE_SETTLE_SECONDS", default=10.0)
HTTP_CONNECT_TIMEOUT = _seconds("HTTP_CONNECT_TIMEOUT", default=10.0)  # seconds
HTTP_TIMEOUT = _seconds("HTTP_TIMEOUT", default=30.0)  # seconds without an answer
METRICS_TOKEN = env.str("METRICS_TOKEN", default="")  # blank: loopback only

# What every chunk of a run passes, in this order.
SYNC_STAGES = ["syncs.stages.RecordStage", "associations.stages.AssociationStage"]
# What "Refresh schema" queues: objects, and the association types between them.
REFRESH_TASK = "associations.tasks.refresh_schema"

# --- Django --------------------------------------------------------------------------

INSTALLED_APPS = [
    "unfold",  # before django.contrib.admin, whose templates it replaces
    "unfold.contrib.filters",
    "unfold.contrib.forms",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django.contrib.humanize",
    "axes",
    "csp",
    "django_q",
    "connections",
    "syncs",
    "associations",
    "config",
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "csp.middleware.CSPMiddleware",
    "config.middleware.refuse_nul",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "axes.middleware.AxesMiddleware",  # last: it answers for a locked-out log-in
]

ROOT_URLCONF = "config.urls"
WSGI_APPLICATION = "config.wsgi.application"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    }
]

LANGUAGE_CODE = "en-us"
TIME_ZONE = env.str("TIME_ZONE", default="UTC")
USE_I18N = True
FORMAT_MODULE_PATH = "config.formats"
USE_TZ = True

STATIC_URL = "static/"
# Served from the packages as they are installed: no step to forget after an upgrade.
WHITENOISE_USE_FINDERS = True
WHITENOISE_AUTOREFRESH = DEBUG

# --- Database ------------------------------------------------------------------------


def _database() -> dict[str, Any]:
    """Read DATABASE_URL and add what each engine needs to serve several processes."""
    url = env.str("DATABASE_URL", default="")
    url = url or f"sqlite:///{VAR_DIR / 'crosslink.sqlite3'}"
    # Asked before it is parsed: the parser's own complaint shows the password.
    if url.partition("://")[0] not in ("sqlite", "postgres", "postgresql"):
        raise ImproperlyConfigured("DATABASE_URL must be sqlite:/// or postgres://.")
    database: dict[str, Any] = env.db_url_config(url)
    options = database.setdefault("OPTIONS", {})
    if database["ENGINE"] == "django.db.backends.postgresql":
        database |= {"CONN_MAX_AGE": 60, "CONN_HEALTH_CHECKS": True}
        options.setdefault("connect_timeout", 10)
    else:
        database |= {
            "NAME": str(BASE_DIR / database["NAME"]),
            "CONN_MAX_AGE": 600,
            # Tests open it from threads, which an in-memory database locks up under.
            "TEST": {"NAME": str(VAR_DIR / "test.sqlite3")},
        }
        # IMMEDIATE: a transaction that reads and then writes waits for its turn
        # instead of failing with "database is locked".
        options |= {
            "transaction_mode": "IMMEDIATE",
            "timeout": 20,  # seconds
            "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;",
        }
    return database


DATABASES = {"default": _database()}

# --- Task cluster --------------------------------------------------------------------

Q_WORKERS = _whole("Q_WORKERS", default=2)
_Q_TIMEOUT = 300  # seconds; tasks are slices well under it
_Q_QUEUED = 2 + 1  # prefetched: queue_limit + bulk
Q_CLUSTER = {
    "name": "crosslink",
    "label": "Task cluster",
    "orm": "default",
    "workers": Q_WORKERS,
    "queue_limit": 2,
    "bulk": 1,
    "poll": 0.5,  # seconds
    "timeout": _Q_TIMEOUT,
    # The clock starts at dequeue, so it must outlast every task queued before.
    "retry": _Q_TIMEOUT * (Q_WORKERS + _Q_QUEUED) // Q_WORKERS + 150,
    # Our own rows say what is left to do; the queue only wakes, so it never retries.
    "max_attempts": 1,
    "ack_failures": True,
    "catch_up": False,
    "save_limit": 0,  # each result would otherwise lock and count 250 rows
    "recycle": 200,  # tasks a worker runs before it is replaced
    "max_rss": 400_000,  # kilobytes
}

# --- Who may come in -----------------------------------------------------------------

AUTHENTICATION_BACKENDS = [
    "axes.backends.AxesStandaloneBackend",
    "django.contrib.auth.backends.ModelBackend",
]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in (
        "UserAttributeSimilarityValidator",
        "MinimumLengthValidator",
        "CommonPasswordValidator",
        "NumericPasswordValidator",
    )
]
LOGIN_URL = "admin:login"
LOGIN_REDIRECT_URL = "admin:index"

AXES_FAILURE_LIMIT = 10
AXES_COOLOFF_TIME = 0.25  # hours
# Both together: one wrong guesser behind a proxy must not lock everyone out.
AXES_LOCKOUT_PARAMETERS = [["username", "ip_address"]]
AXES_RESET_ON_SUCCESS = True
AXES_VERBOSE = False

HTTPS = env.bool("CROSSLINK_HTTPS", default=False)
SECURE_SSL_REDIRECT = HTTPS
# The probes come from inside, past the proxy that ends TLS.
SECURE_REDIRECT_EXEMPT = [r"^healthz$", r"^metrics$"]
SESSION_COOKIE_SECURE = HTTPS
CSRF_COOKIE_SECURE = HTTPS
SECURE_HSTS_SECONDS = 31_536_000 if HTTPS else 0  # a year
SECURE_HSTS_INCLUDE_SUBDOMAINS = HTTPS
SECURE_HSTS_PRELOAD = HTTPS
if env.bool("CROSSLINK_BEHIND_PROXY", default=False):
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
SESSION_COOKIE_SAMESITE = "Lax"
X_FRAME_OPTIONS = "DENY"
SECURE_REFERRER_POLICY = "same-origin"

# Alpine, which the admin's theme ships, evaluates its attributes: hence unsafe-eval.
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": ["'self'"],
        "script-src": ["'self'", "'unsafe-eval'"],
        "style-src": ["'self'", "'unsafe-inline'"],
        "img-src": ["'self'", "data:"],
        "object-src": ["'none'"],
        "base-uri": ["'self'"],
        "form-action": ["'self'"],
        "frame-ancestors": ["'none'"],
    }
}

# --- Looks ---------------------------------------------------------------------------

UNFOLD = {
    "SITE_TITLE": "Crosslink",
    "SITE_HEADER": "Crosslink",
    "SITE_SUBHEADER": "HubSpot and apps, in step",
    "SITE_SYMBOL": "sync_alt",
    "SITE_FAVICONS": [
        {
            "rel": "icon",
            "type": "image/svg+xml",
            "href": lambda request: static("crosslink/icon.svg"),
        }
    ],
    "SHOW_HISTORY": True,
    "SHOW_VIEW_ON_SITE": False,
    "STYLES": [lambda request: static("crosslink/admin.css")],
    "DASHBOARD_CALLBACK": "config.home.dashboard",
    "SIDEBAR": {"navigation": NAVIGATION},
    "COLORS": {
        "primary": {
            "50": "oklch(97% .014 254.604)",
            "100": "oklch(93.2% .032 255.585)",
            "200": "oklch(88.2% .059 254.128)",
            "300": "oklch(80.9% .105 251.813)",
            "400": "oklch(70.7% .165 254.624)",
            "500": "oklch(62.3% .214 259.815)",
            "600": "oklch(54.6% .245 262.881)",
            "700": "oklch(48.8% .243 264.376)",
            "800": "oklch(42.4% .199 265.638)",
            "900": "oklch(37.9% .146 265.522)",
            "950": "oklch(28.2% .091 267.935)",
        }
    },
}

# --- Logs ----------------------------------------------------------------------------

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "filters": {"redact": {"()": "connections.redaction.RedactFilter"}},
    "formatters": {
        "line": {"format": "%(asctime)s %(levelname)s %(name)s: %(message)s"}
    },
    "handlers": {
        "console": {
            "class": "logging.StreamHandler",
            "filters": ["redact"],
            "formatter": "line",
        }
    },
    "root": {
        "handlers": ["console"],
        "level": env.str("LOG_LEVEL", default="INFO").upper(),
    },
    # Django gives this one a handler of its own, which the filter would not see.
    "loggers": {"django.server": {"handlers": ["console"], "propagate": False}},
}
