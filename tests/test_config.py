"""The settings, the secrets an installation makes, and what operators' tools ask."""

from __future__ import annotations

import itertools
import os
import re
import stat
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography.fernet import Fernet
from django.conf import settings
from django.core.management import call_command, get_commands, load_command_class
from django.db import DatabaseError, connection
from django.test import Client, RequestFactory
from django.utils import timezone
from django.utils.module_loading import import_string
from django_q.models import OrmQ, Schedule, Task

from associations.models import AssociationLink, AssociationMapping, LinkState
from config import views
from config.secrets import kept_secret
from connections.models import ConnectedApp, HubSpotAccount, RateBudget
from syncs.models import ObjectSync, RecordLink, SyncRun
from syncs.models.choices import RecordState, Status, Trigger

ROOT = Path(settings.BASE_DIR)
OURS = ("config", "connections", "syncs", "associations")


def run_with(
    tmp_path: Path, code: str, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Read the settings in a fresh process, with this environment and no .env."""
    inherited = ("PATH", "HOME", "TMPDIR", "LANG")
    return subprocess.run(
        [sys.executable, "-c", f"from config import settings\n{code}"],
        cwd=ROOT,
        env={
            **{name: os.environ[name] for name in inherited if name in os.environ},
            "CROSSLINK_VAR_DIR": str(tmp_path),
            "CROSSLINK_ENV_FILE": os.devnull,
            **environment,
        },
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


# --- Settings


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("CROSSLINK_ENCRYPTION_KEYS", "short"),
        ("CROSSLINK_LEASE_SECONDS", "soon"),
        ("Q_WORKERS", "two"),
        ("HTTP_TIMEOUT", "long"),
        ("DATABASE_URL", "mysql://db/crosslink"),
    ],
)
def test_a_setting_that_cannot_be_read_is_named_in_one_line(name, value):
    ended = subprocess.run(
        [sys.executable, "manage.py", "sync"],
        cwd=ROOT,
        env={**os.environ, name: value, "DJANGO_SETTINGS_MODULE": "config.settings"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ended.returncode == 2
    assert name in ended.stderr
    assert value not in ended.stderr
    assert ended.stderr.count("\n") == 1
    assert ended.stdout == ""


def test_the_example_lists_every_variable_that_the_settings_read():
    source = (ROOT / "config" / "settings.py").read_text()
    read = set(re.findall(r'(?:env\.\w+|_whole|_seconds)\(\s*"([A-Z_]+)"', source))
    example = (ROOT / ".env.example").read_text()
    listed = re.findall(r"^(?:# )?([A-Z_]+)=", example, re.MULTILINE)
    assert sorted(listed) == sorted(read)


def test_the_example_shows_the_defaults(tmp_path):
    names = [
        "DEBUG",
        "ALLOWED_HOSTS",
        "CSRF_TRUSTED_ORIGINS",
        "TIME_ZONE",
        "Q_WORKERS",
        "HTTPS",
        "LEASE_SECONDS",
        "ALLOW_PRIVATE_HOSTS",
        "LOG_RETENTION_DAYS",
        "HTTP_TIMEOUT",
        "HTTP_CONNECT_TIMEOUT",
        "SEARCH_SETTLE_SECONDS",
        "CREATE_SETTLE_SECONDS",
    ]
    code = f"print([getattr(settings, name) for name in {names}])"
    example = str(ROOT / ".env.example")
    copied = run_with(tmp_path, code, CROSSLINK_ENV_FILE=example)
    plain = run_with(tmp_path, code)
    assert plain.returncode == 0, plain.stderr
    assert copied.stdout == plain.stdout


def test_every_variable_of_the_example_is_explained():
    lines = (ROOT / ".env.example").read_text().splitlines()
    for before, line in itertools.pairwise(lines):
        if re.match(r"(# )?[A-Z_]+=", line):
            assert before, f"{line} has no comment above it"


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("Q_WORKERS", "many", "many"),
        ("CROSSLINK_LEASE_SECONDS", "1m", "1m"),
        ("CROSSLINK_ENCRYPTION_KEYS", "short", "CROSSLINK_ENCRYPTION_KEYS: key 1"),
        ("DATABASE_URL", "mysql://root@localhost/x", "DATABASE_URL must be"),
    ],
)
def test_a_bad_value_is_refused_at_once(tmp_path, name, value, says):
    answer = run_with(tmp_path, "", **{name: value})
    assert answer.returncode != 0
    assert says in answer.stderr


def test_a_bad_encryption_key_is_not_printed(tmp_path):
    good = Fernet.generate_key().decode()
    keys = f"{good},not-{'k' * 40}"
    answer = run_with(tmp_path, "", CROSSLINK_ENCRYPTION_KEYS=keys)
    assert "key 2" in answer.stderr
    assert good not in answer.stderr
    assert "k" * 40 not in answer.stderr


def test_a_mistyped_database_url_does_not_print_its_password(tmp_path):
    answer = run_with(tmp_path, "", DATABASE_URL="postgress://ada:h0rse@db/crm")
    assert "DATABASE_URL must be" in answer.stderr
    assert "h0rse" not in answer.stderr


def test_a_first_run_makes_its_secrets_and_keeps_them(tmp_path):
    code = "print(settings.SECRET_KEY, settings.ENCRYPTION_KEYS)"
    first, second = run_with(tmp_path, code), run_with(tmp_path, code)
    assert first.returncode == 0, first.stderr
    assert first.stdout == second.stdout
    for name in ("secret_key", "encryption_key"):
        mode = stat.S_IMODE((tmp_path / name).stat().st_mode)
        assert mode == 0o600, name


def test_sqlite_is_the_default_and_is_set_for_several_processes(tmp_path):
    code = "print(settings.DATABASES['default'])"
    printed = run_with(tmp_path, code).stdout
    assert str(tmp_path / "crosslink.sqlite3") in printed
    assert "journal_mode=WAL" in printed
    assert "'transaction_mode': 'IMMEDIATE'" in printed


def test_a_postgres_url_may_name_a_socket_folder(tmp_path):
    url = "postgresql://me@/crosslink?host=/run/postgresql"
    code = "d = settings.DATABASES['default']; print(d['NAME'], d['OPTIONS']['host'])"
    answer = run_with(tmp_path, code, DATABASE_URL=url)
    assert answer.stdout.split() == ["crosslink", "/run/postgresql"]


@pytest.mark.parametrize("workers", [1, 2, 8])
def test_a_queued_task_is_never_handed_out_twice(tmp_path, workers):
    code = "print(settings.Q_CLUSTER['timeout'], settings.Q_CLUSTER['retry'])"
    printed = run_with(tmp_path, code, Q_WORKERS=str(workers)).stdout
    timeout, retry = map(int, printed.split())
    # A worker may have to finish its share of the prefetched tasks first.
    assert retry > timeout * (1 + 3 / workers)


def test_two_processes_that_start_together_keep_one_secret(tmp_path):
    path = tmp_path / "secret"

    def make_while_another_is_first() -> str:
        kept_secret(path, lambda: "the other's")
        return "ours"

    assert kept_secret(path, make_while_another_is_first) == "the other's"
    assert [entry.name for entry in tmp_path.iterdir()] == ["secret"]


def test_every_command_has_help():
    commands = [name for name, app in get_commands().items() if app in OURS]
    for name in commands:
        help_text = load_command_class(get_commands()[name], name).help
        assert len(help_text) > 20, name


# --- Addresses


def test_the_root_leads_to_the_admin(client: Client):
    answer = client.get("/")
    assert (answer.status_code, answer.headers["Location"]) == (302, "/admin/")


@pytest.mark.django_db
def test_the_login_page_allows_no_other_host_and_no_inline_script(client: Client):
    answer = client.get("/admin/login/")
    assert answer.status_code == 200
    policy = answer.headers["Content-Security-Policy"]
    scripts = next(p for p in policy.split("; ") if p.startswith("script-src"))
    assert scripts == "script-src 'self' 'unsafe-eval'"
    assert "default-src 'self'" in policy
    assert answer.headers["X-Frame-Options"] == "DENY"


@pytest.mark.django_db
def test_guessing_passwords_is_stopped(client, settings, django_user_model):
    settings.AXES_ENABLED = True
    django_user_model.objects.create_superuser("ada", password="right horse")
    for _ in range(settings.AXES_FAILURE_LIMIT):
        client.post("/admin/login/", {"username": "ada", "password": "wrong"})
    answer = client.post(
        "/admin/login/", {"username": "ada", "password": "right horse"}
    )
    assert answer.status_code == 429


# --- Health


def finished_task(*, ago: timedelta) -> None:
    stopped = timezone.now() - ago
    Task.objects.create(
        id=f"{stopped.timestamp():.6f}",
        name="tick",
        func="tick",
        started=stopped,
        stopped=stopped,
        success=True,
    )


@pytest.mark.django_db
def test_healthy_while_tasks_get_done(client: Client):
    finished_task(ago=timedelta(hours=1))
    finished_task(ago=timedelta(seconds=50))
    answer = client.get("/healthz")
    assert (answer.status_code, answer.json()) == (200, {"status": "ok"})


@pytest.mark.django_db
def test_a_cluster_that_never_worked_is_named(client: Client):
    answer = client.get("/healthz")
    assert answer.status_code == 503
    assert list(answer.json()["problems"]) == ["task_cluster"]


@pytest.mark.django_db
def test_a_cluster_whose_workers_are_stuck_is_named(client: Client):
    finished_task(ago=timedelta(minutes=4))
    answer = client.get("/healthz")
    assert answer.status_code == 503
    assert "last finished a task 24" in answer.json()["problems"]["task_cluster"]


@pytest.mark.django_db
def test_a_database_that_does_not_answer_is_named(client: Client, monkeypatch):
    def refuse(*args: object, **kwargs: object) -> None:
        raise DatabaseError("connection to ada:horse@db failed")

    monkeypatch.setattr(connection, "cursor", refuse)
    answer = client.get("/healthz")
    assert answer.status_code == 503
    assert answer.json()["problems"] == {"database": "does not answer"}
    assert "horse" not in answer.content.decode()


@pytest.mark.django_db
def test_migrating_schedules_the_tick_once():
    Schedule.objects.all().delete()
    for _ in range(2):
        call_command("migrate", verbosity=0)
    tick = Schedule.objects.get()
    assert (tick.schedule_type, tick.minutes, tick.repeats) == ("I", 1, -1)
    assert callable(import_string(tick.func))


# --- Metrics


def asks(**meta: str) -> int:
    request = RequestFactory().get("/metrics")
    request.META.update(meta)
    return views.show_metrics(request).status_code


@pytest.mark.django_db
def test_this_machine_may_read_the_metrics():
    assert asks(REMOTE_ADDR="127.0.0.1") == 200
    assert asks(REMOTE_ADDR="::1") == 200


@pytest.mark.django_db
@pytest.mark.parametrize("token", ["", "let-me-see"])
def test_another_machine_may_not(settings, token):
    settings.METRICS_TOKEN = token
    assert asks(REMOTE_ADDR="203.0.113.9") == 401
    assert asks(REMOTE_ADDR="") == 401
    assert asks(REMOTE_ADDR="203.0.113.9", HTTP_AUTHORIZATION="Bearer ") == 401
    assert asks(REMOTE_ADDR="203.0.113.9", HTTP_AUTHORIZATION="Bearer nöe") == 401
    proxied = {"REMOTE_ADDR": "127.0.0.1", "HTTP_X_FORWARDED_FOR": "203.0.113.9"}
    assert asks(**proxied) == 401


@pytest.mark.django_db
def test_the_token_opens_the_metrics(settings):
    settings.METRICS_TOKEN = "let-me-see"
    token = "Bearer let-me-see"
    assert asks(REMOTE_ADDR="203.0.113.9", HTTP_AUTHORIZATION=token) == 200
    basic = "Basic let-me-see"
    assert asks(REMOTE_ADDR="203.0.113.9", HTTP_AUTHORIZATION=basic) == 401


@pytest.fixture
def busy_sync():
    """A sync with records in three states, a run, a link pending and calls made."""
    account = HubSpotAccount.objects.create(name="Acme")
    app = ConnectedApp.objects.create(
        name='Ops "base"', kind="postgres", hubspot=account
    )
    sync = ObjectSync.objects.create(
        app=app, name="Contacts", hubspot_object="contacts", app_object="people"
    )
    read_at = timezone.now() - timedelta(seconds=90)
    failing = RecordLink.objects.create(
        sync=sync,
        hubspot_id="1",
        state=RecordState.FAILING,
        error_code="VALUE_INVALID",
        hubspot_read_at=read_at,
    )
    for record_id in "23":
        RecordLink.objects.create(
            sync=sync, hubspot_id=record_id, state=RecordState.IN_SYNC, dirty=False
        )
    mapping = AssociationMapping.objects.create(
        sync=sync, app_field="company_id", to_sync=sync
    )
    AssociationLink.objects.create(
        mapping=mapping, link=failing, other_remote_id="9", state=LinkState.PENDING
    )
    SyncRun.objects.create(sync=sync, trigger=Trigger.ADMIN, status=Status.SUCCEEDED)
    RateBudget.objects.create(
        key="hubspot:1", bucket="general", day=timezone.now().date(), used_today=14
    )
    OrmQ.objects.create(key="crosslink", payload="")
    return sync


@pytest.mark.django_db
def test_metrics_tell_what_stands(client: Client, busy_sync):
    text = client.get("/metrics").content.decode()
    sync = r'app="Ops \"base\"",sync="Contacts"'
    for line in (
        f'crosslink_runs{{{sync},status="succeeded"}} 1',
        f'crosslink_records{{{sync},state="in_sync"}} 2',
        f'crosslink_records{{{sync},state="failing"}} 1',
        f'crosslink_links{{{sync},state="pending"}} 1',
        f'crosslink_failures{{{sync},error="VALUE_INVALID"}} 1',
        'crosslink_api_calls_today{budget="hubspot:1",bucket="general"} 14',
        "crosslink_queue_length 1",
        "crosslink_open_runs 0",
    ):
        assert line in text.splitlines()
    age = re.search(r"^crosslink_oldest_unsynced_seconds\{.*\} (\d+)", text, re.M)
    assert age is not None
    assert 90 <= int(age[1]) < 150


@pytest.mark.django_db
def test_metrics_cost_the_same_however_many_syncs(
    busy_sync, django_assert_max_num_queries, client: Client
):
    for number in range(5):
        busy_sync.pk, busy_sync.name = None, f"Sync {number}"
        busy_sync.save(force_insert=True)
    with django_assert_max_num_queries(10):
        client.get("/metrics")
