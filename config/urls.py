"""Addresses of the web side."""

from __future__ import annotations

from django.contrib import admin
from django.urls import path
from django.views.generic import RedirectView

from config.views import healthz, show_metrics

urlpatterns = [
    path("", RedirectView.as_view(pattern_name="admin:index")),
    path("healthz", healthz, name="healthz"),
    path("metrics", show_metrics, name="metrics"),
    path("admin/", admin.site.urls),
]
