"""Finding a client by what somebody types: a reference, initials and a birth date, or a part of these, in any order.

A text may be read in more than one way (1980 is a year, and how a reference may begin): what any reading finds is
found. No text stands in an address: it is posted.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from django.db.models import Exists, OuterRef, Q
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_POST

from cjit import dates
from cjit.web import pages
from cjit.web.agencies.access import whoever, works_at
from cjit.web.agencies.models import Agency
from cjit.web.caseload import access
from cjit.web.caseload.due import worst
from cjit.web.caseload.models import Client, Episode
from cjit.web.caseload.record import months_after

#: How many clients are shown, and the longest text that is read.
MOST, LONGEST = 20, 100
#: The earliest year of birth that is looked for.
EARLIEST = 1900


# ---- reading what was typed ------------------------------------------------------------------------

_MONTH = r"(\d{1,2}|[A-Z]{3,9})"
_SIGN = r"\s*[-/.]\s*"
#: A birth date or a part of one, as it may be written, with which of its parts stands where.
_DATES: Sequence[tuple[re.Pattern[str], str]] = tuple(
    (re.compile(rf"(?<![A-Z0-9/.-]){form}(?![A-Z0-9]|[/.-][A-Z0-9])", re.ASCII), parts)
    for form, parts in (
        (rf"(\d{{4}}){_SIGN}(\d{{1,2}}){_SIGN}(\d{{1,2}})", "ymd"),
        (rf"(\d{{1,2}})\s*[-/. ]\s*{_MONTH}\s*[-/. ]\s*(\d{{4}}|\d{{2}})", "dmy"),
        (r"(\d{1,2})(?:ST|ND|RD|TH)?\s*([A-Z]{3,9})\s*(\d{4}|\d{2})", "dmy"),
        (rf"(\d{{1,2}}){_SIGN}(\d{{4}})", "my"),
        (r"([A-Z]{3,9})\s*(\d{4})", "my"),
        (rf"(\d{{1,2}}){_SIGN}(\d{{1,2}})", "dm"),
        (rf"(\d{{1,2}}){_SIGN}(\d{{2}})", "my"),
        (r"(\d{1,2})(?:ST|ND|RD|TH)?\s*([A-Z]{3,9})", "dm"),
    )
)
#: The same without signs, for a word of figures alone.
_FIGURES = ((r"(\d\d)(\d\d)(\d{4})", "dmy"), (r"(\d{4})(\d\d)(\d\d)", "ymd"), (r"(\d\d)(\d\d)(\d\d)", "dmy"))


def sought(text: str, today: date) -> Q | None:
    """Which clients a text is looking for; None where it says nothing."""
    whole = " ".join(text[:LONGEST].replace("\0", "").replace("?", " ").upper().split())
    if not whole:
        return None
    rest, found = whole, Q()
    for pattern, parts in _DATES:
        for match in pattern.finditer(rest):
            born = _born(dict(zip(parts, match.groups(), strict=True)), today)
            if born is not None:
                rest, found = rest.replace(match[0], " ", 1), found & born
                break
    initials = ""
    for word in rest.replace(",", " ").split():
        letters = word.replace(".", "")
        if letters.isalpha() and len(initials + letters) <= 2:
            initials += letters
        else:
            found &= Q(reference__startswith=word) | _figures(word, today)
    if initials:
        found &= Q(initials__startswith=initials)
    return Q(reference__startswith=whole) | found


def _figures(word: str, today: date) -> Q:
    """A word of figures as a birth date or a year; nothing where it is none."""
    found = Q(pk__in=[])
    if not (word.isascii() and word.isdecimal()):
        return found
    if len(word) == 4 and EARLIEST <= int(word) <= today.year:
        return Q(born__range=(date(int(word), 1, 1), date(int(word), 12, 31)))
    for pattern, parts in _FIGURES:
        if match := re.fullmatch(pattern, word):
            found |= _born(dict(zip(parts, match.groups(), strict=True)), today) or Q(pk__in=[])
    return found


def _born(parts: Mapping[str, str], today: date) -> Q | None:
    """Whom a birth date is of, whatever parts of it are known; None where it cannot be one."""
    month = int(parts["m"]) if parts["m"].isdecimal() else dates.month_named(parts["m"])
    # Of a year of two figures those of both centuries, of none all there are.
    years = [year for year in range(EARLIEST, today.year + 1) if str(year).endswith(parts.get("y", ""))]
    firsts = [day for year in years if (day := _day(year, month or 0, int(parts.get("d", "1"))))]
    if not firsts:
        return None
    if "d" in parts:
        return Q(born__in=firsts)
    found = Q()
    for first in firsts:
        found |= Q(born__range=(first, months_after(first, 1) - timedelta(days=1)))
    return found


def _day(year: int, month: int, day: int) -> date | None:
    try:
        return date(year, month, day)
    except ValueError:
        return None


# ---- what was found --------------------------------------------------------------------------------


@dataclass(frozen=True)
class Found:
    """A client as a list shows them: how their episode stands, and the gravest of what the check says of them."""

    client: Client
    state: str
    findings: str
    is_open: bool


def look(agency: Agency, text: str, *, only_open: bool, today: date) -> list[Found]:
    """The clients a text finds, those with an open episode first; of no text those on whom anybody worked last.

    One more than are shown, where there are more.
    """
    is_open = Exists(Episode.objects.filter(client=OuterRef("pk"), open=True))
    clients = Client.objects.filter(agency=agency)
    wanted = sought(text, today)
    if only_open:
        clients = clients.filter(is_open)
    if wanted is None:
        clients = clients.order_by("-touched")
    else:
        clients = clients.filter(wanted).order_by(is_open.desc(), "-touched")
    # Numbers first, which an index tells.
    numbers = list(clients.values_list("pk", flat=True)[: MOST + 1])
    records = Client.objects.in_bulk(numbers)
    shown = [records[number] for number in numbers if number in records]
    episodes: dict[int, list[Episode]] = {client.pk: [] for client in shown}
    for episode in Episode.objects.filter(client__in=shown).defer("values", "local", "findings"):
        episodes[episode.client_id].append(episode)
    return [_shown(client, episodes[client.pk]) for client in shown]


def _shown(client: Client, episodes: Sequence[Episode]) -> Found:
    newest = max(episodes, key=lambda each: (each.open, each.triaged or date.min, each.pk), default=None)
    return Found(client, state(newest), worst(episodes), newest is not None and newest.open)


def state(episode: Episode | None) -> str:
    """How an episode stands: triaged, on the caseload or closed, and since when."""
    if episode is None:
        return "No episode"
    if not episode.open:
        return f"Closed {pages.day(episode.closed)}".rstrip()
    if episode.triaged is None:
        return "Not triaged yet"
    said = f"Triaged {pages.day(episode.triaged)}"
    return f"{said}, on the caseload since {pages.day(episode.started)}" if episode.started else said


def said(found: Sequence[Found], text: str, *, only_open: bool) -> str:
    """What was found, in a sentence."""
    with_open = " with an open episode" if only_open else ""
    if not text.strip():
        return f"Clients{with_open} worked on last" if found else f"There are no clients{with_open}"
    if len(found) > MOST:
        return f"More than {MOST} clients{with_open} found: type more to see fewer"
    return f"{len(found) or 'No'} client{'' if len(found) == 1 else 's'}{with_open} found"


# ---- the pages -------------------------------------------------------------------------------------


@require_http_methods(["GET", "HEAD", "POST"])
def clients(request: HttpRequest) -> HttpResponse:
    """The clients of an agency: those worked on last, or what is searched for."""
    agency = access.agency(request)
    context = _context(request, agency) | {"agencies": works_at(whoever(request)).order_by("code")}
    return pages.render(request, "caseload/clients.html", context)


@require_POST
def found(request: HttpRequest) -> HttpResponse:
    """What a search finds, for the page's script."""
    return pages.render(request, "caseload/_found.html", _context(request, access.agency(request)))


def _context(request: HttpRequest, agency: Agency) -> dict[str, Any]:
    text, only_open = request.POST.get("find", ""), "open" in request.POST
    seen = look(agency, text, only_open=only_open, today=timezone.localdate())
    told = said(seen, text, only_open=only_open)
    return {"agency": agency, "text": text, "only_open": only_open, "found": seen[:MOST], "said": told}
