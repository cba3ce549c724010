"""Whose clients somebody may open: those of the agencies they work at. Anybody else's are not there (404)."""

from __future__ import annotations

from typing import TypeVar

from django.db.models import Model, QuerySet
from django.http import Http404, HttpRequest
from django.shortcuts import get_object_or_404

from cjit.web.agencies.access import manages, whoever, works_at
from cjit.web.agencies.models import Agency
from cjit.web.caseload.models import Client, Contact, Episode, Extract, Import, Intervention, Referral

_M = TypeVar("_M", bound=Model)


def client(request: HttpRequest, pk: int) -> Client:
    """A client, with their agency."""
    return _mine(request, Client.objects.select_related("agency"), pk)


def episode(request: HttpRequest, pk: int) -> Episode:
    """An episode, with its client and agency."""
    return _mine(request, Episode.objects.select_related("client__agency"), pk)


def referral(request: HttpRequest, pk: int) -> Referral:
    """A referral, with its episode and client."""
    return _mine(request, Referral.objects.select_related("episode__client__agency"), pk)


def contact(request: HttpRequest, pk: int) -> Contact:
    """A contact, with its episode and client."""
    return _mine(request, Contact.objects.select_related("episode__client__agency"), pk, "episode__agency")


def intervention(request: HttpRequest, pk: int) -> Intervention:
    """An assessment of interventions, with its episode and client."""
    return _mine(request, Intervention.objects.select_related("episode__client__agency"), pk, "episode__agency")


def extract(request: HttpRequest, pk: int) -> Extract:
    """An extract of an agency somebody manages."""
    return get_object_or_404(
        Extract.objects.select_related("agency", "since", "by"), pk=pk, agency__in=_managed(request)
    )


def arrived(request: HttpRequest, pk: int) -> Import:
    """An import of an agency somebody manages."""
    return get_object_or_404(Import.objects.select_related("agency"), pk=pk, agency__in=_managed(request))


def agency(request: HttpRequest, *, as_manager: bool = False) -> Agency:
    """The agency somebody looks at: the one they chose (`agency`, a code), or their first.

    What a form says comes before the address of the page it stands on.
    """
    theirs = (manages if as_manager else works_at)(whoever(request)).order_by("code")
    code = request.POST.get("agency") or request.GET.get("agency")
    # Compared here: PostgreSQL takes no NUL.
    found = next((each for each in theirs if each.code == code), None) if code else theirs.first()
    if found is None:
        raise Http404
    return found


def _managed(request: HttpRequest) -> QuerySet[Agency]:
    return manages(whoever(request))


def _mine(request: HttpRequest, records: QuerySet[_M], pk: int, agency: str = "agency") -> _M:
    return get_object_or_404(records, pk=pk, **{f"{agency}__in": works_at(whoever(request))})
