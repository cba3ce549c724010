"""Who may see and do what. Whatever a page shows is fetched through here, so another's is a 404, never a 403.

Provider users submit for their agencies and see all of what those sent. Keyworkers see and edit the clients of their
agencies' caseloads; managers do too, and have a caseload's settings, extract and import. Keyworkers and managers see no
submission, provider users no caseload: who needs both has both roles.

Regional staff see which of their region's agencies submitted and the counts; national staff that of all. Neither sees
values of records: those are the agency's. Analysts see statistics only, administrators people and the register only.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import wraps
from typing import Concatenate, ParamSpec

from django.conf import settings
from django.contrib.auth import logout
from django.contrib.auth.views import redirect_to_login
from django.db.models import Q, QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect
from django.urls import resolve

from cjit.web.agencies.models import Agency, Person, Role

_P = ParamSpec("_P")
View = Callable[Concatenate[HttpRequest, _P], HttpResponseBase]

#: Views that may be opened without having signed in, and with the password alone, by their names.
OPEN = frozenset(
    {"sign-in", "password-reset", "password-reset-sent", "password-reset-set", "password-reset-done"}
    | {"invitation", "account", "accessibility", "privacy", "favicon", "alive"}
)
FIRST_STEP = frozenset({"second-step", "second-step-set-up", "sign-out"})


def submits_for(person: Person) -> QuerySet[Agency]:
    """The agencies a person may submit for, whose records they may see."""
    return _agencies(person, Role.PROVIDER)


def works_at(person: Person) -> QuerySet[Agency]:
    """The agencies whose clients a person may see and edit, in the caseload."""
    return _agencies(person, Role.KEYWORKER, Role.MANAGER)


def manages(person: Person) -> QuerySet[Agency]:
    """The agencies whose caseload a person may set up, extract and import into."""
    return _agencies(person, Role.MANAGER)


def _agencies(person: Person, *roles: Role) -> QuerySet[Agency]:
    """The agencies at which a person has any of some roles, each once."""
    return Agency.objects.filter(memberships__person=person, memberships__role__in=roles).distinct()


def oversees(person: Person) -> QuerySet[Agency]:
    """The agencies whose progress a person may see, without any record."""
    roles = set(person.memberships.values_list("role", flat=True))
    if Role.NATIONAL in roles:
        return Agency.objects.all()
    return Agency.objects.filter(
        Q(region__memberships__person=person, region__memberships__role=Role.REGIONAL)
    ).distinct()


def has(person: Person, *roles: Role) -> bool:
    """Whether a person has any of some roles."""
    return person.memberships.filter(role__in=roles).exists()


def only(*roles: Role) -> Callable[[View[_P]], View[_P]]:
    """A view for some roles alone; for anybody else it is not there."""

    def decorate(view: View[_P]) -> View[_P]:
        @wraps(view)
        def checked(request: HttpRequest, /, *args: _P.args, **kwargs: _P.kwargs) -> HttpResponseBase:
            if not has(whoever(request), *roles):
                raise Http404
            return view(request, *args, **kwargs)

        return checked

    return decorate


def whoever(request: HttpRequest) -> Person:
    """The person signed in. `SecondStep` has seen to it that there is one."""
    if not isinstance(request.user, Person):
        raise Http404
    return request.user


class SecondStep:
    """Nothing but what is open to all is shown before both steps of signing in are done.

    Signed in is nobody for longer than `settings.SESSION_LASTS`: a session that is used, by whoever has it, would
    never end.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        """Let a request pass, or lead it to the step that is missing."""
        name = _name(request)
        if request.user.is_authenticated and _is_over(request):
            logout(request)
        if name in OPEN:
            return self.get_response(request)
        if not request.user.is_authenticated:
            return redirect_to_login(request.get_full_path())
        # Added by django-otp's middleware, which says nothing of it to type checkers.
        verified = getattr(request.user, "is_verified", lambda: False)
        if not verified() and name not in FIRST_STEP:
            return redirect("second-step")
        return self.get_response(request)


def _is_over(request: HttpRequest) -> bool:
    """Whether a session has lasted as long as it may, since its first page after the password."""
    return bool(time.time() - request.session.setdefault("since", int(time.time())) > settings.SESSION_LASTS)


def _name(request: HttpRequest) -> str | None:
    try:
        return resolve(request.path_info).url_name
    except Http404:
        return None
