"""The provider's pages up to the result of a check: what was sent, sending, how far a check is, what it found."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import wraps
from typing import Any
from urllib.parse import urlencode

import polars as pl
from django.conf import settings
from django.contrib import messages
from django.core.exceptions import RequestDataTooBig
from django.core.paginator import Paginator
from django.db.models import Count, Q
from django.http import FileResponse, Http404, HttpRequest, HttpResponse, HttpResponseBase, JsonResponse
from django.shortcuts import get_object_or_404, redirect
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.csrf import csrf_exempt, csrf_protect
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from cjit.dataset import Rule, Severity
from cjit.files.source import Unusable
from cjit.report import words
from cjit.web import kept, pages
from cjit.web.agencies import access, audit
from cjit.web.agencies.actions import Refused
from cjit.web.agencies.models import Role
from cjit.web.dataset import DATASET
from cjit.web.portal import actions, contested, downloads, receipt
from cjit.web.portal import result as results
from cjit.web.portal.forms import SCOPE_HINTS, FindingsForm, SubmitForm
from cjit.web.portal.models import OPEN, State, Submission
from cjit.web.portal.rulebook import RULES

#: How many are shown on one page, and how many clients on the page of the result.
_SUBMISSIONS, _FINDINGS, _CLIENTS = 20, 100, 10
#: The colours of the states' tags.
COLOURS = {
    State.RECEIVED: "light-blue",
    State.CHECKING: "light-blue",
    State.FAILED: "red",
    State.REFUSED: "red",
    State.REJECTED: "red",
    State.DECISIONS: "yellow",
    State.READY: "turquoise",
    State.ACCEPTED: "green",
    State.SUPERSEDED: "grey",
    State.WITHDRAWN: "grey",
    State.UNDONE: "orange",
}
SEVERITY_COLOURS = {
    Severity.REJECT: "red",
    Severity.EXCLUDE: "orange",
    Severity.MISMATCH: "purple",
    Severity.QUERY: "blue",
}


def theirs(request: HttpRequest, pk: int) -> Submission:
    """A submission of one of the person's own agencies; anybody else's is not there."""
    agencies = access.submits_for(access.whoever(request))
    return get_object_or_404(Submission.objects.select_related("agency", "by"), pk=pk, agency__in=agencies)


View = Callable[..., HttpResponseBase]


def of_files(view: View) -> View:
    """A page made of a submission's files: where they are gone or damaged, the submission's own page says so."""

    @wraps(view)
    def answered(request: HttpRequest, pk: int, **told: Any) -> HttpResponseBase:
        try:
            return view(request, pk, **told)
        except (kept.NotKept, Unusable) as problem:
            messages.error(request, str(problem))
            return redirect("submission", pk)

    return answered


# ---- the list --------------------------------------------------------------------------------------


@require_safe
@access.only(Role.PROVIDER)
def submissions(request: HttpRequest) -> HttpResponseBase:
    """All that was sent for the person's agencies, newest first."""
    agencies = list(access.submits_for(access.whoever(request)))
    sent = Submission.objects.filter(agency__in=agencies).select_related("agency", "by")
    page = Paginator(sent, _SUBMISSIONS).get_page(request.GET.get("page"))
    context = {"page": page, "pagination": pages.pagination(page, {}), "agencies": agencies, "colours": COLOURS}
    return pages.render(request, "portal/list.html", context)


# ---- sending a file --------------------------------------------------------------------------------


@csrf_exempt
@require_http_methods(["GET", "POST"])
@access.only(Role.PROVIDER)
def submit(request: HttpRequest) -> HttpResponseBase:
    """The form to send a file, and the sending."""
    try:
        return _submit(request)
    except RequestDataTooBig:
        # The text alone is too long to be taken for a form; it is seen when the form's token is looked for.
        form = SubmitForm({}, person=access.whoever(request))
        form.errors.clear()
        form.add_error("text", "The text is too long to be pasted: save it as a file, and choose that")
        return _form(request, form)


@csrf_protect
def _submit(request: HttpRequest) -> HttpResponseBase:
    person = access.whoever(request)
    if request.method == "GET":
        return _form(request, SubmitForm(person=person))
    form = SubmitForm(request.POST, request.FILES, person=person)
    if not form.is_valid():
        return _form(request, form)
    file, name = form.sent
    begun = timezone.now()
    try:
        submission = actions.receive(
            by=person, agency=form.sent_for, file=file, name=name, scope=form.cleaned_data["scope"]
        )
    except Refused as problem:
        form.add_error("file" if form.cleaned_data["file"] else "text", str(problem))
        return _form(request, form)
    if submission.at < begun:
        messages.info(
            request, f"You have sent this file before, as {submission.number}: it was not taken a second time"
        )
    return redirect("submission", submission.pk)


