"""The pages of entry: a client begun, the client's page, the questions group by group, referrals, and what is removed.

A page of questions is saved by its form, and while somebody types by the script (which asks for JSON). What it showed
of each question goes along as `was`, so that two people can have one client open (`actions.save`).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from zlib import crc32

from django.contrib import messages
from django.core.exceptions import BadRequest, ObjectDoesNotExist
from django.db.models import Prefetch
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.timezone import localtime
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from cjit.web import pages
from cjit.web.agencies.access import whoever, works_at
from cjit.web.agencies.actions import Refused
from cjit.web.agencies.models import Agency
from cjit.web.caseload import access, actions, asking, questions
from cjit.web.caseload.actions import Saved
from cjit.web.caseload.local import not_known
from cjit.web.caseload.models import Client, Episode, Record, Referral
from cjit.web.caseload.questions import CLIENT_DETAILS, GROUPS, REFERRAL, Group
from cjit.web.caseload.record import Told, about_place, identify, label, left_behind, places, plain, told_once

_GET_OR_POST = require_http_methods(["GET", "HEAD", "POST"])
#: What is asked to begin a client; the rest of the client details follows.
BEGIN = Group("new", "New client", ("FINITIAL", "SINITIAL", "DOB", "SEX"), CLIENT_DETAILS.about)
#: How it is said which is right, a DAT that is left from before a new postcode or that of the postcode.
FOLLOWS, STAYS = "follows", "stays"
#: How many clients with the same initials and birth date are shown before another one is begun.
ALIKE = 20

# ---- beginning a client ----------------------------------------------------------------------------


@_GET_OR_POST
def new_client(request: HttpRequest) -> HttpResponse:
    """Beginning a client. Those with the same initials and birth date are shown first: nobody is begun twice."""
    theirs = list(works_at(whoever(request)).order_by("code"))
    agency = access.agency(request)
    typed = asking.read(request.POST, dict.fromkeys(BEGIN.headers, ""))
    problems: list[dict[str, str]] = []
    alike: Sequence[Client] = ()
    if request.method == "POST":
        if len(theirs) > 1 and not request.POST.get("agency"):
            problems.append({"text": "Select the agency the client is of", "href": "#agency"})
        if not any(typed.values()):
            problems.append({"text": "Enter what you know of the client", "href": "#FINITIAL"})
        if not problems and "anyway" not in request.POST:
            alike = _alike(Client(agency=agency, values={h: plain(h, text) for h, text in typed.items()}))
        if not problems and not alike:
            try:
                episode = actions.begin_client(by=whoever(request), agency=agency, typed=typed)
            except Refused as slip:
                problems.append({"text": str(slip)})
            else:
                return redirect("client", pk=episode.client_id)
    context = {
        "group": BEGIN,
        "questions": [asking.ask(header, typed) for header in BEGIN.headers],
        "agencies": theirs if len(theirs) > 1 else [],
        "chosen": request.POST.get("agency"),
        "alike": alike,
        "posted": {name: text for header, each in typed.items() for name, text in asking.boxes(header, each).items()},
        "problems": problems,
    }
    return pages.render(request, "caseload/client_new.html", context)


def _alike(client: Client) -> Sequence[Client]:
    """Clients of the agency with the same initials and birth date, where both are known."""
    identify(client)
    if len(client.initials) < 2 or client.born is None:
        return ()
    same = Client.objects.filter(agency=client.agency, initials=client.initials, born=client.born)
    return list(same.prefetch_related("episodes").order_by("-pk")[:ALIKE])


# ---- a client's page -------------------------------------------------------------------------------


@require_safe
def client(request: HttpRequest, pk: int) -> HttpResponse:
    """A client's page, with the newest episode."""
    return _case(request, access.client(request, pk), None)


@require_safe
def episode(request: HttpRequest, pk: int) -> HttpResponse:
    """A client's page, with one of the episodes."""
    found = access.episode(request, pk)
    return _case(request, found.client, found)


