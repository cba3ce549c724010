"""Staff's pages: which agencies have submitted for a month, and their counts. No record, no value, no file.

A file sent in the month after counts: one sent in April is for March. An agency has submitted once it has accepted
one; it is late when it has not by the day of the calendar.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from typing import Any
from urllib.parse import urlencode

from django.core.paginator import Paginator
from django.db.models import Count, Q
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import get_object_or_404
from django.utils import timezone
from django.views.decorators.http import require_GET

from cjit.dataset import Entity, Severity
from cjit.report import words
from cjit.report.spreadsheet import neutral
from cjit.web import pages
from cjit.web.agencies import access
from cjit.web.agencies.calendar import Month
from cjit.web.agencies.models import Agency, Closure, Region, Role
from cjit.web.portal.models import RECORDS, Choice, Decision, State, Submission
from cjit.web.portal.views import COLOURS

#: How many months can be chosen, and how many submissions are shown on one page.
_MONTHS, _SUBMISSIONS = 24, 50

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
    def state(self) -> str:
        """How the submission counted stands."""
        return str(self.submission.get_state_display()) if self.submission else "Nothing sent"

    @property
    def rows(self) -> int:
        """The rows of the submission counted."""
        return self.submission.rows if self.submission else 0

    @property
    def rejected(self) -> int:
        """Those of them that are rejected."""
        return self.submission.rejected if self.submission else 0

    @property
    def rate(self) -> float | None:
        """The error rate: the share of the rows that is rejected, from 0 to 1; None where there are no rows."""
        return self.rejected / self.rows if self.rows else None


def progress(agencies: Iterable[Agency], month: Month, today: date) -> list[Progress]:
    """How far each agency is with a month, those that were not open in it left out."""
    due = month.due
    closed = set(
        Closure.objects.filter(closed__lt=month.first, reopened__gt=month.last).values_list("agency", flat=True)
    )
    told = {
        agency.pk: Progress(agency, late=today > due)
        for agency in agencies
        if agency.opened <= month.last
        and (agency.closed is None or agency.closed >= month.first)
        and agency.pk not in closed
    }
    sent = Submission.objects.filter(
        agency__in=told, at__gte=month.after.begins, at__lt=month.after.after.begins
    ).order_by("pk")
    for submission in sent:
        one = told[submission.agency_id]
        # Where every row was rejected it said at most who withdraws, and that is no submission for the month.
        taken = submission.state == State.ACCEPTED and submission.rejected < submission.rows
        accepted = submission.accepted if taken else None
        if accepted and one.submitted is None:
            one.submitted = accepted
            one.late = timezone.localdate(accepted) > due
        if accepted or one.submitted is None:
            one.submission = submission
    waiting = _waiting(one.submission for one in told.values() if one.submission)
    for entity, table in RECORDS.items():
        rows = (
            table._default_manager.filter(agency__in=told, ended=None, forgotten=None)
            .values_list("agency")
            .annotate(n=Count("id"))
        )
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
    due = pages.day(month.due)
    done = [one for one in told if one.submitted]
    if len(told) == 1:
        said = f"The one agency {'has' if done else 'has not'} submitted for {month.name}"
    else:
        said = (
            f"{len(done):,} of {len(told):,} agencies {'has' if len(done) == 1 else 'have'} submitted for {month.name}"
        )
    if after := sum(one.late for one in done):
        said += f", {after:,} of them after {due}" if len(told) > 1 else f", after {due}"
    missing = [one for one in told if not one.submitted]
    if missing:
        number = f"{len(missing):,}" if len(told) > 1 else "it"
        verb = "are" if len(missing) > 1 else "is"
        said += f"; {number} {verb} " + ("late" if missing[0].late else f"due by {due}")
    return said


def _totals(told: list[Progress]) -> dict[str, Any]:
    rows, rejected = sum(one.rows for one in told), sum(one.rejected for one in told)
    return {
        "rows": rows,
        "rate": words.percent(rejected, rows),
        "waiting": sum(one.waiting for one in told),
        "held": {entity.value: sum(one.held.get(entity.value, 0) for one in told) for entity in RECORDS},
    }


# ---- what somebody asks to see ---------------------------------------------------------------------

#: How an agency stands with a month: the colour of its tag, and that of its part of the picture.
STANDINGS = {
    "On time": ("green", "#0f7a52"),
    "Submitted late": ("orange", "#b35c00"),
    "Late": ("red", "#ca3535"),
    "Due": ("blue", "#1d70b8"),
}


def _held_of(entity: str) -> Callable[[Progress], int]:
    return lambda one: one.held.get(entity, 0)


#: By what the table is sorted. What is not there yet comes last, or first when turned round.
SORTS: Mapping[str, Callable[[Progress], Any]] = {
    "agency": lambda one: one.agency.code,
    "submitted": lambda one: (one.submitted is None, one.submitted or one.state),
    "standing": lambda one: list(STANDINGS).index(one.standing),
    "rows": lambda one: one.rows,
    "rejected": lambda one: -1 if one.rate is None else one.rate,
    "waiting": lambda one: one.waiting,
    **{entity.value: _held_of(entity.value) for entity in RECORDS},
}
#: Those that begin with the smallest; of figures the greatest is looked for.
_ASCENDING = ("agency", "submitted", "standing")


@dataclass(frozen=True)
class Asked:
    """What of a month somebody asks to see: a region, a standing, a code or name, and in which order."""

    month: Month
    region: str = ""
    standing: str = ""
    text: str = ""
    sort: str = "agency"

    @classmethod
    def of(cls, request: HttpRequest, regions: Iterable[Region]) -> Asked:
        """What a request asks for, of some regions. What cannot be understood filters nothing.

        A month that is none, or is not over, is not there.
        """
        given = request.GET
        month = Month.named(given["month"]) if given.get("month") else Month.complete()
        if month is None or month > Month.complete():
            raise Http404
        region, standing, sort = given.get("region", ""), given.get("standing", ""), given.get("sort", "")
        return cls(
            month,
            region=region if region in {each.code for each in regions} else "",
            standing=standing if standing in STANDINGS else "",
            text=given.get("text", "").strip()[:120],
            sort=sort if sort.removeprefix("-") in SORTS else "agency",
        )

    def __str__(self) -> str:
        """As the end of an address: month=2026-03&sort=-rejected."""
        parts = {"region": self.region, "standing": self.standing, "text": self.text}
        parts |= {"sort": self.sort} if self.sort != "agency" else {}
        return urlencode({"month": str(self.month)} | {name: part for name, part in parts.items() if part})

    def by(self, column: str) -> Asked:
        """The same sorted by a column; by the one it is sorted by, the other way round."""
        if self.sort.removeprefix("-") == column:
            return replace(self, sort=column if self.sort.startswith("-") else f"-{column}")
        return replace(self, sort=column if column in _ASCENDING else f"-{column}")

    def direction(self, column: str) -> str | None:
        """How a column is sorted, as aria-sort says it; None where the table is sorted by another."""
        if self.sort.removeprefix("-") != column:
            return None
        return "descending" if self.sort.startswith("-") else "ascending"

    def shown(self, told: Iterable[Progress]) -> list[Progress]:
        """Those asked for, in the order asked for."""
        text = self.text.casefold()
        some = [
            one
            for one in told
            if self.standing in ("", one.standing) and text in f"{one.agency.code} {one.agency.name}".casefold()
        ]
        # A sort keeps the order of what is equal: that of the codes.
        some.sort(key=SORTS["agency"])
        some.sort(key=SORTS[self.sort.removeprefix("-")], reverse=self.sort.startswith("-"))
        return some


def _asked(request: HttpRequest) -> tuple[Asked, list[Region], list[Progress]]:
    """What somebody asks to see, the regions of which they oversee an agency, and how far the agencies are.

    Those are of the region asked for, or all that they oversee.
    """
    agencies = access.oversees(access.whoever(request)).select_related("region")
    regions = list(Region.objects.filter(agencies__in=agencies).distinct().order_by("name"))
    asked = Asked.of(request, regions)
    if asked.region:
        agencies = agencies.filter(region__code=asked.region)
    return asked, regions, progress(agencies, asked.month, timezone.localdate())


# ---- the pages -------------------------------------------------------------------------------------


@require_GET
@access.only(Role.REGIONAL, Role.NATIONAL)
def staff(request: HttpRequest) -> HttpResponseBase:
    """The agencies somebody oversees: who has submitted for a month, and the counts."""
    asked, regions, told = _asked(request)
    shown = asked.shown(told)
    months = [Month.complete()]
    while len(months) < _MONTHS:
        months.append(months[-1].before)
    context = {
        "asked": asked,
        "month": asked.month,
        "due": asked.month.due,
        "months": sorted({*months, asked.month}, reverse=True),
        "regions": regions,
        "sentence": sentence(told, asked.month),
        "all": told,
        "progress": shown,
        "totals": _totals(shown),
        "picture": _picture(told),
        "most": max((one.rate or 0 for one in shown), default=0),
        "entities": [entity.value for entity in RECORDS],
        "percent": words.percent,
        "colours": COLOURS,
        "standings": STANDINGS,
    }
    return pages.render(request, "portal/staff.html", context)


def _picture(told: list[Progress]) -> list[dict[str, Any]]:
    """How many agencies stand how, and where each kind begins and ends in a bar 600 wide."""
    parts: list[dict[str, Any]] = []
    begins = 0
    for standing, (_, colour) in STANDINGS.items():
        if count := sum(one.standing == standing for one in told):
            x, end = 600 * begins / len(told), 600 * (begins + count) / len(told)
            begins += count
            parts.append({"standing": standing, "count": count, "x": x, "width": end - x, "colour": colour})
    return parts


@require_GET
@access.only(Role.REGIONAL, Role.NATIONAL)
def staff_agency(request: HttpRequest, code: str) -> HttpResponseBase:
    """What an agency has sent: states and counts."""
    agency = get_object_or_404(access.oversees(access.whoever(request)).select_related("region"), code=code)
    page = Paginator(Submission.objects.filter(agency=agency), _SUBMISSIONS).get_page(request.GET.get("page"))
    context = {
        "agency": agency,
        "closures": agency.closures.all(),
        "page": page,
        "pagination": pages.pagination(page, {}),
        "waiting": _waiting(page),
        "held": _held(agency),
        "severities": list(Severity),
        "words": words.WORDS,
        "percent": words.percent,
        "colours": COLOURS,
    }
    return pages.render(request, "portal/staff_agency.html", context)


def _held(agency: Agency) -> Mapping[Entity, int]:
    return {
        entity: table._default_manager.filter(agency=agency, ended=None, forgotten=None).count()
        for entity, table in RECORDS.items()
    }


# ---- the export ------------------------------------------------------------------------------------


@require_GET
@access.only(Role.REGIONAL, Role.NATIONAL)
def staff_export(request: HttpRequest) -> HttpResponseBase:
    """The same table, as it is filtered and sorted, as CSV; cells like formulas are neutralised."""
    asked, _, told = _asked(request)
    out = io.StringIO()
    # What Excel takes for UTF-8.
    out.write("\ufeff")
    writer = csv.writer(out)
    head = ["month", "due", "agency", "name", "region", "submitted", "standing", "state"]
    head += ["rows", "rejected", "rejected %", "waiting"]
    writer.writerow([*head, *(f"{entity.value}s held" for entity in RECORDS)])
    due = asked.month.due.isoformat()
    for one in asked.shown(told):
        cells = [
            str(asked.month),
            due,
            one.agency.code,
            one.agency.name,
            one.agency.region.name,
            timezone.localtime(one.submitted).isoformat(timespec="minutes") if one.submitted else "",
            one.standing,
            one.state,
            str(one.rows),
            str(one.rejected),
            "" if one.rate is None else f"{100 * one.rate:.2f}",
            str(one.waiting),
            *(str(one.held.get(entity.value, 0)) for entity in RECORDS),
        ]
        writer.writerow(map(neutral, cells))
    return HttpResponse(
        out.getvalue(),
        content_type="text/csv; charset=utf-8",
        headers={"Content-Disposition": f'attachment; filename="progress-{asked.month}.csv"'},
    )
