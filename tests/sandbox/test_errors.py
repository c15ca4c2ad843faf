"""What a refused call answers: the envelope, tokens, scopes."""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Any

import pytest
import requests

from tests.sandbox.calls import Http, Reply


def envelope(reply: Reply) -> dict[str, Any]:
    """Check the fields that every error has; return the body."""
    body: dict[str, Any] = reply.body
    assert body["status"] == "error"
    assert body["message"]
    uuid.UUID(body["correlationId"])
    assert set(body) <= {
        *("status", "message", "correlationId", "category", "subCategory"),
        *("context", "errors", "links"),
    }
    for texts in body.get("context", {}).values():
        assert texts
        assert all(isinstance(text, str) for text in texts)
    for detail in body.get("errors", []):
        assert detail["message"]
    return body


@pytest.mark.parametrize(
    ("call", "status", "category"),
    [
        (lambda h: h.read("contacts", "99"), 404, "OBJECT_NOT_FOUND"),
        (lambda h: h.read("contacts", "nonsense"), 404, "OBJECT_NOT_FOUND"),
        (lambda h: h.update("contacts", "99", {}), 404, "OBJECT_NOT_FOUND"),
        (lambda h: h.get("/crm/nonsense"), 404, "OBJECT_NOT_FOUND"),
        (lambda h: h.page("nonsense"), 400, "VALIDATION_ERROR"),
        (lambda h: h.page("contacts", limit="many"), 400, "VALIDATION_ERROR"),
        (lambda h: h.create("contacts", {"nope": "1"}), 400, "VALIDATION_ERROR"),
        (lambda h: h.search("contacts", {"limit": 201}), 400, "VALIDATION_ERROR"),
        (lambda h: h.batch("contacts", "read", {}), 400, "VALIDATION_ERROR"),
    ],
)
def test_an_error_has_the_envelope_and_its_category(http, call, status, category):
    reply = call(http)
    assert reply.status == status
    assert envelope(reply)["category"] == category


def test_every_error_has_a_correlation_id_of_its_own(http):
    found = {http.read("contacts", "99").body["correlationId"] for _ in range(3)}
    assert len(found) == 3


@pytest.mark.parametrize("body", ["{", '{"properties": "\\ud800"}', "[1", "\xff"])
def test_a_body_that_is_no_json_is_a_400(http, server, body):
    got = requests.post(
        f"{server.hubspot_url}/crm/objects/2026-03/contacts",
        data=body.encode("latin-1"),
        headers={"Authorization": f"Bearer {server.token}"},
        timeout=30,
    )
    reply = Reply(got.status_code, got.json(), got.headers)
    assert reply.status == 400
    assert envelope(reply)["message"].startswith("Invalid input JSON")


def test_a_refused_call_carries_the_rate_limit_headers_too(http):
    assert "X-HubSpot-RateLimit-Remaining" in http.read("contacts", "99").headers


# Tokens


@pytest.mark.parametrize("token", ["wrong", "pat-eu1-0000-not-a-token"])
def test_a_wrong_token_is_401(server, token):
    reply = Http(server.hubspot_url, token).page("contacts")
    assert reply.status == 401
    body = envelope(reply)
    assert body["category"] == "INVALID_AUTHENTICATION"
    assert body["message"].startswith("Authentication credentials not found")
    assert reply.headers["x-hubspot-auth-failure"]
    uuid.UUID(reply.headers["x-hubspot-correlation-id"])


def test_a_missing_token_is_401(server):
    got = requests.get(f"{server.hubspot_url}/crm/objects/2026-03/contacts", timeout=30)
    assert got.status_code == 401
    assert got.json()["category"] == "INVALID_AUTHENTICATION"


def test_an_expired_token_says_since_when(server):
    reply = Http(server.hubspot_url, server.tokens["Expired"]).page("contacts")
    assert reply.status == 401
    body = envelope(reply)
    assert body["category"] == "EXPIRED_AUTHENTICATION"
    assert body["message"].endswith("second(s) ago.")
    (since,) = reply.body["context"]["expire time"]
    assert datetime.fromisoformat(since) < datetime.now().astimezone()


@pytest.mark.parametrize("token", ["two words", "sandbox-token\tsecond", '"quoted"'])
def test_a_malformed_token_is_530_from_in_front_of_the_api(server, token):
    got = requests.get(
        f"{server.hubspot_url}/crm/objects/2026-03/contacts",
        headers={"Authorization": f"Bearer {token}"},
        timeout=30,
    )
    assert got.status_code == 530
    with pytest.raises(requests.exceptions.JSONDecodeError):
        got.json()


# Scopes


@pytest.mark.parametrize(
    ("who", "call", "scope"),
    [
        (
            "Reader",
            lambda h: h.create("contacts", {}),
            "crm.objects.contacts.write",
        ),
        (
            "Contacts only",
            lambda h: h.page("companies"),
            "crm.objects.companies.read",
        ),
        ("Contacts only", lambda h: h.page("tickets"), "tickets"),
        (
            "Contacts only",
            lambda h: h.page("vessels"),
            "crm.objects.custom.read",
        ),
        ("Contacts only", lambda h: h.owners(), "crm.objects.owners.read"),
        ("Contacts only", lambda h: h.schemas(), "crm.schemas.custom.read"),
        (
            "Reader",
            lambda h: h.create_property("companies", {}),
            "crm.schemas.companies.write",
        ),
        (
            "Reader",
            lambda h: h.link_batch("contacts", "companies", "create", []),
            "crm.objects.contacts.write",
        ),
    ],
)
def test_a_missing_scope_is_403_and_named(server, who, call, scope):
    reply = call(Http(server.hubspot_url, server.tokens[who]))
    assert reply.status == 403
    body = envelope(reply)
    assert body["category"] == "MISSING_SCOPES"
    assert scope in reply.body["errors"][0]["context"]["requiredGranularScopes"]
    assert reply.body["links"]["scopes"].startswith("https://")


def test_a_token_opens_its_own_account_only(http, server):
    made = http.make("contacts", email="ann@x.example")
    other = Http(server.hubspot_url, server.tokens["Other account"])
    assert other.read("contacts", made).status == 404
    details = "/account-info/2026-03/details"
    assert other.get(details).ok()["portalId"] != http.get(details).ok()["portalId"]
