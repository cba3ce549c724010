"""What a manager does with a whole caseload: its extract, how that is named and consent asked for, and an import.

The one place at which the caseload hands something to the portal: a file, as anybody else would send it.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from pathlib import Path
from typing import Any, BinaryIO

from django import forms
from django.conf import settings as installation
from django.contrib import messages
from django.core.files.uploadedfile import UploadedFile
from django.db import DatabaseError, transaction
from django.http import FileResponse, HttpRequest, HttpResponse, HttpResponseBase, QueryDict
from django.shortcuts import redirect
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from cjit.dataset import Rule, Status
from cjit.extract import BadPattern
from cjit.report import placed
from cjit.web import pages
from cjit.web.agencies.access import manages, submits_for, whoever
from cjit.web.agencies.actions import Refused
from cjit.web.agencies.audit import note
from cjit.web.agencies.models import Agency
from cjit.web.caseload import access, actions, leaving
from cjit.web.caseload.arriving import MOST
from cjit.web.caseload.due import page_of
from cjit.web.caseload.leaving import FULL, Made
from cjit.web.caseload.models import Client, Episode, Extract
from cjit.web.caseload.record import Told, months_after, told
from cjit.web.dataset import DATASET
from cjit.web.portal import actions as portal

_GET_OR_POST = require_http_methods(["GET", "HEAD", "POST"])
#: How many months can be chosen, how many episodes are listed that would be rejected, and how many former extracts.
MONTHS, LISTED, FORMER = 24, 50, 24
#: Clients, each with sentences that say what to do and the addresses at which it is done.
Settled = list[tuple[Client, list[tuple[str, str]]]]


# ---- an extract ------------------------------------------------------------------------------------


class ExtractForm(forms.Form):
    """What an extract is to have: until the end of which month, and all records or those that are new or changed."""

    month = forms.ChoiceField(
        label="Until when?",
        help_text="Episodes that began later are left out",
        error_messages={"required": "Select a month", "invalid_choice": "Select a month of the list"},
    )
    since = forms.ModelChoiceField(
        Extract.objects.none(),
        label="Which records?",
        help_text="What was removed here is told by an extract of all records only",
        required=False,
        empty_label="All records",
        error_messages={"invalid_choice": "Select all records, or an extract of the list"},
    )

    def __init__(self, agency: Agency, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.agency, self.today = agency, timezone.localdate()
        first = self.today.replace(day=1)
        months = [months_after(first, -ago) for ago in range(MONTHS)]
        choices = [(f"{month:%Y-%m}", f"{month:%B %Y}") for month in months]
        choices[0] = (choices[0][0], f"{choices[0][1]}, up to today")
        self.fields["month"].choices = choices  # type: ignore[attr-defined]
        self.fields["month"].initial = choices[1][0]
        former = Extract.objects.filter(agency=agency)
        self.fields["since"].queryset = former  # type: ignore[attr-defined]
        self.fields["since"].label_from_instance = _in_words  # type: ignore[attr-defined]
        if not former.exists():
            # There is nothing it could be new since.
            del self.fields["since"]

    @property
    def until(self) -> date:
        """The last day of the month, or today."""
        first = date.fromisoformat(f"{self.cleaned_data['month']}-01")
        return min(months_after(first, 1) - timedelta(days=1), self.today)

    @property
    def former(self) -> Extract | None:
        """The extract since which is wanted what is new or changed; None: all."""
        return self.cleaned_data.get("since")


def _in_words(extract: Extract) -> str:
    which = "all records" if extract.scope == FULL else "new or changed"
    at = f"{pages.moment(extract.at)}:{extract.at:%S}"
    return f"New or changed since {at} ({which}, until {pages.day(extract.until)})"


@require_safe
def extract(request: HttpRequest) -> HttpResponse:
    """What is known to stand in the way of an extract, the choice of what it is to have, and the former ones."""
    agency = access.agency(request, as_manager=True)
    return _choose(request, agency, ExtractForm(agency))


def _choose(request: HttpRequest, agency: Agency, form: ExtractForm) -> HttpResponse:
    unready = leaving.unready(agency)
    rejects = unready.count()
    context = {
        "agency": agency,
        "agencies": manages(whoever(request)).order_by("code"),
        "form": form,
        "consents": leaving.consents(agency),
        "rejects": rejects,
        "more": max(0, rejects - LISTED),
        "listed": _to_settle({each: _grave(each) for each in unready.select_related("client")[:LISTED]}),
        "stand_ins": _lists(Status.PLACEHOLDER),
        "former": Extract.objects.filter(agency=agency).select_related("by")[:FORMER],
    }
    return pages.render(request, "caseload/extract.html", context)


def _grave(episode: Episode) -> Sequence[Rule]:
    return [each.rule for each in told(episode) if each.rule.severity == "reject"]


def _to_settle(rejected: Mapping[Episode, Sequence[Rule]]) -> Settled:
    """Whose episodes would be rejected, and what to do of each client with the page on which it is done."""
    found: dict[Client, dict[tuple[str, str], None]] = {}
    for episode, rules in rejected.items():
        found.setdefault(episode.client, {}).update({(r.message, page_of(episode, Told(r))): None for r in rules})
    return [(client, list(settled)) for client, settled in found.items()]


@require_POST
def make(request: HttpRequest) -> HttpResponseBase:
    """Check an extract and say what is in it and what is not; and where that is wanted, download it or send it."""
    agency = access.agency(request, as_manager=True)
    form = ExtractForm(agency, request.POST)
    if not form.is_valid():
        return _choose(request, agency, form)
    wanted = request.POST.get("to", "")
    made = leaving.make(agency, until=form.until, since=form.former, leave_out="leave_out" in request.POST)
    by = whoever(request)
    if made.extracted.frame.is_empty() or wanted not in ("file", "portal", "labels"):
        return _checked(request, form, made)
    if wanted == "labels":
        counts = {"clients": made.counts["clients"]}
        note("downloaded an extract with labels", by=by, agency=agency, about=agency.code, counts=counts)
        return _download(made.data(labels=True), made.name(labels=True))
    if made.extracted.blocked:
        return _checked(request, form, made, "Settle the episodes that would be rejected, or leave them out")
    name, data = made.name(), made.data()
    if wanted == "file":
        actions.record_extract(by=by, made=made, name=name, data=data)
        return _download(data, name)
    if not submits_for(by).filter(pk=agency.pk).exists():
        return _checked(request, form, made, "Only a provider user sends files of the agency: download it instead")
    try:
        # Both or neither: of what was sent and not marked, nobody would tell that consent was withdrawn.
        with transaction.atomic():
            submission = portal.receive(by=by, agency=agency, file=io.BytesIO(data), name=name, scope=made.scope)
            actions.record_extract(by=by, made=made, name=name, data=data, submission=submission.number)
    except portal.Refused as problem:
        return _checked(request, form, made, str(problem))
    messages.success(request, f"The extract is made and sent to the portal as {submission.number}")
    return redirect("submission", submission.pk)


def _checked(request: HttpRequest, form: ExtractForm, made: Made, problem: str = "") -> HttpResponse:
    done, agency = made.extracted, made.agency
    ids = list(done.rejected or done.left_out)
    episodes = Episode.objects.filter(agency=agency, episodid__in=ids[:LISTED]).select_related("client")
    told = done.rejected or done.left_out
    context = {
        "agency": agency,
        "made": made,
        "problem": problem,
        "nothing": _nothing(made),
        "consents": leaving.consents(agency),
        "rejects": len(ids),
        "more": max(0, len(ids) - LISTED),
        "listed": _to_settle({episode: told[episode.episodid] for episode in episodes}),
        "submits": submits_for(whoever(request)).filter(pk=agency.pk).exists(),
        # What was chosen goes along to the button that makes it.
        "chosen": {name: form.data[name] for name in form.fields if form.data.get(name)},
        "leave_out": "leave_out" in request.POST,
    }
    return pages.render(request, "caseload/extract_checked.html", context)


def _nothing(made: Made) -> str:
    """Why there is nothing in an extract."""
    if made.extracted.left_out:
        return "all that would be in it would be rejected and is left out"
    if made.since:
        return "nothing is new or changed since the extract it is to follow"
    return "no client who consents has an episode that began by then"


def _download(data: bytes, name: str) -> HttpResponseBase:
    return FileResponse(io.BytesIO(data), as_attachment=True, filename=name, content_type="text/csv; charset=utf-8")


def write(
    code: str, *, until: date, new: bool = False, leave_out: bool = False, labels: bool = False, where: str = ""
) -> tuple[Made, str]:
    """Make an extract of the caseload that this installation keeps, and write it to a file: for the command line.

    `where` is the file or the folder it goes to, by default the folder one is in. Returns what was made and where it
    is: nowhere, where something in it would be rejected. Raises `Refused` with a sentence.
    """
    try:
        agency = Agency.objects.filter(code=code.strip().upper()).first()
    except DatabaseError:
        raise Refused(
            f"There is no caseload in {installation.HOME}: start the service there once with “cjit serve”, or say where"
            " it is by CJIT_HOME"
        ) from None
    if agency is None:
        raise Refused(f"There is no agency {code} here: give the code of one, such as CJ123")
    if until > timezone.localdate():
        raise Refused("The last day of the period lies ahead: give today or an earlier one")
    since = Extract.objects.filter(agency=agency).first() if new else None
    if new and since is None:
        raise Refused(f"There is no former extract of {agency.code}: make the first one without --new")
    made = leaving.make(agency, until=until, since=since, leave_out=leave_out)
    if made.extracted.frame.is_empty():
        raise Refused(f"There is nothing to extract of {agency.code}: {_nothing(made)}")
    if made.extracted.blocked and not labels:
        return made, ""
    name, data = made.name(labels=labels), made.data(labels=labels)
    path = Path(where) / name if not where or Path(where).is_dir() else Path(where)
    with placed(path) as file:
        file.write(data)
        if not labels:
            # Before it has its place: what is there and not marked would never be taken back.
            actions.record_extract(by=None, made=made, name=name, data=data)
    return made, str(path)


# ---- settings --------------------------------------------------------------------------------------


class PracticeForm(forms.Form):
    """How an agency names its extracts, and asks for consent."""

    file_name = forms.CharField(
        label="Name of the file",
        help_text="{agency} stands for the agency code, {until} for the last day, {scope} for full or new",
        max_length=120,
        error_messages={
            "required": "Enter a file name, such as {agency}_{until}_{scope}.csv",
            "max_length": "Enter 120 characters or fewer",
        },
        widget=forms.TextInput(attrs={"spellcheck": False, "autocomplete": "off"}),
    )
    consent_wording = forms.CharField(
        label="The words with which clients are asked for consent",
        help_text="They are shown when an answer is recorded, and kept with it",
        required=False,
        max_length=4000,
        error_messages={"max_length": "Enter 4,000 characters or fewer"},
        widget=forms.Textarea(attrs={"rows": 8}),
    )

    def __init__(self, agency: Agency, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.agency = agency

    def clean_file_name(self) -> str:
        """A pattern of which a file name can be made."""
        pattern = str(self.cleaned_data["file_name"])
        try:
            _example(pattern, self.agency)
        except BadPattern as problem:
            raise forms.ValidationError(str(problem)) from None
        return pattern


def _example(pattern: str, agency: Agency) -> str:
    """The name the extract of last month would have."""
    last = timezone.localdate().replace(day=1) - timedelta(days=1)
    return leaving.named(pattern, agency, last, FULL)


@_GET_OR_POST
def settings(request: HttpRequest) -> HttpResponse:
    """The name pattern of the agency's extracts, the words it asks for consent with, and lists that are stand-ins."""
    agency = access.agency(request, as_manager=True)
    kept = leaving.practice(agency)
    initial = {"file_name": kept.file_name, "consent_wording": kept.consent_wording}
    form = PracticeForm(agency, _typed(request), initial=initial)
    if request.method == "POST" and form.is_valid():
        actions.set_practice(by=whoever(request), agency=agency, **form.cleaned_data)
        messages.success(request, "The settings are saved")
        return redirect(f"{reverse('caseload-settings')}?agency={agency.code}")
    context = {
        "agency": agency,
        "agencies": manages(whoever(request)).order_by("code"),
        "form": form,
        "example": _example(kept.file_name, agency),
        "stand_ins": _lists(Status.PLACEHOLDER),
        "partial": _lists(Status.PARTIAL),
    }
    return pages.render(request, "caseload/settings.html", context)


