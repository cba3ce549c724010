"""What stays here: contacts, interventions, notes and answers on consent; the history; and the page for the client."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from django.contrib import messages
from django.core.paginator import Page, Paginator
from django.db.models import Model, QuerySet
from django.forms import Form
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_safe

from cjit.dataset import Kind
from cjit.web import pages
from cjit.web.agencies.access import whoever
from cjit.web.agencies.actions import Refused
from cjit.web.caseload import access, actions
from cjit.web.caseload.forms import SUPPORT, ConsentForm, ContactForm, InterventionForm, NoteForm
from cjit.web.caseload.models import Change, Client, Episode, Practice
from cjit.web.caseload.questions import CLIENT_DETAILS, CLOSURE, GROUPS, Group
from cjit.web.caseload.record import NO, YES, day_of, label, met, shown
from cjit.web.dataset import DATASET

_GET_OR_POST = require_http_methods(["GET", "HEAD", "POST"])
#: How many a page has.
_ENTRIES = 50

_M = TypeVar("_M", bound=Model)


def _page(request: HttpRequest, entries: QuerySet[_M]) -> Page[_M]:
    return Paginator(entries, _ENTRIES).get_page(request.GET.get("page"))


def _recorded(form: Form, at: str | None, record: Callable[[], object]) -> bool:
    """Record what a form has, if nothing is wrong with it; what stands against it is told at a field. Whether it is."""
    if not form.is_valid():
        return False
    try:
        record()
    except Refused as refused:
        form.add_error(at, str(refused))
        return False
    return True


# ---- of an episode ---------------------------------------------------------------------------------

#: What is posted, as `do`, to say that there was no contact after those that the file tells, and to take that back.
NO_CONTACT, TAKE_BACK = "no-contact", "take-back"


def not_known(episode: Episode) -> str:
    """What is not known of the contacts of an open episode that was imported, and what to do ("": nothing)."""
    if not episode.open or episode.imported is None or episode.face_to_face:
        return ""
    what = "contact face to face" if episode.contact else "contact"
    return f"No {what} is recorded here since the import of {pages.day(episode.imported)}: record the last one"


@_GET_OR_POST
def contacts(request: HttpRequest, pk: int) -> HttpResponse:
    """The contacts of an episode, and a form for another."""
    episode = access.episode(request, pk)
    by, do = whoever(request), request.POST.get("do")
    if do in (NO_CONTACT, TAKE_BACK):
        try:
            actions.say_no_contact(by=by, episode=episode, none=do == NO_CONTACT)
        except Refused as refused:
            messages.error(request, str(refused))
        return redirect("contacts", pk)
    form = ContactForm(request.POST or None)
    if _recorded(form, "on", lambda: actions.add_contact(by=by, episode=episode, **form.cleaned_data)):
        messages.success(request, "The contact is recorded")
        return redirect("contacts", pk)
    page = _page(request, episode.contacts.select_related("by"))
    context = {
        "episode": episode,
        "client": episode.client,
        "form": form,
        "page": page,
        "not_known": not_known(episode),
        "met": met(episode),
        "no_contact": NO_CONTACT,
        "take_back": TAKE_BACK,
    }
    return pages.render(request, "caseload/contacts.html", context)


@_GET_OR_POST
def remove_contact(request: HttpRequest, pk: int) -> HttpResponse:
    """Whether a contact is to be removed; and removing it."""
    contact = access.contact(request, pk)
    return _remove(
        request,
        contact.episode,
        lambda: actions.remove_contact(by=whoever(request), contact=contact),
        what="this contact",
        text=f"{pages.day(contact.on)}, {contact.get_kind_display()}: remove it only if it was recorded by mistake.",
        then="contacts",
    )


@_GET_OR_POST
def interventions(request: HttpRequest, pk: int) -> HttpResponse:
    """The assessments of interventions of an episode, when the next is due, and a form for it."""
    episode = access.episode(request, pk)
    left = episode.started is not None and not episode.open and episode.review is not None
    form = InterventionForm(request.POST or None, initial={"leaving": left})
    by = whoever(request)
    if _recorded(form, "on", lambda: actions.add_intervention(by=by, episode=episode, **form.cleaned_data)):
        messages.success(request, "The assessment is recorded")
        return redirect("interventions", pk)
    page = _page(request, episode.interventions.select_related("by"))
    context = {
        "episode": episode,
        "client": episode.client,
        "form": form,
        "page": page,
        "support": SUPPORT,
        "today": timezone.localdate(),
    }
    return pages.render(request, "caseload/interventions.html", context)


@_GET_OR_POST
def remove_intervention(request: HttpRequest, pk: int) -> HttpResponse:
    """Whether an assessment of interventions is to be removed; and removing it."""
    intervention = access.intervention(request, pk)
    return _remove(
        request,
        intervention.episode,
        lambda: actions.remove_intervention(by=whoever(request), intervention=intervention),
        what="this assessment",
        text=f"{pages.day(intervention.on)}: remove it only if it was recorded by mistake.",
        then="interventions",
    )


def _remove(
    request: HttpRequest, episode: Episode, remove: Callable[[], None], *, what: str, text: str, then: str
) -> HttpResponse:
    """Ask whether to remove something of an episode, and remove it."""
    if request.method == "POST":
        try:
            remove()
        except Refused as refused:
            messages.error(request, str(refused))
        else:
            messages.success(request, f"You removed {what}")
        return redirect(then, episode.pk)
    told = {"title": f"Remove {what}?", "text": text, "do": f"Remove {what}", "back": reverse(then, args=[episode.pk])}
    return pages.render(request, "caseload/sure.html", {"client": episode.client, **told})


# ---- of a client -----------------------------------------------------------------------------------


@_GET_OR_POST
def notes(request: HttpRequest, pk: int) -> HttpResponse:
    """The notes on a client, and a form for another."""
    client = access.client(request, pk)
    form = NoteForm(request.POST or None)
    if _recorded(form, None, lambda: actions.add_note(by=whoever(request), client=client, **form.cleaned_data)):
        messages.success(request, "The note is added")
        return redirect("client-notes", pk)
    page = _page(request, client.notes.select_related("by"))
    return pages.render(request, "caseload/notes.html", {"client": client, "form": form, "page": page})


@_GET_OR_POST
def consent(request: HttpRequest, pk: int) -> HttpResponse:
    """A client's answers on consent with their evidence, and a form for a new one."""
    client = access.client(request, pk)
    practice = Practice.objects.filter(agency=client.agency).first()
    form = ConsentForm(request.POST or None, initial={"wording": practice.consent_wording if practice else ""})
    by = whoever(request)
    if _recorded(form, "on", lambda: actions.record_consent(by=by, client=client, **form.cleaned_data)):
        messages.success(request, "The answer is recorded")
        return redirect("client-consent", pk)
    page = _page(request, client.consents.select_related("by"))
    context = {"client": client, "form": form, "page": page, "yes": YES, "no": NO}
    return pages.render(request, "caseload/consent.html", context)