def _case(request: HttpRequest, client: Client, wanted: Episode | None) -> HttpResponse:
    episodes = list(client.episodes.prefetch_related(Prefetch("referrals", Referral.objects.all())))
    shown = next((each for each in episodes if wanted and each.pk == wanted.pk), episodes[0] if episodes else None)
    context = {
        "client": client,
        "episode": shown,
        "newest": bool(episodes) and shown is episodes[0],
        "same": _same_reference(client),
        "not_known": not_known(shown) if shown else "",
        "others": [each for each in episodes if each is not shown],
        "none_open": not any(each.open for each in episodes),
        "tasks": _tasks(client, shown) if shown else [],
        "referrals": list(shown.referrals.all()) if shown else [],
        "doubtful": {each.referral for each in told_once(shown) if not each.is_missing} if shown else set(),
    }
    return pages.render(request, "caseload/client.html", context)


def _same_reference(client: Client) -> Client | None:
    """Another client of the agency with the reference, which is a client's own (CLIENT)."""
    if not client.reference:
        return None
    others = Client.objects.filter(agency=client.agency, reference=client.reference).exclude(pk=client.pk)
    return others.order_by("pk").first()


def _tasks(client: Client, episode: Episode) -> list[dict[str, Any]]:
    """What there is to do of an episode, each with its state in words, as govukTaskList takes it."""
    found = told_once(episode)
    at = {"pk": episode.pk}

    def task(title: str, href: str, state: str, done: bool = True) -> dict[str, Any]:
        status = {"text": state} if done else {"tag": {"text": state, "classes": _colour(state)}}
        return {"title": {"text": title}, "status": status, **({"href": href} if href else {})}

    def group(group: Group, values: Mapping[str, str], href: str) -> dict[str, Any]:
        moved = "DAT" in group.headers and bool(left_behind(episode))
        state = _state(group, values, found, moved)
        return task(group.title, href, state, done=state == "Completed")

    listed = [group(CLIENT_DETAILS, client.values, reverse("client-details", kwargs={"pk": client.pk}))]
    for each in GROUPS:
        href = reverse("questions", kwargs=at | {"group": each.name})
        listed.append(group(each, episode.values, href))
    referrals = len(episode.referrals.all())
    doubts = sum(each.header in REFERRAL.headers for each in found)
    listed.append(
        task(
            "Referrals to structured treatment",
            reverse("referral-new", kwargs=at) if not referrals else "#referrals",
            f"{doubts} to check" if doubts else f"{referrals} recorded" if referrals else "None recorded",
            done=not doubts,
        )
    )
    contact = f"Last on {pages.day(episode.contact)}" if episode.contact else "None recorded"
    listed.append(task("Contacts", reverse("contacts", kwargs=at), contact))
    if episode.started is None:
        listed.append(task("Interventions", "", "Cannot start yet"))
    else:
        due = f"Due on {pages.day(episode.review)}" if episode.review else "Completed"
        listed.append(task("Interventions", reverse("interventions", kwargs=at), due))
    state = _state(questions.CLOSURE, episode.values, found)
    closed = f"Closed on {pages.day(episode.closed)}" if episode.closed else "Closed"
    done = episode.open or not state.endswith("to check")
    closing = ("Not closed" if episode.open else closed) if done else state
    listed.append(task(questions.CLOSURE.title, reverse("episode-close", kwargs=at), closing, done=done))
    return listed


def _state(group: Group, values: Mapping[str, str], found: Iterable[Told], moved: bool = False) -> str:
    """How far a group is, in words; `moved` says that the DAT is to be looked at again."""
    if doubts := moved + len({each.rule.id for each in found if each.header in group.headers and not each.is_missing}):
        return f"{doubts} to check"
    if missing := len(questions.unanswered(group, values)):
        return f"{missing} to answer"
    return "Completed"


def _colour(state: str) -> str:
    return "govuk-tag--yellow" if state.endswith("check") else "govuk-tag--blue"


# ---- the questions ---------------------------------------------------------------------------------


