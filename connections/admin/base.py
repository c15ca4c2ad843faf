"""What every page of the admin shares: the theme's classes, buttons, read-only pages."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from django.contrib import messages
from django.contrib.admin import helpers
from django.contrib.admin.utils import unquote
from django.core.exceptions import PermissionDenied
from django.db.models import Model, QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse

from connections.catalogue import Code

if TYPE_CHECKING:
    from django.contrib.admin import ModelAdmin as ThemedAdmin
    from django.contrib.admin import SimpleListFilter, StackedInline, TabularInline
    from django.core.paginator import Paginator as InfinitePaginator
else:
    from django.contrib.admin import SimpleListFilter
    from unfold.admin import ModelAdmin as ThemedAdmin
    from unfold.admin import StackedInline, TabularInline
    from unfold.paginator import InfinitePaginator  # never counts

__all__ = [
    "Button",
    "CodeFilter",
    "CrosslinkAdmin",
    "InfinitePaginator",
    "PageAdmin",
    "ReadOnlyAdmin",
    "SimpleListFilter",
    "StackedInline",
    "TabularInline",
    "ThemedAdmin",
    "number_of",
    "page_url",
]

M = TypeVar("M", bound=Model)


KEY_DIGITS = 18

# Whose first page is not the form.
FIRST_PAGES = {"connections.connectedapp": "overview"}


def page_url(obj: Model) -> str:
    """The admin's page of an object."""
    opts = obj._meta
    page = FIRST_PAGES.get(opts.label_lower, "change")
    return reverse(f"admin:{opts.app_label}_{opts.model_name}_{page}", args=[obj.pk])


def number_of(text: str | None) -> int | None:
    """A whole number that somebody typed or an address holds; None if it is not one that a
    database's key can be."""
    text = text or ""
    return int(text) if text.isdecimal() and len(text) <= KEY_DIGITS else None


def _always(obj: Any) -> bool:
    return True


def _nothing(objects: Sequence[Any]) -> Sequence[str]:
    return ()


@dataclass(frozen=True, slots=True)
class Button:
    """Something that can be done with one object on its page, or with several on a list.

    Args: do, gets the objects, tells what came of it by messages and returns where to
        go (None: back); permission, its full name; question, asked before it is done
        ("" where nothing is written); when, whether it makes sense for an object; told,
        what it comes to for the objects, a line each.
    """

    name: str
    label: str
    do: Callable[[HttpRequest, Sequence[Any]], str | None]
    permission: str
    icon: str = "play_arrow"
    question: str = ""
    when: Callable[[Any], bool] = _always
    primary: bool = False
    on_list: bool = True
    on_page: bool = True
    told: Callable[[Sequence[Any]], Sequence[str]] = _nothing


@dataclass(frozen=True, slots=True)
class PlacedButton:
    """A button as one page shows it."""

    button: Button
    url: str


