"""The addresses of all pages. Each app names its own in its `urls`."""

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.templatetags.static import static
from django.urls import include, path
from django.views.decorators.http import require_safe

from cjit.web import pages
from cjit.web.agencies.access import whoever
from cjit.web.agencies.models import Role

#: Where each role begins: somebody with several, at the first of these.
HOMES = {
    Role.KEYWORKER: "due",
    Role.MANAGER: "due",
    Role.PROVIDER: "submissions",
    Role.REGIONAL: "staff",
    Role.NATIONAL: "staff",
    Role.ADMINISTRATOR: "people",
}


@require_safe
def home(request: HttpRequest) -> HttpResponse:
    """The page somebody's role begins with. An analyst's, and that of somebody without a role, says what there is."""
    roles = set(whoever(request).memberships.values_list("role", flat=True))
    for role, name in HOMES.items():
        if role in roles:
            return redirect(name)
    return pages.render(request, "home.html")


@require_safe
def accessibility(request: HttpRequest) -> HttpResponse:
    """How accessible the service is."""
    return pages.render(request, "accessibility.html")


@require_safe
def privacy(request: HttpRequest) -> HttpResponse:
    """What is kept of whom, why and how long."""
    context = {"keep_days": settings.KEEP_DAYS, "forget_hours": settings.FORGET_HOURS}
    return pages.render(request, "privacy.html", context)


@require_safe
def favicon(request: HttpRequest) -> HttpResponse:
    """The icon, for browsers that ask where it always was."""
    return redirect(static("favicon.svg"))


@require_safe
def alive(request: HttpRequest) -> HttpResponse:
    """Whether the service answers, for whatever watches it. The database is not asked."""
    return HttpResponse("alive\n", content_type="text/plain")


urlpatterns = [
    path("", home, name="home"),
    path("accessibility/", accessibility, name="accessibility"),
    path("privacy/", privacy, name="privacy"),
    path("favicon.ico", favicon, name="favicon"),
    path("alive/", alive, name="alive"),
    path("", include("cjit.web.agencies.urls")),
    path("", include("cjit.web.caseload.urls")),
    path("", include("cjit.web.portal.urls")),
]

handler400 = "cjit.web.errors.bad_request"
handler403 = "cjit.web.errors.forbidden"
handler404 = "cjit.web.errors.not_found"
handler500 = "cjit.web.errors.failed"