@_GET_OR_POST
def details(request: HttpRequest, pk: int) -> HttpResponse:
    """The client details."""
    client = access.client(request, pk)
    newest = client.episodes.first()
    here = reverse("client", kwargs={"pk": pk})
    return _asked(request, client, CLIENT_DETAILS, back=here, then=_next(newest, GROUPS) if newest else here)


@_GET_OR_POST
def questions_page(request: HttpRequest, pk: int, group: str) -> HttpResponse:
    """A group of an episode's questions."""
    episode = access.episode(request, pk)
    each = questions.group(group)
    if each is None:
        raise Http404
    back = reverse("episode", kwargs={"pk": pk})
    return _asked(request, episode, each, back=back, then=_next(episode, GROUPS[GROUPS.index(each) + 1 :]))


def _next(episode: Episode, following: Iterable[Group]) -> str:
    """Where to go on: the next group with something to answer. Who corrects what is complete is back at the client."""
    at = {"pk": episode.pk}
    for group in following:
        if questions.unanswered(group, episode.values):
            return reverse("questions", kwargs=at | {"group": group.name})
    return reverse("episode", kwargs=at)


@_GET_OR_POST
def referral(request: HttpRequest, pk: int) -> HttpResponse:
    """A referral to structured treatment."""
    found = access.referral(request, pk)
    back = reverse("episode", kwargs={"pk": found.episode_id})
    return _asked(request, found, REFERRAL, back=back, then=back)


@_GET_OR_POST
def new_referral(request: HttpRequest, pk: int) -> HttpResponse:
    """A new referral to structured treatment."""
    episode = access.episode(request, pk)
    typed = asking.read(request.POST, dict.fromkeys(REFERRAL.headers, ""))
    problems: list[dict[str, str]] = []
    if request.method == "POST":
        try:
            actions.add_referral(by=whoever(request), episode=episode, typed=typed)
        except Refused as slip:
            problems.append({"text": str(slip)})
        else:
            return redirect("episode", pk=pk)
    back = reverse("episode", kwargs={"pk": pk})
    context = _page(episode.client, REFERRAL, typed, {}, back=back) | {"problems": problems, "autosave": False}
    return pages.render(request, "caseload/questions.html", context)


def _asked(request: HttpRequest, record: Record, group: Group, *, back: str, then: str) -> HttpResponse:  # noqa: C901, PLR0912 - to be divided when it is next opened
    """A page of questions on a record: shown, or saved."""
    client = actions.client_of(record)
    if request.method != "POST":
        context = _page(client, group, _texts(record, group), _findings(record, group), back=back)
        context["record"] = record
        if "DAT" in group.headers and (which := _which_is_right(record, client.agency)):
            context["which"] = which
            for problem in context["problems"]:
                problem["href"] = "#DAT-right" if problem["href"] == "#DAT" else problem["href"]
        return pages.render(request, "caseload/questions.html", context)
    try:
        was = asking.shown_before(request.POST, group.headers)
    except ValueError as slip:
        raise BadRequest("a page of questions without what it showed") from slip
    boxed = asking.read(request.POST, was)
    typed = boxed | asking.ticked(request.POST, was, boxed, client.agency.dat)
    # Which is right of a new postcode and an old DAT, if nothing else was said of either meanwhile.
    right = request.POST.get("DAT-right") if all(typed.get(h) == was.get(h) for h in ("PC", "DAT")) else ""
    if right == FOLLOWS:
        typed["DAT"] = places(record.values.get("PC", ""), client.agency.dat).get("DAT", "")
    for header in was:
        # A clash that was shown, and is decided now: the page has seen the other text.
        if (choice := request.POST.get(f"{header}-clash")) and (now := request.POST.get(f"{header}-now")) is not None:
            was[header] = now
            if choice == "now":
                typed[header] = now
    script = request.accepts("application/json") and not request.accepts("text/html")
    try:
        saved = actions.save(
            by=whoever(request),
            record=record,
            typed=typed,
            was=was,
            why="" if script else request.POST.get("why", ""),
            sure=("DAT",) if right == STAYS else (),
        )
    except Refused as slip:
        if script:
            return JsonResponse({"told": f"Not saved: {slip}"}, status=422)
        context = _page(client, group, typed, {}, back=back)
        context |= {"was": json.dumps(was), "problems": [{"text": str(slip)}], "autosave": False}
        return pages.render(request, "caseload/questions.html", context | {"record": record})
    try:
        record.refresh_from_db()
        if not script and saved.is_whole and request.POST.get("do") == "reference":
            actions.allocate_reference(by=whoever(request), client=client)
    except (ObjectDoesNotExist, Refused):
        # Somebody removed it a moment ago.
        raise Http404 from None
    if script:
        return JsonResponse(_answer(record, group, saved, boxed, was))
    for sentence in _notices(saved):
        messages.info(request, sentence)
    if not saved.is_whole:
        return _unsaved(request, record, group, saved, typed, was, back=back)
    if saved.changed and request.POST.get("why"):
        messages.success(request, "What you changed is saved")
    if request.POST.get("do") == "reference":
        return redirect(request.path)
    if request.POST.get("do") == "later":
        return redirect(back)
    # What is doubtful is shown once; who goes on all the same has seen it.
    unseen = _marks(_findings(record, group)) - set(request.POST.get("seen", "").split())
    return redirect(request.path if unseen else then)


