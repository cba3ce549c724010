"""The provider's pages after the check: deciding mismatches and absent records, accepting, the receipt, undoing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter
from typing import Any
from urllib.parse import urlencode

import polars as pl
from django.conf import settings
from django.contrib import messages
from django.core.mail import send_mail
from django.core.paginator import Page, Paginator
from django.db import transaction
from django.db.models import Count, IntegerField, QuerySet, Sum
from django.db.models.fields.json import KT
from django.db.models.functions import Cast
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase, QueryDict
from django.shortcuts import redirect
from django.urls import reverse
from django.views.decorators.http import require_GET, require_http_methods

from cjit.dataset import Entity
from cjit.report import words
from cjit.sentences import listed
from cjit.web import kept, pages
from cjit.web.agencies import access, audit
from cjit.web.agencies.actions import Refused
from cjit.web.agencies.models import Agency, Person
from cjit.web.dataset import DATASET
from cjit.web.portal import actions, contested, decisionfile, plan, result
from cjit.web.portal import receipt as receipts
from cjit.web.portal.models import Choice, Decision, State, Submission
from cjit.web.portal.rulebook import RULES
from cjit.web.portal.views import of_files, theirs

#: How many decisions are shown on one page.
_DECISIONS = 50
#: States in which something can be decided and accepted.
_DECIDABLE = (State.DECISIONS, State.READY)
#: What of the decisions may be shown: all, or some.
_SHOWN = {"": "All", "left": "Still to be decided", "decided": "Decided"}
#: What decisions may be taken together by, in the order they are shown in: what differs before what is absent.
_ORDER = ("absent", "entity", "pattern")
#: Fields whose noun names the client, where it is of clients that is spoken.
_OWN = {"FINITIAL": "first name initial", "SINITIAL": "surname initial", "SEX": "stated sex"}


# ---- deciding --------------------------------------------------------------------------------------


@require_http_methods(["GET", "POST"])
@of_files
def decide(request: HttpRequest, pk: int) -> HttpResponseBase:
    """Each mismatch side by side with what is held, and each absent record; what is chosen is saved page by page."""
    sent = theirs(request, pk)
    if sent.state not in _DECIDABLE or not sent.decisions.exists():
        return redirect("submission", sent.pk)
    if request.method == "GET":
        return _page_of_decisions(request, sent, request.GET)
    page = _page(sent, request.POST)
    choices = _chosen(request.POST)
    # The button of a group says whether it is about those still to be decided, or about all.
    group = request.POST.get("rest") or request.POST.get("all") or ""
    choice = request.POST.get(f"for {group}", "")
    if group and not choice:
        error = {"text": "Select what becomes of these records", "href": f"#{_id_of(group)}"}
        return _page_of_decisions(request, sent, request.POST, error=error, refused=group)
    person, count = access.whoever(request), 0
    try:
        with transaction.atomic():
            if choices or not group:
                count += actions.decide(by=person, submission=sent, choices=choices)
            if group:
                rest = "rest" in request.POST
                count += actions.decide_group(by=person, submission=sent, **_kind(group), choice=choice, rest=rest)
    except Refused as problem:
        return _page_of_decisions(request, sent, request.POST, error={"text": str(problem)})
    if not group and any(choice for name, choice in request.POST.items() if name.startswith("for ")):
        messages.warning(request, "What you chose for many at once is not saved: use the button below that choice")
    return _decided(request, sent, count, page)


def _chosen(given: QueryDict) -> dict[int, str]:
    """What was chosen on a page, by the ids of the decisions."""
    named = ((name.removeprefix("choice "), choice) for name, choice in given.items() if name.startswith("choice "))
    return {int(pk): str(choice) for pk, choice in named if pk.isdecimal() and len(pk) < 19 and choice}


def _decided(request: HttpRequest, sent: Submission, count: int, page: Page[Decision] | None = None) -> HttpResponse:
    """Where to go once decisions are saved: on among the pages, or, when all are decided, to the acceptance."""
    left = sent.decisions.filter(choice="").count()
    saved = f"{count:,} {'decision is' if count == 1 else 'decisions are'} saved" if count else "Nothing is changed"
    tell = messages.success if count else messages.info
    tell(request, f"{saved}; {left:,} left" if left else f"{saved}; all are decided")
    to, query = request.POST.get("to"), _query(request.POST)
    if not left and (to not in ("next", "previous") or query.get("show") == "left"):
        return redirect("accept", sent.pk)
    number = page.number if page else 1
    if page and to == "next":
        # Where only some are shown, what is decided now may be gone from them, and the others have moved up.
        here = [decision.pk for decision in page]
        number = (page.start_index() - 1 + _some(sent, request.POST).filter(pk__in=here).count()) // _DECISIONS + 1
    elif to == "previous":
        number = max(number - 1, 1)
    return redirect(f"{reverse('decide', args=[sent.pk])}?{urlencode({**query, 'page': number})}")


# ---- which decisions are shown ---------------------------------------------------------------------


def _query(given: QueryDict) -> dict[str, str]:
    """What is asked for: `show` (one of _SHOWN) and `group` (as a _Group is named), where they are."""
    return {name: given.get(name, "") for name in ("show", "group") if given.get(name)}


def _kind(group: str) -> dict[str, str]:
    """Which decisions are of a group, by its name."""
    entity, _, pattern = group.partition(" ")
    # PostgreSQL takes no NUL, not even to look for it.
    return {"entity": entity, "pattern": pattern} if group.isprintable() else {"entity": "", "pattern": ""}


def _some(sent: Submission, given: QueryDict) -> QuerySet[Decision]:
    """The decisions that are asked for, in the order of their groups."""
    query, some = _query(given), sent.decisions.order_by(*_ORDER, "id")
    if query.get("show") == "left":
        some = some.filter(choice="")
    elif query.get("show") == "decided":
        some = some.exclude(choice="")
    return some.filter(**_kind(query["group"])) if "group" in query else some


def _page(sent: Submission, given: QueryDict) -> Page[Decision]:
    page = Paginator(_some(sent, given), _DECISIONS).get_page(given.get("page"))
    # Fetched now: once some are decided, others may be asked for.
    page.object_list = list(page.object_list)
    return page


@dataclass(frozen=True)
class _Group:
    """Decisions that may be taken together: of records of a kind that differ in the same fields, or are absent.

    `left` of them are still to be taken. `below` counts what belongs to the records: to those still to be decided or,
    where there are none, to all.
    """

    entity: Entity
    absent: bool
    pattern: str
    count: int
    left: int
    below: Mapping[str, int]

    @property
    def name(self) -> str:
        """How forms and addresses name it: which fields, and no value."""
        return f"{self.entity} {self.pattern}"

    @property
    def records(self) -> str:
        """Which records they are: clients whose surname initial (SINITIAL) changed."""
        if self.absent:
            who = "who" if self.entity is Entity.CLIENT else "that"
            return f"{self.entity}s {who} are held and not in this file"
        return f"{self.entity}s whose {listed(map(_called, self.pattern.split(' and ')))} changed"

    @property
    def title(self) -> str:
        """The same of several: All 34 clients whose surname initial (SINITIAL) changed."""
        return f"{'Both' if self.count == 2 else f'All {self.count:,}'} {self.records}"


def _groups(sent: Submission) -> list[_Group]:
    """The groups of a submission's decisions, in their order. The database counts: there may be very many."""
    below = {name: Sum(Cast(KT(f"also__{name}"), IntegerField())) for name in ("episodes", "referrals")}
    counted = sent.decisions.order_by(*_ORDER).values(*_ORDER, "choice").annotate(count=Count("pk"), **below)
    groups = []
    for (absent, entity, pattern), told in groupby(counted, itemgetter(*_ORDER)):
        by_choice = list(told)
        left = [some for some in by_choice if not some["choice"]]
        groups.append(
            _Group(
                Entity(entity),
                absent,
                pattern,
                count=sum(some["count"] for some in by_choice),
                left=sum(some["count"] for some in left),
                below={name: sum(some[name] or 0 for some in left or by_choice) for name in below},
            )
        )
    return groups


