"""The provider's pages after the check: deciding mismatches and absent records, accepting, the receipt, undoing."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import polars as pl
from django.contrib import messages
from django.core.mail import send_mail
from django.core.paginator import Page, Paginator
from django.db import transaction
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase, QueryDict
from django.shortcuts import redirect
from django.urls import reverse
from django.views.decorators.http import require_GET, require_http_methods

from cjit import report
from cjit.dataset import Entity
from cjit.datasets.q import Q as DATASET
from cjit.report.spreadsheet import neutral
from cjit.web import pages
from cjit.web.agencies import access, audit
from cjit.web.agencies.models import Agency, Person
from cjit.web.portal import actions, result
from cjit.web.portal import receipt as receipts
from cjit.web.portal.models import Choice, Decision, State, Submission
from cjit.web.portal.rulebook import RULES
from cjit.web.portal.views import theirs

#: How many decisions are shown on one page.
_DECISIONS = 50
#: States in which something can be decided and accepted.
_DECIDABLE = (State.DECISIONS, State.READY)


# ---- deciding --------------------------------------------------------------------------------------


@require_http_methods(["GET", "POST"])
def decide(request: HttpRequest, pk: int) -> HttpResponseBase:
    """Each mismatch side by side with what is held, and each absent record; what is chosen is saved page by page."""
    sent = theirs(request, pk)
    if sent.state not in _DECIDABLE or not sent.decisions.exists():
        return redirect("submission", sent.pk)
    if request.method == "GET":
        return _page_of_decisions(request, sent, request.GET.get("page"))
    choices = _chosen(request.POST)
    pattern = request.POST.get("all")
    if pattern is not None:
        choice = request.POST.get(f"all {pattern}", "")
        if not choice:
            error = {"text": "Select what becomes of all of these records", "href": "#" + _id_of(pattern)}
            return _page_of_decisions(request, sent, request.POST.get("page"), error=error, pattern=pattern)
        some = sent.decisions.filter(pattern=pattern).values_list("pk", flat=True)
        choices |= dict.fromkeys(some, choice)
    try:
        count = actions.decide(by=access.whoever(request), submission=sent, choices=choices)
    except actions.Refused as problem:
        return _page_of_decisions(request, sent, request.POST.get("page"), error={"text": str(problem)})
    return _decided(request, sent, count)


def _chosen(given: QueryDict) -> dict[int, str]:
    """What was chosen on a page, by the ids of the decisions."""
    named = ((name.removeprefix("choice "), choice) for name, choice in given.items() if name.startswith("choice "))
    return {int(pk): str(choice) for pk, choice in named if pk.isdecimal() and len(pk) < 19 and choice}


def _decided(request: HttpRequest, sent: Submission, count: int) -> HttpResponse:
    """Where to go once decisions are saved: on among the pages, or, when all are decided, to the acceptance."""
    left = sent.decisions.filter(choice="").count()
    saved = f"{count:,} {'decision is' if count == 1 else 'decisions are'} saved"
    messages.success(request, f"{saved}; {left:,} left" if left else f"{saved}; all are decided")
    number = _number(request.POST.get("page"))
    step = {"next": 1, "previous": -1}.get(request.POST.get("to", ""), 0)
    if not left and not step:
        return redirect("accept", sent.pk)
    return redirect(f"{reverse('decide', args=[sent.pk])}?page={max(number + step, 1)}")


def _number(text: str | None) -> int:
    return int(text) if text and text.isdecimal() and len(text) < 9 else 1


def _page_of_decisions(
    request: HttpRequest,
    sent: Submission,
    number: str | None,
    *,
    error: Mapping[str, str] | None = None,
    pattern: str = "",
) -> HttpResponse:
    decisions = sent.decisions.order_by("absent", "pattern", "id")
    page = Paginator(decisions, _DECISIONS).get_page(number)
    everything = list(decisions.values_list("pattern", "absent", "entity", "also", "choice"))
    # What was chosen on a page that is shown again with an error is kept on it.
    chosen = _chosen(request.POST)
    context = {
        "submission": sent,
        "page": page,
        "shown": list(_told(sent, page, chosen)),
        "groups": list(_groups(everything, pattern, error)),
        "all": len(everything),
        "left": sum(not choice for *_, choice in everything),
        "first_absent": next((d.pk for d in page if d.absent), None),
        "error": error,
    }
    return pages.render(request, "portal/decide.html", context, status=422 if error else 200)


def _told(sent: Submission, page: Page[Decision], chosen: Mapping[int, str]) -> Iterator[dict[str, Any]]:
    """The decisions of a page: what is held and what is sent, and what each choice does."""
    shown = [decision.pk for decision in page]
    changes: dict[int, list[dict[str, str]]] = {}
    found = result.mismatches(sent).filter(pl.col("decision").is_in(shown))
    for line in found.iter_rows(named=True):
        field, rule = DATASET.by_header[line["header"]], RULES[f"{line['header']}.is_unchanged"]
        changes.setdefault(line["decision"], []).append(
            {
                "label": field.noun[0].upper() + field.noun[1:],
                "header": field.header,
                "row": line["row"],
                "held": report.value_shown(DATASET, rule, line["previous"]),
                "sent": report.value_shown(DATASET, rule, line["value"]),
            }
        )
    for decision in page:
        choice = chosen.get(decision.pk, decision.choice)
        told = dict(_words(Entity(decision.entity), decision.absent, [decision.also]))
        yield {
            "id": decision.pk,
            "title": f"{decision.get_entity_display().capitalize()} {report.shown(decision.record)}",
            "absent": decision.absent,
            "changes": changes.get(decision.pk, []),
            "items": _items(told, choice),
        }


def _items(words: Mapping[Choice, str], chosen: str) -> list[dict[str, Any]]:
    return [
        {"value": choice.value, "text": choice.label, "hint": {"text": told}, "checked": choice == chosen}
        for choice, told in words.items()
    ]


def _groups(
    everything: Iterable[tuple[str, bool, str, Mapping[str, int], str]], refused: str, error: Mapping[str, str] | None
) -> Iterator[dict[str, Any]]:
    """Decisions of one pattern, to be decided together: those that are several."""
    groups: dict[tuple[bool, str], list[tuple[str, Mapping[str, int], str]]] = {}
    for pattern, absent, entity, also, choice in everything:
        groups.setdefault((absent, pattern), []).append((entity, also, choice))
    for (absent, pattern), members in groups.items():
        if len(members) == 1:
            continue
        kinds = Counter(entity for entity, *_ in members)
        words = dict(_words(Entity(next(iter(kinds))), absent, [also for _, also, _ in members]))
        choices = {choice for *_, choice in members}
        yield {
            "pattern": pattern,
            "id": _id_of(pattern),
            "title": "Held, and not in this file" if absent else f"{_nouns(pattern)} changed",
            "what": _counted({f"{kind}s": n for kind, n in kinds.items()}),
            "count": len(members),
            "left": sum(not choice for *_, choice in members),
            "items": _items(words, choices.pop() if len(choices) == 1 else ""),
            "errorMessage": {"text": error["text"]} if error and pattern == refused else None,
        }


def _id_of(pattern: str) -> str:
    """The HTML id of the choices for a whole pattern."""
    return "all-" + pattern.replace(" ", "-")


def _nouns(pattern: str) -> str:
    """A pattern such as `SINITIAL and DOB` in words."""
    fields = [DATASET.by_header.get(header) for header in pattern.split(" and ")]
    told = " and ".join(f"{field.noun} ({field.header})" for field in fields if field) if all(fields) else pattern
    return told[0].upper() + told[1:]


def _words(entity: Entity, absent: bool, also: Iterable[Mapping[str, int]]) -> Iterator[tuple[Choice, str]]:
    """What each choice does, for one record or for several with what belongs to them."""
    many = list(also)
    below = Counter[str]()
    for counts in many:
        below.update(counts)
    several = len(many) > 1
    with_it = _counted(below)
    gone = f"{'They are' if several else 'It is'} removed" + (f", with {with_it}" if with_it else "")
    person = entity is Entity.CLIENT
    if absent:
        yield Choice.KEEP, "They stay held as they are" if several else "It stays held as it is"
        yield Choice.DELETE, gone
        return
    gone = gone[0].lower() + gone[1:]
    if several:
        same, other = (
            ("the same people", "other people’s") if person else (f"the same {entity}s", f"of other {entity}s")
        )
        yield Choice.REPLACE, f"The held records take the new values: {same}, corrected"
        yield Choice.DELETE, f"The held records were {other}: {gone}, and the new ones are taken as new"
        yield Choice.LATER, "The held records stay and these wait"
        return
    same, other = ("same person", "somebody else’s") if person else (f"same {entity}", f"of another {entity}")
    yield Choice.REPLACE, f"The held record takes the new values: {same}, corrected"
    yield Choice.DELETE, f"The held record was {other}: {gone}, and the new one is taken as new"
    yield Choice.LATER, "The held record stays and this one waits"


def _counted(counts: Mapping[str, int]) -> str:
    """Counts such as {"episodes": 2, "referrals": 1} in words: 2 episodes and 1 referral."""
    told = [f"{n:,} {name.removesuffix('s') if n == 1 else name}" for name, n in counts.items() if n]
    return " and ".join([", ".join(told[:-1]), told[-1]] if len(told) > 1 else told)


# ---- deciding by a file ----------------------------------------------------------------------------


@require_http_methods(["GET", "POST"])
def decide_file(request: HttpRequest, pk: int) -> HttpResponseBase:
    """What is to be decided as a CSV file to be filled in, and taking it back."""
    sent = theirs(request, pk)
    if sent.state not in _DECIDABLE or not sent.decisions.exists():
        return redirect("submission", sent.pk)
    if request.method == "GET":
        audit.note("downloaded decisions", by=access.whoever(request), agency=sent.agency, about=sent.number)
        return HttpResponse(
            _template(sent),
            content_type="text/csv; charset=utf-8",
            headers={"Content-Disposition": f'attachment; filename="{sent.number}-decisions.csv"'},
        )
    file: Any = request.FILES.get("file")
    error = "Choose a decision file"
    if file:
        try:
            count = actions.decide_from(by=access.whoever(request), submission=sent, file=file.file)
        except actions.Refused as problem:
            error = str(problem)
        else:
            return _decided(request, sent, count)
    return _page_of_decisions(request, sent, None, error={"text": error, "href": "#file", "file": "yes"})


def _template(sent: Submission) -> str:
    """A line for each field that mismatches and each absent client and episode, with what was chosen so far."""
    client, episode = (DATASET.entity(entity)[0].header for entity in (Entity.CLIENT, Entity.EPISODE))
    changes: dict[int, list[dict[str, str]]] = {}
    for line in result.mismatches(sent).iter_rows(named=True):
        changes.setdefault(line["decision"], []).append(line)
    out = io.StringIO()
    # What Excel takes for UTF-8.
    out.write("\ufeff")
    writer = csv.writer(out)
    writer.writerow([client, episode, "header", "held", "sent", "decision"])
    for decision in sent.decisions.order_by("absent", "pattern", "id"):
        of_client = decision.entity == Entity.CLIENT
        absent = {"header": client if of_client else episode, "previous": "", "value": "(not in the file)"}
        if decision.absent and decision.entity == Entity.REFERRAL:
            # A line of such a file names a client or an episode.
            continue
        for line in [absent] if decision.absent else changes.get(decision.pk, []):
            cells = [
                decision.record if of_client else "",
                "" if of_client else decision.record,
                line["header"],
                line["previous"] or "",
                line["value"] or "",
                decision.choice,
            ]
            writer.writerow(map(neutral, cells))
    return out.getvalue()


# ---- accepting -------------------------------------------------------------------------------------


@require_http_methods(["GET", "POST"])
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
        done = actions.accept(by=person, submission=sent)
    except actions.Refused as problem:
        messages.error(request, str(problem))
        return redirect("submission", sent.pk)
    # Accepted by an earlier request, it was read again from the database, and so was whoever accepted it then.
    if done.accepted_by is person:
        transaction.on_commit(lambda: _mail(done, person), robust=True)
        messages.success(request, f"{done.number} is accepted")
    return redirect("receipt", sent.pk)


def _summary(request: HttpRequest, sent: Submission) -> HttpResponse:
    try:
        foreseen = _foreseen(access.whoever(request), sent)
    except actions.Refused as problem:
        messages.error(request, str(problem))
        return redirect("submission", sent.pk)
    context = {
        "submission": sent,
        "heads": list(receipts.COUNTS.values()),
        "counted": receipts.counted(foreseen),
        "changes": any(receipts.total(foreseen, what) for what in receipts.COUNTS),
        "removed": receipts.total(foreseen, "removed"),
        "forgotten": foreseen["client"]["forgotten"],
        "left_out": receipts.left_out(foreseen),
        "undecided": sent.decisions.filter(choice="").count(),
        "decisions": sent.decisions.count(),
    }
    return pages.render(request, "portal/accept.html", context)


def _foreseen(person: Person, sent: Submission) -> receipts.Receipt:
    """What accepting would do, exactly: it is done, and taken back before anybody sees it."""
    with transaction.atomic():
        done = actions.accept(by=person, submission=sent)
        transaction.set_rollback(True)
    told: receipts.Receipt = done.receipt
    return told


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
        "heads": list(receipts.COUNTS.values()),
        "counted": receipts.counted(sent.receipt),
        "left_out": receipts.left_out(sent.receipt),
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
        forgotten = sent.receipt.get("client", {}).get("forgotten", 0)
        return pages.render(request, "portal/undo.html", {"submission": sent, "forgotten": forgotten})
    try:
        with transaction.atomic():
            # Kept from being followed by another acceptance, which would then be the one undone.
            Agency.objects.select_for_update().get(pk=sent.agency_id)
            if _last(sent.agency) != sent:
                raise actions.Refused(f"{sent.number} cannot be undone: only the last acceptance can")
            actions.undo(by=access.whoever(request), agency=sent.agency)
    except actions.Refused as problem:
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