def _typed(request: HttpRequest) -> QueryDict | None:
    """What was filled in, be it nothing; None where the page is only opened."""
    return request.POST if request.method == "POST" else None


def _lists(status: Status) -> list[str]:
    """The code lists of a status, each with what its first field is called."""
    called = {field.codes: field.noun for field in reversed(DATASET.fields)}
    return [f"{called[name]} ({name})" for name, codes in DATASET.lists.items() if codes.status is status]


# ---- an import -------------------------------------------------------------------------------------


class ImportForm(forms.Form):
    """The file with which a caseload begins."""

    file = forms.FileField(
        label="The dataset Q file",
        help_text="A CSV file, as your last system wrote it for NDTMS",
        allow_empty_file=True,
        error_messages={"required": "Choose a file", "invalid": "Choose the file again: it did not arrive"},
    )

    def clean_file(self) -> UploadedFile[Any]:
        """A file that is not too large; that it is empty is told by its reader."""
        file: UploadedFile[Any] = self.cleaned_data["file"]
        if (file.size or 0) > installation.UPLOAD_BYTES:
            raise forms.ValidationError(
                f"The file is larger than {installation.UPLOAD_BYTES // 1_000_000:,} MB: divide it into parts"
            )
        return file


@_GET_OR_POST
def import_file(request: HttpRequest) -> HttpResponse:
    """Begin a caseload with the file the agency sent last; and what came of it, in counts."""
    agency = access.agency(request, as_manager=True)
    form = ImportForm(_typed(request), request.FILES if request.method == "POST" else None)
    done = None
    if request.method == "POST" and form.is_valid():
        file: UploadedFile[Any] = form.cleaned_data["file"]
        opened: BinaryIO = file.file  # type: ignore[assignment]
        try:
            done = actions.import_records(by=whoever(request), agency=agency, file=opened, name=file.name or "The file")
        except Refused as problem:
            form.add_error("file", str(problem))
    context = {
        "agency": agency,
        "agencies": manages(whoever(request)).order_by("code"),
        "form": form,
        "done": done,
        "most": MOST,
        "megabytes": installation.UPLOAD_BYTES // 1_000_000,
        "dataset": DATASET,
    }
    return pages.render(request, "caseload/import.html", context)
