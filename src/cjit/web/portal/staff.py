"""Staff's pages: which agencies have submitted for a month, and their counts. No record, no value, no file.

A file sent in the month after counts: one sent in April is for March. An agency has submitted once it has accepted
one; it is late when it has not by the day of that month that the setting SUBMIT_BY names.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from typing import Any

from django.conf import settings
from django.core.paginator import Paginator
from django.db.models import Count, Q
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import get_object_or_404
from django.utils import timezone
from django.utils.dateformat import format as formatted
from django.views.decorators.http import require_GET

from cjit import report
from cjit.dataset import Entity, Severity
from cjit.report.spreadsheet import neutral
from cjit.web import pages
from cjit.web.agencies import access
from cjit.web.agencies.models import Agency, Role
from cjit.web.portal.models import RECORDS, Choice, Decision, State, Submission
from cjit.web.portal.views import COLOURS, pagination

#: How many months can be chosen, and how many submissions are shown on one page.
_MONTHS, _SUBMISSIONS = 24, 50

# ---- a month ---------------------------------------------------------------------------------------


@dataclass(frozen=True, order=True)
class Month:
    """A calendar month, by its first day."""

    first: date

    @property
    def after(self) -> Month:
        """The next one."""
        return Month((self.first + timedelta(days=31)).replace(day=1))

    @property
    def before(self) -> Month:
        """The last one."""
        return Month((self.first - timedelta(days=1)).replace(day=1))

    @property
    def last(self) -> date:
        """Its last day."""
        return self.after.first - timedelta(days=1)

    @property
    def due(self) -> date:
        """The day by which agencies submit for it."""
        return min(self.after.first.replace(day=1) + timedelta(days=settings.SUBMIT_BY - 1), self.after.last)

    @property
    def begins(self) -> datetime:
        """The moment it begins."""
        return timezone.make_aware(datetime.combine(self.first, time.min))

    @property
    def name(self) -> str:
        """March 2026."""
        return formatted(self.first, "F Y")

    def __str__(self) -> str:
        return f"{self.first:%Y-%m}"


def _complete() -> Month:
    """The last month that is over."""
    return Month(timezone.localdate().replace(day=1)).before


def _month(request: HttpRequest) -> Month:
    """The month asked for; the last complete one where none is. One that is not over has nothing to show."""
    asked = request.GET.get("month")
    if not asked:
        return _complete()
    if not re.fullmatch(r"2[0-9]{3}-(0[1-9]|1[0-2])", asked):
        raise Http404
    month = Month(date(int(asked[:4]), int(asked[5:]), 1))
    if month > _complete():
        raise Http404
    return month


# ---- how far agencies are --------------------------------------------------------------------------


@dataclass
class Progress:
    """How far an agency is with a month. `submission` is the one counted: the last accepted, or else the last sent."""

    agency: Agency
    submitted: datetime | None = None
    submission: Submission | None = None
    waiting: int = 0
    late: bool = False
    held: dict[str, int] = field(default_factory=dict)

    @property
    def standing(self) -> str:
        """On time, late, or what is still to come."""
        if self.submitted:
            return "Submitted late" if self.late else "On time"
        return "Late" if self.late else "Due"

    @property
    def rows(self) -> int:
        """The rows of the submission counted."""
        return self.submission.rows if self.submission else 0

    @property
    def rejected(self) -> int:
        """Those of them that are rejected."""
        return self.submission.rejected if self.submission else 0


def progress(agencies: Iterable[Agency], month: Month, today: date) -> list[Progress]:
    """How far each agency is with a month, those that were not open in it left out."""
    told = {
        agency.pk: Progress(agency, late=today > month.due)
        for agency in agencies
        if agency.opened <= month.last and (agency.closed is None or agency.closed >= month.first)
    }
    sent = Submission.objects.filter(
        agency__in=told, at__gte=month.after.begins, at__lt=month.after.after.begins
    ).order_by("pk")
    for submission in sent:
        one = told[submission.agency_id]
        accepted = submission.accepted if submission.state == State.ACCEPTED else None
        if accepted and one.submitted is None:
            one.submitted = accepted
            one.late = timezone.localdate(accepted) > month.due
        if accepted or one.submitted is None:
            one.submission = submission
    waiting = _waiting(one.submission for one in told.values() if one.submission)
    for entity, table in RECORDS.items():
        rows = table._default_manager.filter(agency__in=told, ended=None).values_list("agency").annotate(n=Count("id"))
        for pk, count in rows:
            told[pk].held[entity.value] = count
    for one in told.values():
        one.waiting = waiting.get(one.submission.pk, 0) if one.submission else 0
    return list(told.values())


def _waiting(submissions: Iterable[Submission]) -> dict[int, int]:
    """How many decisions are not taken or left for later, by the id of the submission."""
    undecided = Q(choice="") | Q(choice=Choice.LATER)
    some = Decision.objects.filter(undecided, submission__in=[s.pk for s in submissions])
    return dict(some.order_by().values_list("submission").annotate(n=Count("id")))


def sentence(told: list[Progress], month: Month) -> str:
    """How many agencies have submitted, in one sentence."""
    if not told:
        return f"No agency was open in {month.name}"
    done = [one for one in told if one.submitted]
    if len(told) == 1:
        said = f"The one agency {'has' if done else 'has not'} submitted for {month.name}"
    else:
        said = (
            f"{len(done):,} of {len(told):,} agencies {'has' if len(done) == 1 else 'have'} submitted for {month.name}"
        )
    if after := sum(one.late for one in done):
        said += (
            f", {after:,} of them after {pages.day(month.due)}" if len(told) > 1 else f", after {pages.day(month.due)}"
        )
    missing = [one for one in told if not one.submitted]
    if missing:
        number = f"{len(missing):,}" if len(told) > 1 else "it"
        verb = "are" if len(missing) > 1 else "is"
        said += f"; {number} {verb} " + ("late" if missing[0].late else f"due by {pages.day(month.due)}")
    return said


def _totals(told: list[Progress]) -> dict[str, Any]:
    rows, rejected = sum(one.rows for one in told), sum(one.rejected for one in told)
    return {
        "rows": rows,
        "rate": report.percent(rejected, rows),
        "waiting": sum(one.waiting for one in told),
        "held": {entity.value: sum(one.held.get(entity.value, 0) for one in told) for entity in RECORDS},
    }


# ---- the pages -------------------------------------------------------------------------------------


@require_GET
@access.only(Role.REGIONAL, Role.NATIONAL)
def staff(request: HttpRequest) -> HttpResponseBase:
    """The agencies somebody oversees: who has submitted for a month, and the counts."""
    month = _month(request)
    told = _progress(request, month)
    months = [_complete()]
    while len(months) < _MONTHS:
        months.append(months[-1].before)
    context = {
        "month": month,
        "months": sorted({*months, month}, reverse=True),
        "sentence": sentence(told, month),
        "progress": told,
        "totals": _totals(told),
        "entities": [entity.value for entity in RECORDS],
        "percent": report.percent,
        "colours": COLOURS,
        "standings": {"On time": "green", "Submitted late": "orange", "Late": "red", "Due": "blue"},
    }
    return pages.render(request, "portal/staff.html", context)


def _progress(request: HttpRequest, month: Month) -> list[Progress]:
    return progress(access.oversees(access.whoever(request)), month, timezone.localdate())


@require_GET
@access.only(Role.REGIONAL, Role.NATIONAL)
def staff_agency(request: HttpRequest, code: str) -> HttpResponseBase:
    """What an agency has sent: states and counts."""
    agency = get_object_or_404(access.oversees(access.whoever(request)).select_related("region"), code=code)
    page = Paginator(Submission.objects.filter(agency=agency), _SUBMISSIONS).get_page(request.GET.get("page"))
    context = {
        "agency": agency,
        "page": page,
        "pagination": pagination(page, {}),
        "waiting": _waiting(page),
        "held": _held(agency),
        "severities": list(Severity),
        "words": report.WORDS,
        "percent": report.percent,
        "colours": COLOURS,
    }
    return pages.render(request, "portal/staff_agency.html", context)


def _held(agency: Agency) -> Mapping[Entity, int]:
    return {
        entity: table._default_manager.filter(agency=agency, ended=None).count() for entity, table in RECORDS.items()
    }


# ---- the export ------------------------------------------------------------------------------------


@require_GET
@access.only(Role.REGIONAL, Role.NATIONAL)
def staff_export(request: HttpRequest) -> HttpResponseBase:
    """The same table as CSV; cells like formulas are neutralised."""
    month = _month(request)
    out = io.StringIO()
    # What Excel takes for UTF-8.
    out.write("\ufeff")
    writer = csv.writer(out)
    head = ["month", "agency", "name", "submitted", "standing", "state", "rows", "rejected", "waiting"]
    writer.writerow([*head, *(f"{entity.value}s held" for entity in RECORDS)])
    for one in _progress(request, month):
        cells = [
            str(month),
            one.agency.code,
            one.agency.name,
            timezone.localtime(one.submitted).isoformat(timespec="minutes") if one.submitted else "",
            one.standing,
            one.submission.get_state_display() if one.submission else "",
            str(one.rows),
            str(one.rejected),
            str(one.waiting),
            *(str(one.held.get(entity.value, 0)) for entity in RECORDS),
        ]
        writer.writerow(map(neutral, cells))
    return HttpResponse(
        out.getvalue(),
        content_type="text/csv; charset=utf-8",
        headers={"Content-Disposition": f'attachment; filename="progress-{month}.csv"'},
    )