# ---- the page --------------------------------------------------------------------------------------


def _page_of_decisions(
    request: HttpRequest,
    sent: Submission,
    given: QueryDict,
    *,
    error: Mapping[str, str] | None = None,
    refused: str = "",
) -> HttpResponse:
    """The page that is asked for, with what was chosen on it; `refused` is the group that an error is about."""
    page, groups, query = _page(sent, given), _groups(sent), _query(given)
    shown = list(_told(sent, page, _chosen(request.POST)))
    every, left = sum(group.count for group in groups), sum(group.left for group in groups)
    chosen = query.get("group", "")
    counts = {"": every, "left": left, "decided": every - left}
    context = {
        "submission": sent,
        "page": page,
        "pagination": pages.pagination(page, query),
        "query": query,
        "shown": shown,
        "first_absent": next((one["id"] for one in shown if one["absent"]), None),
        "first_left": next((one["id"] for one in shown if not one["decided"]), None),
        "groups": [
            _for_many(group, error if group.name == refused else None)
            for group in groups
            if group.count > 1 and chosen in ("", group.name)
        ],
        "show": [
            {"value": value, "text": f"{told} ({counts[value]:,})", "selected": value == query.get("show", "")}
            for value, told in _SHOWN.items()
        ],
        "which": [{"value": "", "text": "All"}]
        + [
            {
                "value": group.name,
                "text": f"{group.records[0].upper()}{group.records[1:]} ({group.count:,})",
                "selected": group.name == chosen,
            }
            for group in groups
        ],
        "all": every,
        "left": left,
        "error": error,
    }
    return pages.render(request, "portal/decide.html", context, status=422 if error else 200)


