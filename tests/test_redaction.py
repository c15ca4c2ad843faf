"""Secrets never reach a log line."""

from __future__ import annotations

import base64
import io
import logging

import pytest
from cryptography.fernet import Fernet

from connections.redaction import RedactFilter, redact

pytestmark = pytest.mark.unit

KEY = base64.urlsafe_b64encode(bytes(range(200, 232))).decode()
PAT = "pat-na1-11111111-2222-3333-4444-555555555555"


@pytest.mark.parametrize(
    ("text", "secret"),
    [
        (f"Authorization: Bearer {PAT}", PAT),
        ("{'Authorization': 'Bearer abc.DEF-123_456'}", "abc.DEF-123_456"),
        (f"token refused: {PAT}", PAT),
        (f"https://x.test/?hapikey={PAT}&limit=1", PAT),
        (f"Airtable said {'pat' + 'A1' * 7}.{'0f' * 32}", "0f" * 32),
        ("Notion said ntn_1234567890abcdefABCDEF", "1234567890abcdef"),
        ("postgres://ada:h0rse@db:5432/crm refused", "h0rse"),
        ("postgres://ada:p@ss:w0rd@db/crm refused", "w0rd"),
        ("could not connect: host=db password=h0rse user=ada", "h0rse"),
        ("password='h0rse staple'", "h0rse"),
        ('{"access_token": "h0rse-staple"}', "h0rse-staple"),
        ("X-Cybozu-API-Token: h0rsestaple,battery", "battery"),
        (f"key {KEY} is stale", KEY),
        (f"sealed: {Fernet(KEY).encrypt(b'x').decode()}", "gAAAA"),
    ],
)
def test_secrets_are_masked(text, secret):
    assert secret not in redact(text)
    assert "***" in redact(text)


@pytest.mark.parametrize(
    "text",
    [
        "Contacts: 500 read, 20 created; run 12 took 8.1 s",
        "postgres://ada@db:5432/crm: table people is gone",
        "https://api.hubapi.com/crm/objects/2026-03/contacts/batch/read answered 207",
        "traceId 0e5b4f4e-1111-2222-3333-444444444444, Ann@example.com",
        "patient-record 12 has no company; the token was refused",
        "VALUE_INVALID: lifecyclestage 'lead' at 2026-01-31T12:00:00.000Z",
    ],
)
def test_what_is_no_secret_stays(text):
    assert redact(text) == text


@pytest.fixture
def log():
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.addFilter(RedactFilter())
    logger = logging.getLogger("tests.redaction")
    logger.propagate = False
    logger.addHandler(handler)
    yield logger, stream
    logger.removeHandler(handler)


def test_arguments_are_masked(log):
    logger, stream = log
    logger.warning("%s refused with %d", f"Bearer {PAT}", 401)
    assert stream.getvalue() == "Bearer *** refused with 401\n"


def test_tracebacks_are_masked(log):
    logger, stream = log
    try:
        raise ValueError(f"bad token {PAT}")
    except ValueError:
        logger.exception("failed")
    assert "Traceback" in stream.getvalue()
    assert PAT not in stream.getvalue()
