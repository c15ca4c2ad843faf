"""Other packages' rows in the admin's look: people, the task queue, log-ins."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from axes.models import AccessAttempt, AccessFailureLog, AccessLog
from django.contrib import admin
from django.contrib.auth.admin import GroupAdmin as PlainGroupAdmin
from django.contrib.auth.admin import UserAdmin as PlainUserAdmin
from django.contrib.auth.models import Group, User
from django.db.models import Model
from django.http import HttpRequest
from django_q.models import Failure, OrmQ, Schedule, Success

from connections.admin.base import ReadOnlyAdmin

if TYPE_CHECKING:
    from django.contrib.auth.forms import (
        AdminPasswordChangeForm,
        UserChangeForm,
        UserCreationForm,
    )

    class Theme:
        """The theme's admin, which has no types of its own."""

else:
    from unfold.admin import ModelAdmin as Theme
    from unfold.forms import AdminPasswordChangeForm, UserChangeForm, UserCreationForm

admin.site.index_template = "crosslink/home.html"

for model in (
    User,
    Group,
    Success,
    Failure,
    OrmQ,
    Schedule,
    AccessAttempt,
    AccessLog,
    AccessFailureLog,
):
    if admin.site.is_registered(model):
        admin.site.unregister(model)


@admin.register(User)
class UserAdmin(Theme, PlainUserAdmin[User]):
    form = UserChangeForm  # type: ignore[assignment]  # its model is set by the admin
    add_form = UserCreationForm
    change_password_form = AdminPasswordChangeForm


@admin.register(Group)
class GroupAdmin(Theme, PlainGroupAdmin):
    pass


class SuperuserAdmin(ReadOnlyAdmin[Any]):
    """Rows for superusers to look at: whoever writes a task runs any function."""

    def has_view_permission(
        self, request: HttpRequest, obj: Model | None = None
    ) -> bool:
        return _is_superuser(request)

    def has_module_permission(self, request: HttpRequest) -> bool:
        return _is_superuser(request)


def _is_superuser(request: HttpRequest) -> bool:
    return bool(request.user.is_active and getattr(request.user, "is_superuser", False))


@admin.register(Success, Failure)
class TaskAdmin(SuperuserAdmin):
    list_display = ["name", "func", "started", "stopped"]
    search_fields = ["name", "func"]
    # Not its arguments or result, which are pickles.
    fields = ["name", "func", "started", "stopped", "success", "attempt_count"]
    ordering = ["-started"]


@admin.register(OrmQ)
class QueueAdmin(SuperuserAdmin):
    list_display = ["id", "name", "func", "lock"]
    fields = ["id", "key", "lock"]
    ordering = ["pk"]


@admin.register(Schedule)
class ScheduleAdmin(SuperuserAdmin):
    list_display = ["name", "func", "schedule_type", "minutes", "next_run"]
    fields = ["name", "func", "schedule_type", "minutes", "next_run", "repeats"]
    ordering = ["pk"]


@admin.register(AccessAttempt)
class AccessAttemptAdmin(SuperuserAdmin):
    """Failed log-ins; a superuser who deletes one lifts its lock."""

    list_display = ["attempt_time", "username", "ip_address", "failures_since_start"]
    fields = ["attempt_time", "username", "ip_address", "failures_since_start"]
    search_fields = ["username", "ip_address"]
    ordering = ["-attempt_time"]

    def has_delete_permission(
        self, request: HttpRequest, obj: Model | None = None
    ) -> bool:
        return _is_superuser(request)


@admin.register(AccessLog, AccessFailureLog)
class AccessLogAdmin(SuperuserAdmin):
    list_display = ["attempt_time", "username", "ip_address"]
    fields = ["attempt_time", "username", "ip_address", "user_agent"]
    search_fields = ["username", "ip_address"]
    ordering = ["-attempt_time"]