def _for_many(group: _Group, error: Mapping[str, str] | None) -> dict[str, Any]:
    """How a choice for a whole group is shown."""
    every = "both" if group.count == 2 else f"all {group.count:,}"
    rest = "the one still to be decided" if group.left == 1 else f"the {group.left:,} still to be decided"
    some_are_decided = 0 < group.left < group.count
    if some_are_decided:
        hint = "What you have decided of the others stays"
    elif group.left:
        hint = "Where you choose otherwise for one of them below, that stays"
    else:
        hint = "Also of those you decided one by one"
    offered = dict(_words(group.entity, group.absent, group.below, several=group.left != 1))
    return {
        "group": group,
        "id": _id_of(group.name),
        "whom": rest if some_are_decided else every,
        "hint": hint,
        "items": _items(offered, ""),
        "error": {"text": error["text"]} if error else None,
    }


def _told(sent: Submission, page: Page[Decision], chosen: Mapping[int, str]) -> Iterator[dict[str, Any]]:
    """The decisions of a page: what is held and what is sent, and what each choice does."""
    changes: dict[int, list[dict[str, Any]]] = {}
    here = sent.decisions.filter(pk__in=[decision.pk for decision in page])
    # Without what was found it can still be decided.
    found = pl.DataFrame()
    with suppress(kept.NotKept):
        found = result.mismatches(sent, here)
    for line in found.iter_rows(named=True):
        rule = RULES[f"{line['header']}.is_unchanged"]
        noun = DATASET.by_header[line["header"]].noun
        changes.setdefault(line["decision"], []).append(
            {
                "label": noun[0].upper() + noun[1:],
                "called": _called(line["header"]),
                "header": line["header"],
                "row": line["row"],
                "held": words.value_shown(DATASET, rule, line["previous"]),
                "sent": words.value_shown(DATASET, rule, line["value"]),
                "stays": line["value"] is None,
            }
        )
    for decision in page:
        offered = dict(_words(Entity(decision.entity), decision.absent, decision.also))
        name = f"{decision.entity} {words.shown(decision.record)}"
        what = [f"{c['called']} changed from {c['held']} to {c['sent']}" for c in changes.get(decision.pk, [])]
        yield {
            "id": decision.pk,
            "title": name[0].upper() + name[1:],
            "about": ", ".join([name, *(["held and not in this file"] if decision.absent else what)]),
            "absent": decision.absent,
            "decided": decision.choice != "",
            "changes": changes.get(decision.pk, []),
            "items": _items(offered, chosen.get(decision.pk, decision.choice)),
        }


def _items(offered: Mapping[Choice, str], chosen: str) -> list[dict[str, Any]]:
    return [
        {"value": choice.value, "text": choice.label, "hint": {"text": told}, "checked": choice == chosen}
        for choice, told in offered.items()
    ]


def _id_of(group: str) -> str:
    """The HTML id of the choices for a whole group."""
    return "for-" + group.replace(" ", "-")