class CrosslinkAdmin(ThemedAdmin[M]):
    """A themed admin with buttons and without bulk deletion."""

    buttons: Sequence[Button] = ()
    actions: Any = ()
    # What a list without rows says, and where it leads: an address's name and its words.
    empty_title = "Nothing here"
    empty_text = ""
    empty_link: tuple[str, str] | None = None
    list_per_page = 50
    list_filter_sheet = True

    @property
    def empty_link_adds(self) -> bool:
        """Whether an empty list leads to where a row is added."""
        return self.empty_link is not None and self.empty_link[0].endswith("_add")

    def get_urls(self) -> list[URLPattern]:
        opts = self.opts
        pressed = path(
            "<path:object_id>/do/<slug:name>/",
            self.admin_site.admin_view(self.button_view),
            name=f"{opts.app_label}_{opts.model_name}_do",
        )
        return [pressed, *super().get_urls()]

    def placed_buttons(self, request: HttpRequest, obj: Model) -> list[PlacedButton]:
        """What this user may press on the object's page."""
        opts = self.opts
        return [
            PlacedButton(
                button,
                reverse(
                    f"admin:{opts.app_label}_{opts.model_name}_do",
                    args=[obj.pk, button.name],
                ),
            )
            for button in self.buttons
            if button.on_page
            and request.user.has_perm(button.permission)
            and button.when(obj)
        ]

    def button_view(
        self, request: HttpRequest, object_id: str, name: str
    ) -> HttpResponse:
        """Ask (GET), then do (POST) what a button says."""
        button = next((b for b in self.buttons if b.name == name), None)
        obj = self.get_object(request, unquote(object_id))
        if button is None or obj is None:
            raise Http404
        if not request.user.has_perm(button.permission):
            raise PermissionDenied
        back = page_url(obj)
        if not button.when(obj):
            messages.warning(request, f"{button.label} is not possible for {obj} now.")
            return HttpResponseRedirect(back)
        if request.method != "POST":
            return self._ask(request, button, [obj], {}, back)
        return HttpResponseRedirect(button.do(request, [obj]) or back)

    def _ask(
        self,
        request: HttpRequest,
        button: Button,
        objects: Sequence[M],
        hidden: dict[str, str],
        back: str,
    ) -> HttpResponse:
        context = {
            **self.admin_site.each_context(request),
            "title": button.label,
            "button": button,
            "objects": objects,
            "told": button.told(objects),
            "hidden": hidden,
            "selected": helpers.ACTION_CHECKBOX_NAME if hidden else "",
            "back": back,
        }
        return TemplateResponse(request, "crosslink/confirm.html", context)

    def get_actions(self, request: HttpRequest) -> dict[str, Any]:
        actions: dict[str, Any] = dict(super().get_actions(request))
        actions.pop("delete_selected", None)
        for button in self.buttons:
            if button.on_list and request.user.has_perm(button.permission):
                actions[button.name] = (
                    _list_action(button),
                    button.name,
                    button.label,
                )
        return actions

    def response_action(self, request: HttpRequest, *args: Any, **how: Any) -> Any:
        """Do what was chosen for what was ticked; what no row's key can be is refused."""
        ticked = request.POST.getlist(helpers.ACTION_CHECKBOX_NAME)
        if any(number_of(pk) is None for pk in ticked):
            messages.warning(request, "What was ticked is not in this list.")
            return None
        return super().response_action(request, *args, **how)

    def do_on_list(
        self, button: Button, request: HttpRequest, queryset: QuerySet[M]
    ) -> HttpResponse | None:
        """Ask, then do what a button says with the rows that were ticked."""
        chosen = list(queryset)
        objects = [obj for obj in chosen if button.when(obj)]
        left = len(chosen) - len(objects)
        if left:
            messages.warning(
                request, f"{button.label}: not possible now for {left} of the selected."
            )
        if not objects:
            return None
        if button.question and "confirmed" not in request.POST:
            hidden = {"action": button.name, "confirmed": "yes"}
            return self._ask(request, button, objects, hidden, request.get_full_path())
        where = button.do(request, objects)
        return HttpResponseRedirect(where) if where else None


def _list_action(button: Button) -> Callable[..., HttpResponse | None]:
    def act(
        admin: CrosslinkAdmin[Any], request: HttpRequest, queryset: QuerySet[Any]
    ) -> HttpResponse | None:
        return admin.do_on_list(button, request, queryset)

    return act


class ReadOnlyAdmin(CrosslinkAdmin[M]):
    """Rows that only the product itself writes."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(
        self, request: HttpRequest, obj: Model | None = None
    ) -> bool:
        return False

    def has_delete_permission(
        self, request: HttpRequest, obj: Model | None = None
    ) -> bool:
        return False


class PageAdmin(ReadOnlyAdmin[M]):
    """Read-only rows with a page of their own making."""

    page_template = ""

    def page_context(self, request: HttpRequest, obj: M) -> dict[str, Any]:
        """What `page_template` shows besides `original` and `placed_buttons`."""
        raise NotImplementedError

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        obj = self.get_object(request, unquote(object_id))
        if not self.has_view_permission(request, obj):
            raise PermissionDenied
        if obj is None:
            raise Http404
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "original": obj,
            "title": str(obj),
            "placed_buttons": self.placed_buttons(request, obj),
            **self.page_context(request, obj),
        }
        return TemplateResponse(request, self.page_template, context)


class CodeFilter(SimpleListFilter):
    """Rows with one of the catalogue's codes, without asking which codes occur."""

    title = "code"
    parameter_name = "code"
    column = "error_code"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("any", "Any"), *((str(code), str(code)) for code in Code)]

    def queryset(
        self, request: HttpRequest, queryset: QuerySet[Any]
    ) -> QuerySet[Any] | None:
        value = self.value()
        if not value:
            return None
        # Said again with a certain code, so that the index over rows with one is used.
        some = queryset.exclude(**{self.column: ""})
        return some if value == "any" else some.filter(**{self.column: value})