def _texts(record: Record, group: Group) -> dict[str, str]:
    return {header: record.values.get(header, "") for header in group.headers}


def _findings(record: Record, group: Group) -> dict[str, list[str]]:
    """What the check said of the fields of a group, by header, but what is merely missing."""
    match record:
        case Client():
            episodes, referral = list(record.episodes.all()), 0
        case Episode():
            episodes, referral = [record], 0
        case _:
            episodes, referral = [record.episode], record.pk
    found: dict[str, list[str]] = {}
    for each in (one for episode in episodes for one in told_once(episode)):
        if not each.is_missing and each.referral == referral and each.message not in found.get(each.header, ()):
            found.setdefault(each.header, []).append(each.message)
    if isinstance(record, Episode) and (doubt := left_behind(record)):
        found.setdefault("DAT", []).append(doubt)
    for header in group.headers:
        if header not in found and asking.is_no_code(header, record.values.get(header, "")):
            found[header] = [_NO_CODE]
    return {header: found[header] for header in group.headers if header in found}


#: Said of words in the box for another code of an official list.
_NO_CODE = "This is no code known here: choose from the list, or enter the code as the official list has it"


def _marks(findings: Mapping[str, Sequence[str]]) -> set[str]:
    """What a page says it has shown of some findings: a new sentence at a field is not one that was seen."""
    return {f"{header}.{crc32(each.encode()):x}" for header, said in findings.items() for each in said}


def _notes(client: Client, values: Mapping[str, str]) -> dict[str, str]:
    """What follows from the answers of a page, by the header at which it is said."""
    return {"PC": about_place(values, client.agency.dat)} if "PC" in values else {}


def _which_is_right(record: Record, agency: Agency) -> list[dict[str, Any]]:
    """The choice between the DAT of a new postcode and the one that is left from before; none where that is said."""
    if not isinstance(record, Episode) or not left_behind(record):
        return []
    dat = places(record.values.get("PC", ""), agency.dat).get("DAT", "")
    new = asking.said("DAT", dat) if dat else "Neither: the DAT is left blank until somebody knows it"
    return [
        {"value": FOLLOWS, "text": new, "hint": {"text": "As the postcode tells"}}
        if dat
        else {"value": FOLLOWS, "text": new},
        {"value": STAYS, "text": asking.said("DAT", record.values["DAT"]), "hint": {"text": "As it is recorded"}},
    ]


