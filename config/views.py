"""The two addresses that operators' tools ask for."""

from __future__ import annotations

import ipaddress
import logging
import secrets

from django.conf import settings
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from config import health, metrics

logger = logging.getLogger(__name__)


@never_cache
@require_safe
def healthz(request: HttpRequest) -> JsonResponse:
    """200 while the database and the task cluster answer; 503 saying which does not."""
    problems = health.problems()
    if not problems:
        return JsonResponse({"status": "ok"})
    logger.warning("Not healthy: %s", problems)
    return JsonResponse({"status": "failing", "problems": problems}, status=503)


@never_cache
@require_safe
def show_metrics(request: HttpRequest) -> HttpResponse:
    """Prometheus text, for who holds METRICS_TOKEN or asks from this machine."""
    if not _may_see_metrics(request):
        return HttpResponse(
            "Send METRICS_TOKEN as a bearer token.\n",
            status=401,
            headers={"WWW-Authenticate": "Bearer"},
            content_type="text/plain",
        )
    return HttpResponse(metrics.render(), content_type=metrics.CONTENT_TYPE)


def _may_see_metrics(request: HttpRequest) -> bool:
    if settings.METRICS_TOKEN:
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() == "bearer" and secrets.compare_digest(
            token.encode(), settings.METRICS_TOKEN.encode()
        ):
            return True
    return _is_from_here(request)


def _is_from_here(request: HttpRequest) -> bool:
    # Behind a proxy on this machine every request comes from loopback; who was asked
    # for by another address shows that it did not start here.
    if "HTTP_X_FORWARDED_FOR" in request.META or "HTTP_FORWARDED" in request.META:
        return False
    try:
        return ipaddress.ip_address(request.META.get("REMOTE_ADDR", "")).is_loopback
    except ValueError:
        return False