# ---- the history -----------------------------------------------------------------------------------


@require_safe
def history(request: HttpRequest, pk: int) -> HttpResponse:
    """Who changed what of a client, and when."""
    client = access.client(request, pk)
    page = _page(request, client.changes.select_related("episode"))
    changes = [(change, list(_changed(change))) for change in page]
    return pages.render(request, "caseload/history.html", {"client": client, "page": page, "changes": changes})


def _changed(change: Change) -> Iterator[tuple[str, str, str]]:
    """What a change was of: of each field what it is called, and what stood there before and after."""
    caseload = change.episode is not None and change.episode.started is not None
    for header, (before, after) in change.fields.items():
        yield label(header), _read(header, before, caseload), _read(header, after, caseload)


def _read(header: str, text: str, caseload: bool) -> str:
    """A text of the history as people read it. Those of what stays here are no fields of the dataset."""
    match header:
        case "interventions":
            return ", ".join(SUPPORT.get(each, each) for each in text.split())
        case "destination":
            return destination(text)
        case "contact":
            return text
        case _:
            return _plainly(header, text, caseload)


def _plainly(header: str, text: str, caseload: bool) -> str:
    """A field's text in words, a day as it is said."""
    field = DATASET.by_header.get(header)
    on = day_of(text) if field and field.kind is Kind.DATE else None
    return pages.day(on) if on else shown(header, text, caseload=caseload)


def destination(text: str) -> str:
    """The prison or the area a client was transferred to, as people read it."""
    return shown("PRISON", text)


# ---- for the client --------------------------------------------------------------------------------


@require_safe
def summary(request: HttpRequest, pk: int) -> HttpResponse:
    """One sheet for the client: what is recorded of them, who sees it, and whom to ask for a correction."""
    client = access.client(request, pk)
    episodes = list(client.episodes.prefetch_related("referrals"))
    newest = episodes[0] if episodes else None
    told = (CLIENT_DETAILS, *GROUPS, CLOSURE)
    left, right = (
        [(group.plain, _told(client, newest, group)) for group in told if group.half == half]
        for half in ("left", "right")
    )
    other = {
        "Referred to treatment": [each.dated for each in newest.referrals.all()] if newest else [],
        "Also with us from": [each.triaged for each in episodes[1:]],
    }
    days = {name: ", ".join(pages.day(each) for each in dates if each) for name, dates in other.items()}
    right.append(("Other dates", [(name, said) for name, said in days.items() if said]))
    context: dict[str, Any] = {
        "client": client,
        "episode": newest,
        "halves": [[(title, answers) for title, answers in half if answers] for half in (left, right)],
        "answer": client.consents.first(),
        "today": timezone.localdate(),
    }
    return pages.render(request, "caseload/summary.html", context)


def _told(client: Client, episode: Episode | None, group: Group) -> list[tuple[str, str]]:
    """What the newest episode has of a group of questions: in plain words, and only what has an answer."""
    values = client.values | (episode.values if episode else {})
    caseload = episode is not None and episode.started is not None
    lines: list[tuple[str, list[str]]] = []
    for header in group.headers:
        field = DATASET.by_header[header]
        if plain := field.label if field.plain is None else field.plain:
            lines.append((plain, []))
        if text := values.get(header, "").strip():
            lines[-1][1].append(_plainly(header, text, caseload))
    return [(name, ", ".join(answers)) for name, answers in lines if answers]