def _page(
    client: Client,
    group: Group,
    values: Mapping[str, str],
    findings: Mapping[str, Sequence[str]],
    *,
    back: str,
) -> dict[str, Any]:
    """What a page of questions is made of."""
    notes = _notes(client, values)
    asked = [asking.ask(h, values, findings.get(h, ()), notes.get(h)) for h in group.headers]
    return {
        "client": client,
        "group": group,
        "questions": asked,
        "was": json.dumps(dict(values)),
        "seen": " ".join(sorted(_marks(findings))),
        "problems": [
            {"text": message, "href": f"#{question.first}"}
            for question in asked
            for message in findings.get(question.field.header, ())
        ],
        "to_do": _to_do(group, values),
        "back": back,
        "autosave": True,
    }


def _to_do(group: Group, values: Mapping[str, str]) -> str:
    """What is still to be answered, in one sentence; nothing where nothing has been answered yet."""
    if not any((values.get(header) or "").strip() for header in group.headers):
        return ""
    left = questions.unanswered(group, values)
    return f"Still to be answered: {', '.join(questions.field(header).noun for header in left)}." if left else ""


def _labels(headers: Iterable[str]) -> str:
    return ", ".join(f"“{label(header)}”" for header in headers)


def _notices(saved: Saved) -> list[str]:
    """What else a save did, a sentence each; no value of a field is in it."""
    by: dict[str, list[str]] = {}
    for header, who in saved.others.items():
        by.setdefault(who, []).append(header)
    told = [f"{who} changed {_labels(headers)} while you had this page open." for who, headers in by.items()]
    if saved.dropped:
        told.append(f"No longer asked, and taken out: {_labels(saved.dropped)}.")
    return told


def _answer(
    record: Record, group: Group, saved: Saved, typed: Mapping[str, str], was: Mapping[str, str]
) -> dict[str, Any]:
    """What the script is told of a save. It never asks: what was held back is named.

    `typed` is what its boxes say, `was` what the page now knows of each field; `boxes` what others' fields, and those
    filled in, are to show.
    A field that is no longer asked keeps its text on the page until that is left: who turns back has it still.
    """
    held = {*(clash.header for clash in saved.clashes), *saved.asks, *saved.later}
    kept = {header: was[header] if header in held else record.values.get(header, "") for header in was}
    shows = asking.posed(kept)
    anew = [h for h in kept if h not in held and h not in saved.dropped and shows[h] != plain(h, typed[h])]
    sentences = [f"Saved at {localtime():%H:%M}.", *_notices(saved)]
    if saved.asks or saved.later:
        headers = (*saved.asks, *saved.later)
        sentences.append(f"Not saved yet: {_labels(headers)}. Press Save and say whether it is a correction.")
    if saved.clashes:
        labels = _labels(clash.header for clash in saved.clashes)
        sentences.append(f"Not saved yet: {labels}. Somebody changed it too: press Save to see both.")
    return {
        "told": " ".join(sentences),
        "was": kept,
        "boxes": {header: asking.boxes(header, shows[header]) for header in anew},
        "findings": {header: ". ".join(found) for header, found in _findings(record, group).items()},
        "notes": _notes(actions.client_of(record), kept),
        "to_do": _to_do(group, record.values),
    }


def _unsaved(
    request: HttpRequest,
    record: Record,
    group: Group,
    saved: Saved,
    typed: Mapping[str, str],
    was: Mapping[str, str],
    *,
    back: str,
) -> HttpResponse:
    """The page again, with what was not saved and what is to be said about it. All else is saved."""
    held = {*(clash.header for clash in saved.clashes), *saved.asks}
    kept = _texts(record, group)
    values = kept | {header: typed[header] for header in held}
    # What was found is of the text that is kept, which those do not show.
    found = {header: each for header, each in _findings(record, group).items() if header not in held}
    context = _page(actions.client_of(record), group, values, found, back=back)
    context |= {
        "record": record,
        "was": json.dumps(kept | {header: was[header] for header in held}),
        "autosave": False,
        "clashes": [
            {
                "header": clash.header,
                "label": label(clash.header),
                "who": clash.who,
                "now": clash.now,
                "now_said": asking.said(clash.header, clash.now),
                "typed_said": asking.said(clash.header, clash.typed),
            }
            for clash in saved.clashes
        ],
        "asks": [label(header) for header in saved.asks],
        "facts": {questions.NEW_FACTS[header] for header in saved.asks if header in questions.NEW_FACTS},
        "later": [
            {
                "label": label(header),
                "typed": asking.said(header, plain(header, typed[header])),
                "kept": asking.said(header, kept[header]),
            }
            for header in saved.later
        ],
    }
    open_ = [
        {"text": f"Select which is right: {each['label']}", "href": f"#{each['header']}-clash"}
        for each in context["clashes"]
    ]
    if saved.asks:
        open_.append({"text": "Say whether it is a correction or a new fact", "href": "#why"})
    context["problems"] = [*open_, *context["problems"]]
    return pages.render(request, "caseload/questions.html", context)