def _form(request: HttpRequest, form: SubmitForm) -> HttpResponse:
    context = {
        "form": form,
        "hints": SCOPE_HINTS,
        "megabytes": settings.UPLOAD_BYTES // 1_000_000,
        "rows": settings.UPLOAD_ROWS,
        "dataset": DATASET,
    }
    return pages.render(request, "portal/submit.html", context)


# ---- one submission --------------------------------------------------------------------------------


@require_safe
def submission(request: HttpRequest, pk: int) -> HttpResponseBase:
    """How far the check is, or what it found."""
    sent = theirs(request, pk)
    if sent.state in (State.RECEIVED, State.CHECKING):
        return pages.render(request, "portal/progress.html", {"submission": sent, "text": _how_far(sent)})
    context: dict[str, Any] = {
        "submission": sent,
        "colour": COLOURS[State(sent.state)],
        "withdrawable": sent.state in actions.WITHDRAWABLE,
        "kept_days": settings.KEEP_DAYS,
    }
    # Where a check came to nothing, what an earlier one found is not this one's result.
    if sent.summary and sent.state not in (State.FAILED, State.REFUSED):
        context |= _result(sent)
    return pages.render(request, "portal/result.html", context)


def _result(sent: Submission) -> dict[str, Any]:
    try:
        found = results.findings(sent, results.WHOSE) if sent.stored else None
    except kept.NotKept:
        found = None
    # Counted first: of many clients only a few are shown.
    clients = pl.Series("client", [], pl.String) if found is None else found["client"].drop_nulls()
    counted = clients.value_counts(name="count")
    most = counted.bottom_k(_CLIENTS, by=[-pl.col("count").cast(pl.Int64), "client"])
    undecided = sent.decisions.aggregate(
        all=Count("id"), undecided=Count("id", filter=Q(choice="")), absent=Count("id", filter=Q(absent=True))
    )
    return {
        "summary": sent.summary,
        "verdict": verdict(sent.summary, past=sent.state not in OPEN),
        "causes": sorted(_causes(sent), key=lambda cause: (-cause["count"], cause["rule"])),
        "headers": sorted(sent.summary["headers"].items(), key=lambda told: (-told[1], told[0])),
        "clients": most.sort("count", "client", descending=[True, False]).rows(),
        "other_clients": counted.height - most.height,
        "since": None if found is None else results.since_last(sent, found),
        "missing": receipt.missing_columns(sent.summary.get("missing", ())),
        "same_file": _same_file(sent, undecided["undecided"]),
        "correctable": sent.summary["rejected"] - sent.summary.get("others", 0),
        "asked": undecided["all"] > undecided["absent"] or not sent.stored,
        "not_taken": receipt.left_out(sent.summary, contested.named(sent, sent.summary.get("left_out", {}))),
        "taken": taken(sent.summary),
        "stays": receipt.kept(sent.summary),
        "kept_because": receipt.KEPT,
        "damaged": bool(sent.stored) and found is None,
        "undecided": undecided,
        "completeness": list(_completeness(sent)),
        "words": words.WORDS,
        "severities": [s for s in Severity if sent.summary["findings"].get(s)],
        "severity_colours": SEVERITY_COLOURS,
        "dataset": DATASET,
    }


def _same_file(sent: Submission, undecided: int) -> str:
    """What is true of a file that was accepted last and is sent again, in one sentence; nothing of another."""
    if not sent.summary.get("unchanged"):
        return ""
    same = "This is the very file you had accepted last"
    if undecided:
        return f"{same}: what you did not decide then can be decided now"
    changes = sent.summary["changes"]
    if sent.state in OPEN and not any((*changes["new"].values(), *changes["changed"].values())):
        return f"{same}: accepting it again changes nothing"
    return same