def _called(header: str) -> str:
    """A field as it is said of several records: surname initial (SINITIAL)."""
    known = DATASET.by_header.get(header)
    return f"{_OWN.get(header) or known.noun} ({header})" if known else header


def _words(
    entity: Entity, absent: bool, below: Mapping[str, int], *, several: bool = False
) -> Iterator[tuple[Choice, str]]:
    """What each choice does, for one record or for several, with what belongs to them."""
    with_it = listed(f"{n:,} {name.removesuffix('s') if n == 1 else name}" for name, n in below.items() if n)
    gone = f"{'they are' if several else 'it is'} removed" + (f", with {with_it}" if with_it else "")
    person = entity is Entity.CLIENT
    if absent:
        yield Choice.KEEP, "They stay held as they are" if several else "It stays held as it is"
        yield Choice.DELETE, gone[0].upper() + gone[1:]
    elif several:
        same, other = (
            ("the same people", "other people’s") if person else (f"the same {entity}s", f"of other {entity}s")
        )
        yield Choice.REPLACE, f"The held records take the new values: {same}, corrected"
        yield Choice.DELETE, f"The held records were {other}: {gone}, and the new ones are taken as new"
        yield Choice.LATER, "The held records stay and the new ones wait"
    else:
        same, other = ("same person", "somebody else’s") if person else (f"same {entity}", f"of another {entity}")
        yield Choice.REPLACE, f"The held record takes the new values: {same}, corrected"
        yield Choice.DELETE, f"The held record was {other}: {gone}, and the new one is taken as new"
        yield Choice.LATER, "The held record stays and the new one waits"


# ---- deciding by a file ----------------------------------------------------------------------------


@require_http_methods(["GET", "POST"])
@of_files
def decide_file(request: HttpRequest, pk: int) -> HttpResponseBase:
    """What is to be decided as a CSV file to be filled in, and taking it back."""
    sent = theirs(request, pk)
    if sent.state not in _DECIDABLE or not sent.decisions.exists():
        return redirect("submission", sent.pk)
    if request.method == "GET":
        try:
            file = decisionfile.written(sent)
        except kept.NotKept as problem:
            return _page_of_decisions(request, sent, request.GET, error={"text": str(problem)})
        audit.note("downloaded decisions", by=access.whoever(request), agency=sent.agency, about=sent.number)
        return HttpResponse(
            file,
            content_type="text/csv; charset=utf-8",
            headers={"Content-Disposition": f'attachment; filename="{sent.number}-decisions.csv"'},
        )
    upload: Any = request.FILES.get("file")
    error = "Choose a decision file"
    if upload:
        try:
            count, rejected = actions.decide_from(by=access.whoever(request), submission=sent, file=upload.file)
        except Refused as problem:
            error = str(problem)
        else:
            if rejected:
                lines = "1 line is of a rejected row" if rejected == 1 else f"{rejected:,} lines are of rejected rows"
                messages.warning(request, f"{lines}, for which nothing is decided: correct the file and send it again")
            return _decided(request, sent, count)
    return _page_of_decisions(request, sent, request.GET, error={"text": error, "href": "#file", "file": "yes"})


# ---- accepting -------------------------------------------------------------------------------------


@require_http_methods(["GET", "POST"])
@of_files
def accept(request: HttpRequest, pk: int) -> HttpResponseBase:
    """What accepting does, in counts, and the acceptance. Asked a second time it leads to the receipt."""
    sent, person = theirs(request, pk), access.whoever(request)
    if sent.state == State.ACCEPTED:
        return redirect("receipt", sent.pk)
    if sent.state not in _DECIDABLE:
        return redirect("submission", sent.pk)
    if request.method == "GET":
        return _summary(request, sent)
    try:
        done = actions.accept(by=person, submission=sent, forget=_number(request.POST.get("forget", "")))
    except actions.Miscounted as problem:
        return _summary(request, sent, error=str(problem))
    except Refused as problem:
        messages.error(request, str(problem))
        return redirect("submission", sent.pk)
    # Accepted by an earlier request, it was read again from the database, and so was whoever accepted it then.
    if done.accepted_by is person:
        transaction.on_commit(lambda: _mail(done, person), robust=True)
        messages.success(request, f"{done.number} is accepted")
    return redirect("receipt", sent.pk)