# ---- what is done at once --------------------------------------------------------------------------


@require_POST
def allocate_reference(request: HttpRequest, pk: int) -> HttpResponse:
    """Give a client the next client reference."""
    try:
        actions.allocate_reference(by=whoever(request), client=access.client(request, pk))
    except Refused as slip:
        messages.error(request, str(slip))
        return redirect("clients")
    return redirect("client", pk=pk)


@require_POST
def new_episode(request: HttpRequest, pk: int) -> HttpResponse:
    """Begin another episode of a client who presents again."""
    try:
        begun = actions.begin_episode(by=whoever(request), client=access.client(request, pk))
    except Refused as slip:
        messages.error(request, str(slip))
        return redirect("client", pk=pk)
    if carried := [questions.field(header).noun for header, text in begun.values.items() if text]:
        messages.info(
            request, f"Taken over from the last episode, to be checked with the client: {', '.join(carried)}."
        )
    return redirect("questions", pk=begun.pk, group=GROUPS[0].name)


@_GET_OR_POST
def remove_client(request: HttpRequest, pk: int) -> HttpResponse:
    """Remove a client begun by mistake."""
    found = access.client(request, pk)
    return _remove(
        request,
        found,
        found,
        "this client",
        "All that is recorded of the client is deleted: episodes, referrals, contacts, notes and the history.",
        back=reverse("client", kwargs={"pk": pk}),
        then=reverse("clients"),
    )


@_GET_OR_POST
def remove_episode(request: HttpRequest, pk: int) -> HttpResponse:
    """Remove an episode begun by mistake."""
    found = access.episode(request, pk)
    return _remove(
        request,
        found,
        found.client,
        "this episode",
        "Its answers, referrals, contacts and interventions are deleted. The history keeps the answers.",
        back=reverse("episode", kwargs={"pk": pk}),
        then=reverse("client", kwargs={"pk": found.client_id}),
    )


@_GET_OR_POST
def remove_referral(request: HttpRequest, pk: int) -> HttpResponse:
    """Remove a referral that was never made."""
    found = access.referral(request, pk)
    return _remove(
        request,
        found,
        found.episode.client,
        "this referral",
        "Remove it only if it was never made.",
        back=reverse("referral", kwargs={"pk": pk}),
        then=reverse("episode", kwargs={"pk": found.episode_id}),
    )


def _remove(
    request: HttpRequest, record: Record, client: Client, what: str, warning: str, *, back: str, then: str
) -> HttpResponse:
    """Ask whether to remove a record, and remove it."""
    if request.method == "POST":
        by = whoever(request)
        try:
            match record:
                case Client():
                    actions.remove_client(by=by, client=record)
                case Episode():
                    actions.remove_episode(by=by, episode=record)
                case _:
                    actions.remove_referral(by=by, referral=record)
        except Refused as slip:
            messages.error(request, str(slip))
            return redirect(back)
        messages.success(request, f"You removed {what}")
        return redirect(then)
    told = {"client": client, "title": f"Remove {what}?", "text": warning, "do": f"Remove {what}", "back": back}
    return pages.render(request, "caseload/sure.html", told)