def verdict(summary: dict[str, Any], *, past: bool = False) -> str:
    """How many records can be accepted, how many are rejected and how many have a query, in one sentence.

    `past` tells it of a submission that waits for nothing any more.
    """
    rows, rejected, queried = (summary[name] for name in ("rows", "rejected", "queried"))
    out = sum(summary.get("left_out", {}).values())
    accepted = summary["accepted"] - out
    can, one, many = ("could", "was", "were") if past else ("can", "is", "are")
    if not rows:
        return "There are no records in the file, so there is nothing to accept"
    if rejected == rows:
        return f"The one record {one} rejected" if rows == 1 else f"All {rows:,} records {many} rejected"
    if not accepted:
        return (
            f"None of the {rows:,} records {can} be accepted" if rows > 1 else f"The one record {can} not be accepted"
        )
    whole = "The one record" if rows == 1 else f"All {rows:,} records"
    said = f"{accepted:,} of {rows:,} records" if rejected or out else whole
    said += f" {can} be accepted"
    if queried:
        said += ", with a query" if rows == 1 else f", {queried:,} {'with' if out else 'of them with'} a query"
    less = [f"{n:,} {one if n == 1 else many} {what}" for n, what in ((rejected, "rejected"), (out, "left out")) if n]
    return f"{said}, and {' and '.join(less)}" if less else said


def taken(summary: dict[str, Any]) -> int:
    """How many records of a file are taken if it is accepted."""
    # What was checked by an older version says only what is not rejected.
    return int(summary.get("taken", summary["accepted"]))


def _causes(sent: Submission) -> Iterator[dict[str, Any]]:
    decisions = sent.decisions.order_by().filter(absent=False).values_list("headers", flat=True).distinct()
    asked = {header for headers in decisions for header in headers.split()}
    for name, count in sent.summary["rules"].items():
        if not count:
            continue
        # A rule may have left the book since.
        rule = RULES.get(name)
        header = name.split(".", 1)[0]
        field = DATASET.by_header.get(header)
        yield {
            "rule": name,
            "count": count,
            "message": _message(rule, asked=header in asked or not sent.stored) if rule else name,
            "severity": rule.severity if rule else None,
            "header": header,
            "label": field.label if field else "The whole row",
        }


def _message(rule: Rule, *, asked: bool) -> str:
    """What to do about a finding. Of a mismatch of rows that are not taken nothing is `asked`."""
    if rule.severity is not Severity.MISMATCH or asked:
        return rule.message
    noun = DATASET.by_header[rule.header].noun
    return (
        f"Check the {noun}: it differs from what is held, and there is nothing to choose, because its row is not taken"
    )


def _completeness(sent: Submission) -> Iterator[dict[str, Any]]:
    for header, counts in sent.summary["completeness"].items():
        field = DATASET.by_header.get(header)
        rows = counts["filled"] + counts["blank"]
        share = counts["filled"] / rows if rows else 0.0
        yield {
            "header": header,
            "label": field.label if field else header,
            "percent": words.percent(counts["filled"], rows),
            "width": round(share * 100, 1),
            **counts,
        }


@require_safe
def submission_state(request: HttpRequest, pk: int) -> HttpResponseBase:
    """How far the check is, for the page that waits for it."""
    sent = theirs(request, pk)
    finished = sent.state not in (State.RECEIVED, State.CHECKING)
    told = {"state": sent.state, "done": sent.done, "size": sent.size}
    return JsonResponse({**told, "text": _how_far(sent), "finished": finished})


def _how_far(sent: Submission) -> str:
    if sent.state == State.RECEIVED:
        return "Your file has arrived and waits for its turn"
    if sent.done >= sent.size:
        return "All of the file is read; it is now compared with what is held"
    return f"{words.percent(sent.done, sent.size)} of the file is checked"


@require_http_methods(["GET", "POST"])
def withdraw(request: HttpRequest, pk: int) -> HttpResponseBase:
    """Ask whether a submission is to be taken back, and take it back."""
    sent = theirs(request, pk)
    if request.method == "GET":
        if sent.state not in actions.WITHDRAWABLE:
            return redirect("submission", sent.pk)
        return pages.render(request, "portal/withdraw.html", {"submission": sent})
    try:
        actions.withdraw(by=access.whoever(request), submission=sent)
    except Refused as problem:
        messages.error(request, str(problem))
    else:
        messages.success(request, f"{sent.number} is withdrawn")
    return redirect("submission", sent.pk)


@require_POST
def check_again(request: HttpRequest, pk: int) -> HttpResponseBase:
    """Have a kept file checked once more."""
    sent = theirs(request, pk)
    try:
        actions.check_again(by=access.whoever(request), submission=sent)
    except Refused as problem:
        messages.error(request, str(problem))
    return redirect("submission", sent.pk)


