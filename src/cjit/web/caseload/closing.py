"""Closing an episode, correcting its closure, and taking it back."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_http_methods

from cjit.web import pages
from cjit.web.agencies.access import whoever
from cjit.web.agencies.actions import Refused
from cjit.web.caseload import access, actions, questions
from cjit.web.caseload.forms import LAST_CONTACT, OTHER, ClosureForm
from cjit.web.caseload.local import destination, not_known
from cjit.web.caseload.models import Episode
from cjit.web.caseload.questions import Test, When
from cjit.web.caseload.record import DISENGAGED_MONTHS, FROM, PRIOR, day_of, label, months_after, plain, shown
from cjit.web.dataset import DATASET

_GET_OR_POST = require_http_methods(["GET", "HEAD", "POST"])
#: When what is asked beside date and reason applies, for the page and its script: what is told of a transfer too.
ASKED: Mapping[str, When] = {
    "DISD": When("if it was another day", (Test("when", among=(OTHER,)),)),
    "transfer": When("for a transfer", (Test("CJDISRSN", among=questions.TRANSFERS),)),
    "referral": When("for a transfer to treatment", (Test("CJDISRSN", among=questions.TRANSFERS[:1]),)),
} | {
    ClosureForm.asks_for(reason): When(
        f"for “{DATASET.lists['CJDISRSN'].labels[reason]}”", (Test("CJDISRSN", (reason,)),)
    )
    for reason in questions.DESTINATIONS
}
#: What is posted, as `do`, to close an episode without contact in one click.
DISENGAGED = "disengaged"


@_GET_OR_POST
def close(request: HttpRequest, pk: int) -> HttpResponse:
    """Close an episode. Of one that is closed: how it was, what is to be done or doubted, and a correction."""
    episode = access.episode(request, pk)
    asks: tuple[str, ...] = ()
    if request.method == "POST":
        lapsed = request.POST.get("do") == DISENGAGED and _lapses_with(episode)
        form = _form(episode, {"when": LAST_CONTACT, "CJDISRSN": lapsed} if lapsed else request.POST)
        saved = _close(request, episode, form)
        if saved is not None and saved.is_whole:
            messages.success(request, "The episode is closed" if episode.open else "The closure is as you corrected it")
            return redirect("episode-close", pk)
        asks = saved.asks if saved is not None else ()
    else:
        form = _form(episode)
    return pages.render(request, "caseload/close.html", _context(episode, form, asks))


def _form(episode: Episode, data: Any = None) -> ClosureForm:
    """The form of an episode's closure: as it is, or with what was typed."""
    closed = day_of(episode.values.get("DISD", ""))
    met = episode.face_to_face
    reason, where = _reason(episode), episode.local.get("destination", "")
    initial = {"DISD": closed, "CJDISRSN": reason, ClosureForm.asks_for(reason): where}
    if closed:
        initial["when"] = LAST_CONTACT if closed == met else OTHER
    custody = episode.custody is not None
    return ClosureForm(data, initial=initial, caseload=episode.started is not None, met=met, custody=custody)


def _close(request: HttpRequest, episode: Episode, form: ClosureForm) -> actions.Saved | None:
    """Close an episode by what a form says; None where it cannot be, which is then said at the fields."""
    if not form.is_valid():
        return None
    told = form.cleaned_data
    try:
        return actions.close_episode(
            by=whoever(request),
            episode=episode,
            typed={header: told.get(header, "") for header in questions.CLOSURE.headers},
            destination=told["destination"],
            why=actions.CORRECTION if request.POST.get("why") == actions.CORRECTION else "",
        )
    except actions.NotClosed as refused:
        at = {"destination": form.asks_for(told["CJDISRSN"])}
        if form.met and told["when"] == LAST_CONTACT:
            at["DISD"] = "when"
        for header, problem in refused.problems.items():
            form.add_error(at.get(header, header), problem)
    except Refused as refused:
        form.add_error(None, str(refused))
    return None


def _lapses_with(episode: Episode) -> str:
    """The reason with which an open episode is closed now, as nobody had contact for two months ("": it is not).

    Who is on the caseload dropped out; who never was did not want to engage. Who is in prison did neither.
    """
    if not episode.open or episode.custody or episode.face_to_face is None or episode.contact is None:
        return ""
    if months_after(episode.contact, DISENGAGED_MONTHS) > timezone.localdate():
        return ""
    reasons = questions.reasons(episode.started is not None)
    return next(reason for reason in questions.UNPLANNED if reason in reasons)


def _context(episode: Episode, form: ClosureForm, asks: tuple[str, ...]) -> dict[str, Any]:
    caseload = episode.started is not None
    rows = DATASET.lists["CJDISRSN"].rows
    lapsed = _lapses_with(episode)
    return {
        "episode": episode,
        "client": episode.client,
        "form": form,
        "caseload": caseload,
        "definitions": {row.code: row.definition for row in rows if row.group == (FROM if caseload else PRIOR)},
        "when": {name: (when.text, json.dumps(when.data())) for name, when in ASKED.items()},
        "referrals": episode.referrals.exists(),
        "lapsed": shown("CJDISRSN", lapsed, caseload=caseload) if lapsed else "",
        "not_known": not_known(episode),
        "disengaged": DISENGAGED,
        "correction": actions.CORRECTION,
        "asks": [
            (label(h), *(shown(h, plain(h, text), caseload=caseload) for text in (episode.values.get(h, ""), typed)))
            for h, typed in ((h, form.cleaned_data[h]) for h in asks)
        ],
        "reason": shown("CJDISRSN", _reason(episode), caseload=caseload),
        "destination": destination(episode.local.get("destination", "")),
        "doubts": list(doubts(episode)),
    }


def _reason(episode: Episode) -> str:
    """The code of the case closure reason, however it is written."""
    return str(episode.values.get("CJDISRSN", "")).strip().lstrip("0")


def doubts(episode: Episode) -> Iterator[str]:
    """What to look at again in a closure, by the contacts that are recorded here. It is never refused for that."""
    closed, met, last = episode.closed, episode.face_to_face, episode.contact
    if closed is None:
        return
    if _reason(episode) in questions.UNPLANNED:
        if met is not None and met != closed:
            yield (
                "An unplanned closure has the date of the last contact face to face, which is "
                f"{pages.day(met)}: check the case closure date, or the contacts"
            )
    elif last is not None and last > closed:
        yield f"The last contact, of {pages.day(last)}, is after the case closure date: check either of them"


@_GET_OR_POST
def take_back(request: HttpRequest, pk: int) -> HttpResponse:
    """Whether a closure was a mistake and is to be taken back; and taking it back."""
    episode = access.episode(request, pk)
    if episode.open:
        return redirect("episode", pk)
    if request.method == "POST":
        try:
            actions.take_back_closure(by=whoever(request), episode=episode)
        except Refused as refused:
            messages.error(request, str(refused))
            return redirect("episode-close", pk)
        messages.success(request, "The closure is taken back: the episode is open")
        return redirect("episode", pk)
    told = {
        "title": "Take this closure back?",
        "text": "Only if the episode was closed by mistake: it is open again, without date, reason and destination."
        " Somebody who left and presents again gets a new episode instead.",
        "do": "Take this closure back",
        "back": reverse("episode-close", args=[pk]),
    }
    return pages.render(request, "caseload/sure.html", {"client": episode.client, **told})
