"""What is due at an agency: kinds of things that wait for somebody, each with the rule that makes them wait.

A kind is a query on stored columns, so that the page is the same few queries whoever has how many clients. Nothing is
told twice: a closure that is due is told as one, and not also as a care plan that is missing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import count
from typing import Any

from django.core.paginator import Paginator
from django.db.models import Case, Count, Exists, Model, OuterRef, Q, QuerySet, Value, When
from django.db.models.expressions import Combinable
from django.http import Http404, HttpRequest, HttpResponse
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_safe

from cjit.dataset import Severity
from cjit.web import pages
from cjit.web.agencies.access import whoever, works_at
from cjit.web.agencies.models import Agency
from cjit.web.caseload import access, questions
from cjit.web.caseload.actions import client_of
from cjit.web.caseload.models import Client, Episode, Referral
from cjit.web.caseload.record import DISENGAGED_MONTHS, Told, months_after, told

#: Days before its day that an assessment is told of, how many of a kind its first page has, and a page of its list.
AHEAD, FIRST, PAGE = timedelta(days=14), 10, 50


@dataclass(frozen=True)
class Kind:
    """Something that can be due. `name` is its place in the address; `about` says which rule of the document asks it.

    `which` says, of a day, what is due of a `model`, and `order` in which order. `page` is the address that settles
    it, and `when` says since when it is due, or by when.
    """

    name: str
    title: str
    about: str
    model: type[Model]
    which: Callable[[date], Q]
    order: tuple[str | Combinable, ...]
    page: Callable[[Any], str]
    when: Callable[[Any, date], str]

    def of(self, agency: Agency, today: date) -> QuerySet[Any]:
        """What is due at an agency, in its order."""
        return self.model._default_manager.filter(self.which(today), agency=agency).order_by(*self.order)

    def rows(self, found: QuerySet[Any], today: date) -> list[Row]:
        """What was found, as the page shows it. Numbers are asked for first, which an index tells."""
        numbers = list(found.values_list("pk", flat=True))
        records: dict[int, Any] = self.model._default_manager.select_related(_CLIENT[self.model]).in_bulk(numbers)
        return [
            Row(client_of(each), self.when(each, today), self.page(each), _is_overdue(self, each, today))
            for each in (records[number] for number in numbers if number in records)
        ]


#: What is asked for along with a record, so that its client is known (an agency is, in any case).
_CLIENT: Mapping[type[Model], str] = {Client: "agency", Episode: "client", Referral: "episode__client"}


@dataclass(frozen=True)
class Row:
    """One thing that is due: whose it is, since when or by when, the page that settles it, and whether it is late."""

    client: Client
    when: str
    href: str
    is_overdue: bool


# ---- which -----------------------------------------------------------------------------------------


def disengaged_since(today: date) -> date:
    """The last day of contact from which `DISENGAGED_MONTHS` have gone by."""
    before = (today - timedelta(days=ago) for ago in count())
    return next(day for day in before if months_after(day, DISENGAGED_MONTHS) <= today)


def _in_prison(_: date) -> Q:
    return Q(open=True, custody__isnull=False)


def _disengaged(today: date) -> Q:
    return Q(open=True, custody__isnull=True, contact__lte=disengaged_since(today))


def _without_contact(_: date) -> Q:
    return Q(open=True, imported__isnull=False, contact__isnull=True)


def _unasked(_: date) -> Q:
    return Q(Exists(Episode.objects.filter(client=OuterRef("pk"))), consent="")


def _undecided(today: date) -> Q:
    planless = Q(open=True, custody__isnull=True, triaged__isnull=False, started__isnull=True)
    return planless & Q(contact__gt=disengaged_since(today))


# ---- when ------------------------------------------------------------------------------------------


def days(number: int) -> str:
    """A number of days in words: 1 day, 12 days."""
    return "1 day" if number == 1 else f"{number:,} days"


def _review(episode: Episode, today: date) -> str:
    assert episode.review is not None  # noqa: S101 - it is asked for
    left = (episode.review - today).days
    if left < 0:
        return f"Overdue by {days(-left)}"
    return f"Due in {days(left)}" if left else "Due today"


def _since(what: str, column: str) -> Callable[[Any, date], str]:
    def when(record: Any, _: date) -> str:
        return f"{what} {pages.day(getattr(record, column))}"

    return when


def _referral(referral: Referral, _: date) -> str:
    said = "The date cannot be read" if referral.values.get("REFDATE") else "No date"
    triaged = referral.episode.triaged
    return f"{said}, triaged {pages.day(triaged)}" if triaged else said


#: What is said of findings, by their column, the gravest first.
GRADES = {"rejects": "Would be rejected", "faults": "To check", "missing": "Not filled in"}


def worst(episodes: Iterable[Episode]) -> str:
    """What is said of some episodes by the gravest of their findings; nothing where there is none."""
    found = list(episodes)
    return next((said for grade, said in GRADES.items() if any(getattr(each, grade) for each in found)), "")


def _is_overdue(kind: Kind, record: Any, today: date) -> bool:
    """Only assessments of interventions have a day by which they are due."""
    return kind is REVIEWS and record.review < today


# ---- where -----------------------------------------------------------------------------------------


def _at(name: str, *more: str) -> Callable[[Any], str]:
    def page(record: Any) -> str:
        return reverse(name, args=[record.pk, *more])

    return page


def _gravest(episode: Episode) -> str:
    """The page with the field of the gravest finding."""

    def gravity(each: Told) -> tuple[bool, bool]:
        return each.rule.severity is not Severity.REJECT, each.is_missing

    found = min(told(episode), key=gravity, default=None)
    return reverse("episode", args=[episode.pk]) if found is None else page_of(episode, found)


def page_of(episode: Episode, found: Told) -> str:
    """The address at which a finding of an episode is put right."""
    if found.header in questions.SYSTEM or found.header == "CONSENT":
        return reverse("client", args=[episode.client_id])
    group = questions.of(found.header)
    if group is questions.CLIENT_DETAILS:
        return reverse("client-details", args=[episode.client_id])
    if group is questions.REFERRAL and found.referral:
        return reverse("referral", args=[found.referral])
    if group is questions.CLOSURE:
        return reverse("episode-close", args=[episode.pk])
    return reverse("questions", args=[episode.pk, group.name])


# ---- the kinds -------------------------------------------------------------------------------------

REVIEWS = Kind(
    "reviews",
    "Interventions to assess",
    "Interventions are assessed at least every 6 months on the caseload, and when a client leaves it (Business"
    " definitions, Data entities: Interventions).",
    Episode,
    lambda today: Q(review__lte=today + AHEAD),
    ("review", "pk"),
    _at("interventions"),
    _review,
)
KINDS = (
    REVIEWS,
    Kind(
        "prison",
        "In prison, with an open episode",
        "If a client goes to prison, the episode is closed (Business definitions: DISD).",
        Episode,
        _in_prison,
        ("custody", "pk"),
        _at("episode-close"),
        _since("Since", "custody"),
    ),
    Kind(
        "no-contact",
        "No contact for 2 months",
        "The client is taken to have disengaged: close the episode at the last contact face to face (Business"
        " definitions: DISD).",
        Episode,
        _disengaged,
        ("contact", "pk"),
        _at("episode-close"),
        _since("Last contact", "contact"),
    ),
    Kind(
        "imported",
        "No contact recorded here since the import",
        "The file that was imported has no contacts: record the last one with each client, or say that there was none."
        " The 2 months without contact are counted only then (Business definitions: DISD).",
        Episode,
        _without_contact,
        ("imported", "pk"),
        _at("contacts"),
        _since("Imported on", "imported"),
    ),
    Kind(
        "undecided",
        "Triaged, and not yet on the caseload",
        "Enter the caseload start date once a care plan is agreed, or close the episode with a reason prior to"
        " caseload (Business definitions: CPLANDT).",
        Episode,
        _undecided,
        ("triaged", "pk"),
        _at("questions", questions.of("CPLANDT").name),
        _since("Triaged", "triaged"),
    ),
    Kind(
        "referrals",
        "Referrals without a date",
        "Each referral to structured treatment needs its date (Business definitions: REFDATE).",
        Referral,
        lambda _: Q(dated__isnull=True),
        ("pk",),
        _at("referral"),
        _referral,
    ),
    Kind(
        "consent",
        "Clients to ask for consent",
        "Every client is asked for consent; without it nothing about them is extracted (Business definitions:"
        " CONSENT).",
        Client,
        _unasked,
        ("begun", "pk"),
        _at("client-consent"),
        _since("Since", "begun"),
    ),
    Kind(
        "findings",
        "Episodes to put right",
        "What would be rejected comes first, then what may be wrong, then what is not filled in, by the rules of each"
        " field.",
        Episode,
        lambda _: Q(rejects__gt=0) | Q(faults__gt=0) | Q(missing__gt=0),
        (Case(When(rejects__gt=0, then=0), When(faults__gt=0, then=1), default=2), "pk"),
        _gravest,
        lambda episode, _: worst([episode]),
    ),
)


def counts(agency: Agency, today: date) -> dict[str, int]:
    """How much is due of each kind, by its name, and of the whole how much is `overdue`; in one query."""

    def numbered(name: str, found: QuerySet[Any]) -> QuerySet[Any]:
        counted: QuerySet[Any] = found.order_by().values(name=Value(name)).annotate(number=Count("*"))
        return counted

    late = REVIEWS.of(agency, today).filter(review__lt=today)
    first, *others = (*(numbered(kind.name, kind.of(agency, today)) for kind in KINDS), numbered("overdue", late))
    told = {each["name"]: each["number"] for each in first.union(*others, all=True)}
    return {name: told.get(name, 0) for name in (*(kind.name for kind in KINDS), "overdue")}


def verdict(due: int, overdue: int) -> str:
    """How much is due, in a sentence."""
    if not due:
        return "Nothing is due"
    if due == 1:
        return "1 thing is due, and it is overdue" if overdue else "1 thing is due"
    return f"{due:,} things are due" + (f", {overdue:,} of them overdue" if overdue else "")


# ---- the pages -------------------------------------------------------------------------------------


@require_safe
def due(request: HttpRequest) -> HttpResponse:
    """What is due at an agency: how much in a sentence, then the first of each kind."""
    agency, today = access.agency(request), timezone.localdate()
    numbers = counts(agency, today)
    overdue = numbers.pop("overdue")
    context = {
        "agency": agency,
        "agencies": works_at(whoever(request)).order_by("code"),
        "verdict": verdict(sum(numbers.values()), overdue),
        "kinds": [
            (kind, numbers[kind.name], kind.rows(kind.of(agency, today)[:FIRST], today))
            for kind in KINDS
            if numbers[kind.name]
        ],
        "first": FIRST,
    }
    return pages.render(request, "caseload/due.html", context)


@require_safe
def due_list(request: HttpRequest, kind: str) -> HttpResponse:
    """All that is due of one kind, in pages."""
    agency, today = access.agency(request), timezone.localdate()
    chosen = next((each for each in KINDS if each.name == kind), None)
    if chosen is None:
        raise Http404
    found = chosen.of(agency, today)
    page = Paginator(found, PAGE).get_page(request.GET.get("page"))
    rows = chosen.rows(found[(page.number - 1) * PAGE : page.number * PAGE], today)
    others = pages.pagination(page, {"agency": agency.code})
    context = {"agency": agency, "kind": chosen, "page": page, "rows": rows, "pagination": others}
    return pages.render(request, "caseload/due_list.html", context)
