"""The flow's addresses."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.contrib import messages
from django.http import HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse

from associations.admin.flow.base import Page, served
from associations.admin.flow.configure import ConfigurePage
from associations.admin.flow.field import FieldPage
from associations.admin.flow.keys import KeysPage
from associations.admin.flow.limit import FiltersPage, LimitPage
from associations.admin.flow.link import LinkPage
from associations.admin.flow.review import ReviewPage
from associations.admin.flow.select import SelectPage, set_up
from associations.drafts import discard
from connections.admin.base import Button

PAGES: dict[str, tuple[str, type[Page]]] = {
    "select": ("select/", SelectPage),
    "configure": ("configure/", ConfigurePage),
    "field": ("configure/field/", FieldPage),
    "link": ("configure/link/", LinkPage),
    "keys": ("configure/keys/", KeysPage),
    "limit": ("limit/", LimitPage),
    "filters": ("limit/<slug:side>/", FiltersPage),
    "review": ("review/", ReviewPage),
}


class DiscardPage(Page):
    """Throw a draft away, once that is confirmed."""

    step = "review"
    template = "crosslink/confirm.html"

    def get(self) -> HttpResponse:
        stays = (
            f" The sync {self.draft.sync.name} stays as it is stored."
            if self.draft.sync
            else ""
        )
        button = Button(
            "discard",
            "Throw the draft away",
            lambda request, objects: None,
            "",
            "delete",
            f"What was set up in it is lost.{stays}",
        )
        answer = self.show(
            button=button,
            objects=[self.draft.name],
            hidden={},
            back=self.url(self.draft.step),
        )
        assert isinstance(answer, TemplateResponse)
        return answer

    def post(self) -> HttpResponse:
        discard(self.draft)
        messages.success(self.request, "The draft is thrown away.")
        url = reverse("admin:connections_connectedapp_syncs", args=[self.app.pk])
        return HttpResponseRedirect(url)


def flow_urls(wrap: Callable[..., Any]) -> list[URLPattern]:
    """Args: wrap, the admin's own wrapper of a view."""
    begun = "set-up/<int:app_id>/<int:draft_id>/"
    return [
        path("set-up/<int:app_id>/", wrap(set_up), name="syncs_objectsync_set_up"),
        *(
            path(begun + rest, wrap(served(page)), name=f"syncs_draft_{name}")
            for name, (rest, page) in PAGES.items()
        ),
        path(begun + "discard/", wrap(served(DiscardPage)), name="syncs_draft_discard"),
    ]
