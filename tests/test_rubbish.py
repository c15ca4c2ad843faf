"""Whatever is sent to a form, a page answers: with an error beside a field, never a failure."""

from __future__ import annotations

from html.parser import HTMLParser
from typing import Any
from urllib.parse import urlencode

import pytest
from django.test import Client
from django.urls import reverse

from associations.admin.flow import review
from connections import services
from connections.connectors.base import TransientError
from syncs.models import ObjectSync, SyncDraft, SyncRun
from tests.e2e.pages import pages
from tests.flow import Flow, edited
from tests.office import open_office, past_run

pytestmark = [pytest.mark.admin, pytest.mark.django_db]

SCRIPT = "<script>alert('x')</script>"
RUBBISH = ("", SCRIPT, "9" * 400, "a\x00b \u202e 1e309 = [" + "x" * 70_000)
FLOW = ("select", "configure", "keys", "field", "link", "limit", "review")


@pytest.fixture
def office(monkeypatch: pytest.MonkeyPatch) -> Any:
    def refuse(owner: Any, *more: Any, **how: Any) -> Any:
        raise TransientError("Nobody answers here.")

    monkeypatch.setattr(services, "open_hubspot", refuse)
    monkeypatch.setattr(services, "open_app", refuse)
    return open_office()


class Fields(HTMLParser):
    """What a browser would send of a page's forms."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.sent: dict[str, str] = {}
        self.typed: set[str] = set()
        self._select = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        at = dict(attrs)
        name = at.get("name") or ""
        if tag == "select":
            self._select = name
        if tag == "option" and self._select and "selected" in at:
            self.sent[self._select] = at.get("value") or ""
        if not name or name == "csrfmiddlewaretoken":
            return
        if tag == "input" and at.get("type") == "hidden":
            self.sent[name] = at.get("value") or ""
        elif tag in ("input", "textarea", "select"):
            self.sent.setdefault(name, at.get("value") or "")
            self.typed.add(name)


def forms_of(client: Any, url: str) -> tuple[dict[str, str], set[str]]:
    found = Fields(client.get(url).content.decode())
    return found.sent, found.typed


def answered(client: Any, url: str, sent: dict[str, Any]) -> None:
    answer = client.post(url, sent)
    assert answer.status_code in (200, 302, 400, 403, 404), (url, answer.status_code)
    assert SCRIPT not in answer.content.decode(), url


def pages_of(office: Any, client: Any) -> list[str]:
    flow = edited(client, office.contacts)
    pages = [flow.url(name) for name in FLOW]
    pages += [flow.url("filters", side=side) for side in ("hubspot", "app")]
    pages += [flow.url("field") + "?app=email", flow.url("link") + "?app_field=firm_id"]
    pages += [
        reverse("admin:syncs_objectsync_set_up", args=[office.app.pk]),
        reverse("admin:connections_hubspotaccount_add"),
        reverse("admin:connections_hubspotaccount_change", args=[office.account.pk]),
        reverse("admin:connections_connectedapp_change", args=[office.app.pk]),
    ]
    pages += [
        reverse("admin:connections_connectedapp_add") + f"?kind={kind}"
        for kind in ("postgres", "airtable", "kintone", "nonsense", "\x00")
    ]
    return pages


@pytest.mark.parametrize("rubbish", RUBBISH, ids=lambda text: ascii(text)[:12])
def test_rubbish_in_every_field_is_answered(admin_client, office, rubbish):
    for url in pages_of(office, admin_client):
        sent, typed = forms_of(admin_client, url)
        answered(admin_client, url, sent | dict.fromkeys(typed, rubbish))
    assert ObjectSync.objects.count() == 2


def test_a_button_that_leads_nowhere_is_answered(admin_client, office):
    url = edited(admin_client, office.contacts).url("configure")
    sent, _ = forms_of(admin_client, url)
    for which in ("9999", "9" * 400, "x\x00", ""):
        for go in ("field", "link", "map", "first"):
            answered(admin_client, url, sent | {"go": f"{go}:{which}"})
    answered(admin_client, url, sent | {"on": ["9999", "é|é"], "seed-9": "x"})


def test_a_number_that_no_database_holds_is_an_error_beside_its_field(
    admin_client, office
):
    flow = edited(admin_client, office.contacts)
    for name, value in (
        ("every", "9" * 30 + "h"),
        ("sweep_every", "9" * 30 + "d"),
        ("limit_create", "9" * 30),
        ("limit_percent", "9" * 30),
    ):
        answer = flow.send("limit", **{name: value})
        assert answer.status_code == 200, name
        assert answer.context["form"].errors.keys() == {name}
        assert value in answer.content.decode()
    account = reverse(
        "admin:connections_hubspotaccount_change", args=[office.account.pk]
    )
    for name in ("requests_per_10s", "search_per_second"):
        sent, _ = forms_of(admin_client, account)
        for value in ("9" * 400, "1e400", "inf", "nan"):
            answer = admin_client.post(account, sent | {name: value})
            assert answer.status_code == 200, (name, value)


# Twice, too late, somebody else's ----------------------------------------------------------


def test_what_is_sent_twice_is_done_once(admin_client, office):
    flow = Flow(admin_client, office.app)
    chosen = {"app_object": "firms", "hubspot_object": "companies", "name": "Firms"}
    first = flow.begin(**chosen)
    assert flow.begin(**chosen) == first
    assert flow.begin(**chosen | {"name": "Others"}) != first
    flow = edited(admin_client, office.companies)
    for _ in range(2):
        answer = admin_client.post(flow.url("review"), {"go": "save"}, follow=True)
        assert answer.status_code == 200
    assert "no such draft any more: it was saved" in answer.content.decode()
    assert SyncRun.objects.filter(parent=None).count() == 1


def test_the_way_back_to_a_draft_that_is_gone_leads_on(admin_client, office):
    flow = edited(admin_client, office.companies)
    admin_client.post(flow.url("discard"))
    for name in (*FLOW, "discard"):
        for ask in (admin_client.get, admin_client.post):
            answer = ask(flow.url(name), {"go": "save"}, follow=True)
            assert "no such draft any more" in answer.content.decode(), name
    assert not SyncDraft.objects.exists()


def test_a_draft_saved_in_the_middle_of_a_second_click_is_not_saved_again(
    admin_client, office, monkeypatch
):
    flow = edited(admin_client, office.companies)
    # What the first click does is done before the second looks again.
    monkeypatch.setattr(
        review, "forget", lambda draft: SyncDraft.objects.all().delete()
    )
    answer = admin_client.post(flow.url("review"), {"go": "save"}, follow=True)
    assert "no such draft any more" in answer.content.decode()
    assert not SyncRun.objects.exists()


def test_a_draft_of_another_app_is_not_shown_by_this_one_s_address(
    admin_client, office
):
    flow = edited(admin_client, office.companies)
    office.app.pk, office.app.name = None, "Other"
    office.app.save()
    other = Flow(admin_client, office.app)
    other.draft = flow.draft
    answer = admin_client.post(other.url("review"), {"go": "save"}, follow=True)
    assert "no such draft any more" in answer.content.decode()
    assert SyncDraft.objects.get() == flow.draft


def test_a_session_that_ended_asks_for_the_log_in_and_keeps_the_place(
    client, admin_client, office
):
    flow = edited(admin_client, office.companies)
    admin_client.logout()
    answer = admin_client.post(flow.url("limit"), {"every": "1h"})
    assert answer.status_code == 302
    assert answer["Location"] == f"{reverse('admin:login')}?next={flow.url('limit')}"
    strict = Client(enforce_csrf_checks=True)
    stale = strict.post(reverse("admin:login"), {"username": "a", "password": "b"})
    assert stale.status_code == 403
    assert "Go back, reload the page" in stale.content.decode()
    assert "There is no such page" in client.get("/nowhere").content.decode()


def test_no_query_of_an_address_fails_a_page(admin_client, office, admin_user):
    past_run(office, admin_user)
    asked = ("q", "sync", "app", "back", "p", "page", "o", "of", "state__exact", "code")
    for url in (*pages().values(), *pages_of(office, admin_client)[:12]):
        for rubbish in ("9" * 400, SCRIPT, "\x00"):
            query = urlencode(dict.fromkeys(asked, rubbish))
            answer = admin_client.get(f"{url}{'&' if '?' in url else '?'}{query}")
            assert answer.status_code in (200, 302, 400, 404), url
            assert SCRIPT not in answer.content.decode(), url


def test_what_is_ticked_on_a_list_but_is_no_row_is_left_out(admin_client, office):
    for name in ("syncs_objectsync", "syncs_recordlink", "connections_connectedapp"):
        url = reverse(f"admin:{name}_changelist")
        for ticked in (["x"], ["9" * 400], ["\x00"], [], [str(10**17)]):
            for action in ("pause", "resync", "", "nonsense"):
                sent = {"action": action, "_selected_action": ticked, "index": "0"}
                answered(admin_client, url, sent)