# ---- its findings ----------------------------------------------------------------------------------


@require_http_methods(["GET", "POST"])
@of_files
def findings(request: HttpRequest, pk: int) -> HttpResponseBase:
    """Every finding, a hundred on a page, or those chosen by severity, field, rule and client."""
    sent = _checked(request, pk)
    found = results.findings(sent)
    if request.method == "POST":
        return _choose(request, sent, found)
    query, client = _chosen(request, sent)
    form = FindingsForm(found, {**query, "client": client})
    if not form.is_valid():
        raise Http404
    some = _only(found, query, client)
    page = Paginator(range(some.height), _FINDINGS).get_page(request.GET.get("page"))
    context = {
        "submission": sent,
        "form": form,
        "query": "?" + urlencode(query) if query else "",
        "chosen": bool(query),
        "client": client,
        "lines": list(_lines(some.slice(page.start_index() - 1, _FINDINGS) if some.height else some)),
        "page": page,
        "total": found.height,
        "pagination": pages.pagination(page, query),
        "words": words.WORDS,
        "severity_colours": SEVERITY_COLOURS,
        "rules": RULES,
    }
    return pages.render(request, "portal/findings.html", context)


def _choose(request: HttpRequest, sent: Submission, found: pl.DataFrame) -> HttpResponse:
    """Turn a choice into a query. A client's id does not go into an address: it stays in the session."""
    form = FindingsForm(found, request.POST)
    if not form.is_valid():
        raise Http404
    query = {name: form.cleaned_data[name] for name in ("severity", "header", "rule") if form.cleaned_data[name]}
    if client := form.cleaned_data["client"].strip():
        request.session[f"client of {sent.pk}"] = client
        query["client"] = "chosen"
    target = "download" if request.POST.get("take") else "findings"
    where = reverse(target, args=[sent.pk, "csv"] if target == "download" else [sent.pk])
    return redirect(f"{where}?{urlencode(query)}" if query else where)


def _chosen(request: HttpRequest, sent: Submission) -> tuple[dict[str, str], str]:
    """The query of a page of findings, and the client it is about ("": all)."""
    names = ("severity", "header", "rule", "client")
    query = {name: request.GET[name] for name in names if request.GET.get(name)}
    client = request.session.get(f"client of {sent.pk}", "") if query.get("client") else ""
    if not client:
        query.pop("client", None)
    return query, client


def _only(found: pl.DataFrame, query: dict[str, str], client: str) -> pl.DataFrame:
    for name in ("severity", "header", "rule"):
        if name in query:
            found = found.filter(pl.col(name) == query[name])
    return found.filter(pl.col("client") == client) if client else found


def _lines(some: pl.DataFrame) -> Iterator[dict[str, Any]]:
    """Findings with every text fit to be shown."""
    for line in some.iter_rows(named=True):
        rule, field = RULES.get(line["rule"]), DATASET.by_header.get(line["header"])
        told = {name: words.shown(line[name] or "–", 60) for name in ("client", "episode")}
        for name in ("value", "previous"):
            value = line[name]
            told[name] = words.value_shown(DATASET, rule, value) if rule else words.shown(value or "(blank)")
        if line["previous"] is None:
            told["previous"] = ""
        yield {**line, **told, "label": field.label if field else "The whole row"}


def _checked(request: HttpRequest, pk: int) -> Submission:
    """A submission that has a result which is still kept."""
    sent = theirs(request, pk)
    if not (sent.summary and sent.stored):
        raise Http404
    return sent


# ---- to take away ----------------------------------------------------------------------------------


@require_safe
@of_files
def download(request: HttpRequest, pk: int, kind: str) -> HttpResponseBase:
    """The findings, the file as it was sent, or a copy of it, as an attachment."""
    if kind not in downloads.KINDS:
        raise Http404
    sent = theirs(request, pk) if kind == "original" else _checked(request, pk)
    if not sent.stored:
        raise Http404
    query, client = _chosen(request, sent)
    file = downloads.made(sent, kind, lambda found: _only(found, query, client))
    ending, content_type = downloads.KINDS[kind]
    audit.note(f"downloaded {kind}", by=access.whoever(request), agency=sent.agency, about=sent.number)
    return FileResponse(
        file,
        as_attachment=True,
        filename=f"{sent.number}-{ending}",
        content_type=content_type,
        headers={"Cache-Control": "no-store"},
    )