def _number(typed: str) -> int:
    """A number as people type it, also 1,200; nothing is none, and what is no number is none that there may be."""
    figures = "".join(typed.split()).replace(",", "")
    return int(figures) if figures.isdecimal() and len(figures) < 10 else -1 if figures else 0


def _summary(request: HttpRequest, sent: Submission, error: str = "") -> HttpResponse:
    planned = plan.foreseen(sent)
    foreseen = planned.receipt
    context = {
        "submission": sent,
        "heads": list(receipts.RECORDS.values()),
        "counted": receipts.counted(foreseen),
        "changes": any(receipts.total(foreseen, what) for what in receipts.CHANGES),
        "removed": receipts.total(foreseen, "removed"),
        "forgotten": [[words.shown(told or "–", 60) for told in client] for client in planned.known.rows()],
        "hours": settings.FORGET_HOURS,
        "kept_days": settings.KEEP_DAYS,
        "typed": request.POST.get("forget", ""),
        "error": error,
        "left_out": receipts.left_out(foreseen, contested.named(sent, foreseen["left_out"])),
        "missing": receipts.missing_columns(sent.summary.get("missing", ())),
        "kept": receipts.kept(foreseen),
        "kept_because": receipts.KEPT,
        "undecided": sent.decisions.filter(choice="").count(),
        "decisions": sent.decisions.count(),
    }
    return pages.render(request, "portal/accept.html", context, status=422 if error else 200)


def _mail(done: Submission, person: Person) -> None:
    send_mail(f"Receipt {done.number}", receipts.text(done), None, [person.email])


# ---- the receipt, and undoing ----------------------------------------------------------------------


@require_GET
def receipt(request: HttpRequest, pk: int) -> HttpResponseBase:
    """What was accepted, when, by whom, and what was left out and why."""
    sent = _accepted(request, pk)
    context = {
        "submission": sent,
        "about": receipts.about(sent),
        "heads": list(receipts.RECORDS.values()),
        "counted": receipts.counted(sent.receipt),
        "forgotten": receipts.forgotten(sent),
        "left_out": receipts.left_out(sent.receipt, contested.named(sent, sent.receipt.get("left_out", {}))),
        "missing": receipts.missing_columns(sent.summary.get("missing", ())),
        "kept": receipts.kept(sent.receipt),
        "kept_because": receipts.KEPT,
        "last": _last(sent.agency) == sent,
    }
    return pages.render(request, "portal/receipt.html", context)


@require_GET
def receipt_pdf(request: HttpRequest, pk: int) -> HttpResponseBase:
    """The receipt as a PDF."""
    sent = _accepted(request, pk)
    return HttpResponse(
        receipts.pdf(sent),
        content_type="application/pdf",
        headers={"Content-Disposition": f'attachment; filename="{sent.number}-receipt.pdf"'},
    )


@require_http_methods(["GET", "POST"])
def undo(request: HttpRequest, pk: int) -> HttpResponseBase:
    """Ask whether the last acceptance is to be undone, and undo it."""
    sent = _accepted(request, pk)
    if request.method == "GET":
        if _last(sent.agency) != sent:
            return redirect("receipt", sent.pk)
        context = {"submission": sent, "forgotten": receipts.forgotten(sent), "back": receipts.all_come_back(sent)}
        return pages.render(request, "portal/undo.html", context)
    try:
        with transaction.atomic():
            # Kept from being followed by another acceptance, which would then be the one undone.
            Agency.objects.select_for_update().get(pk=sent.agency_id)
            if _last(sent.agency) != sent:
                raise Refused(f"{sent.number} cannot be undone: only the last acceptance can")
            actions.undo(by=access.whoever(request), agency=sent.agency)
    except Refused as problem:
        messages.error(request, str(problem))
    else:
        messages.success(request, f"The acceptance of {sent.number} is undone")
    return redirect("receipt", sent.pk)


def _accepted(request: HttpRequest, pk: int) -> Submission:
    """A submission that was accepted, also where that was undone since."""
    sent = theirs(request, pk)
    if sent.state not in (State.ACCEPTED, State.UNDONE):
        raise Http404
    return sent


def _last(agency: Agency) -> Submission | None:
    """The last acceptance of an agency that is not undone."""
    return Submission.objects.filter(agency=agency, state=State.ACCEPTED).order_by("-accepted").first()
