"""A person in the set-up flow, by Django's client."""

from __future__ import annotations

from typing import Any

from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from syncs.models import ObjectSync, SyncDraft


def typed(form: Any) -> dict[str, Any]:
    """What a form would send if nothing were changed."""
    data: dict[str, Any] = {}
    for field in form:
        value = field.value()
        if value in (None, "", False, []):
            continue
        shown = field.field.prepare_value(value)
        data[field.html_name] = shown if isinstance(shown, list) else str(shown)
    return data


def formset_data(formset: Any) -> dict[str, Any]:
    """What a page's rows would send if nothing were changed."""
    data = typed(formset.management_form)
    data |= {k: "0" for k in (f"{formset.prefix}-INITIAL_FORMS",) if k not in data}
    for form in formset.forms:
        data |= typed(form)
    return data


class Flow:
    """A person in the flow of one app."""

    def __init__(self, client: Any, app: Any) -> None:
        self.client, self.app = client, app
        self.costs: dict[str, int] = {}

    def begin(self, **choice: str) -> SyncDraft:
        url = reverse("admin:syncs_objectsync_set_up", args=[self.app.pk])
        answer = self.client.post(url, {"direction": "two_way", **choice})
        assert answer.status_code == 302, answer.context["form"].errors
        self.draft = SyncDraft.objects.latest("pk")
        assert answer["Location"] == self.url("configure")
        return self.draft

    def url(self, page: str, **more: str) -> str:
        args = {"app_id": self.app.pk, "draft_id": self.draft.pk, **more}
        return reverse(f"admin:syncs_draft_{page}", kwargs=args)

    def see(self, page: str, query: str = "", **more: str) -> Any:
        with CaptureQueriesContext(connection) as caught:
            answer = self.client.get(self.url(page, **more) + query)
        assert answer.status_code == 200, page
        self.costs[page] = max(self.costs.get(page, 0), len(caught))
        return answer

    def send(self, page: str, query: str = "", then: str = "", **data: Any) -> Any:
        """Send a page's form with some changes; it must lead on to `then`."""
        answer = self.client.get(self.url(page) + query)
        sent = typed(answer.context["form"]) | data
        if page == "configure" and "on" not in sent:
            rows = answer.context["rows"]
            sent["on"] = [row["key"] for row in rows if row["on"]]
        answer = self.client.post(self.url(page) + query, sent)
        if then:
            errors = answer.context["form"].errors if answer.context else None
            assert answer.status_code == 302, errors
            assert answer["Location"].split("#")[0] == self.url(then)
        self.draft = SyncDraft.objects.filter(pk=self.draft.pk).first() or self.draft
        return answer


def edited(client: Any, sync: ObjectSync) -> Flow:
    """The flow of a sync that is being edited."""
    flow = Flow(client, sync.app)
    url = reverse("admin:syncs_objectsync_do", args=[sync.pk, "edit"])
    answer = client.post(url)
    flow.draft = SyncDraft.objects.get(sync=sync)
    assert answer["Location"] == flow.url("configure")
    return flow
