"""What a manager does with a whole caseload: its extract, how that is named and consent asked for, and an import.

Both are worked on by a worker (`working.py`): the pages ask for it, say how far it is and what came of it.
"""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

from django import forms
from django.conf import settings as installation
from django.contrib import messages
from django.core.files.uploadedfile import UploadedFile
from django.db import DatabaseError
from django.db.models import QuerySet
from django.http import FileResponse, Http404, HttpRequest, HttpResponse, HttpResponseBase, JsonResponse, QueryDict
from django.shortcuts import redirect
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_safe

from cjit.dataset import Rule, Status
from cjit.datasets.q.rules import DATS_OUTSIDE_ENGLAND
from cjit.dates import Style
from cjit.extract import BadPattern, holds_back
from cjit.files.place import placed
from cjit.web import pages
from cjit.web.agencies.access import manages, submits_for, whoever
from cjit.web.agencies.actions import Refused
from cjit.web.agencies.audit import note
from cjit.web.agencies.models import Agency
from cjit.web.caseload import access, actions, leaving, working
from cjit.web.caseload.arriving import MOST
from cjit.web.caseload.due import page_of
from cjit.web.caseload.forms import a_day
from cjit.web.caseload.leaving import FULL, Made
from cjit.web.caseload.models import AT_WORK, Client, Episode, Extract, Import, Passage, Stage
from cjit.web.caseload.record import Told, months_after, told
from cjit.web.dataset import DATASET

_GET_OR_POST = require_http_methods(["GET", "HEAD", "POST"])
#: How many months can be chosen, how many episodes are listed that would be rejected, and how many former extracts.
MONTHS, LISTED, FORMER = 24, working.LISTED, 24
#: Whoever has waited longer for a worker is told whom to ask.
SOON = timedelta(minutes=1)
_RULES = {rule.id: rule for rule in DATASET.rules}
#: Clients, each with sentences that say what to do and the addresses at which it is done.
Settled = list[tuple[Client, list[tuple[str, str]]]]
_P = TypeVar("_P", bound=Passage)


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
    # Said by the page of one that was checked.
    leave_out = forms.BooleanField(required=False, widget=forms.HiddenInput)

    def __init__(self, agency: Agency, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.agency, self.today = agency, timezone.localdate()
        first = self.today.replace(day=1)
        months = [months_after(first, -ago) for ago in range(MONTHS)]
        choices = [(f"{month:%Y-%m}", f"{month:%B %Y}") for month in months]
        choices[0] = (choices[0][0], f"{choices[0][1]}, up to today")
        self.fields["month"].choices = choices  # type: ignore[attr-defined]
        self.fields["month"].initial = choices[1][0]
        former = leaving.former(agency)
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
        "former": leaving.former(agency).select_related("by")[:FORMER],
        "begun": _begun(Extract.objects.filter(agency=agency, by=whoever(request))),
    }
    return pages.render(request, "caseload/extract.html", context)


def _begun(passages: QuerySet[_P]) -> _P | None:
    """What somebody has begun and not finished."""
    return passages.exclude(state__in=(Stage.MADE, Stage.FAILED)).first()


def _grave(episode: Episode) -> Sequence[Rule]:
    return [each.rule for each in told(episode) if holds_back(each.rule)]


def _to_settle(rejected: Mapping[Episode, Sequence[Rule]]) -> Settled:
    """Whose episodes would be rejected, and what to do of each client with the page on which it is done."""
    found: dict[Client, dict[tuple[str, str], None]] = {}
    for episode, rules in rejected.items():
        found.setdefault(episode.client, {}).update({(r.message, page_of(episode, Told(r))): None for r in rules})
    return [(client, list(settled)) for client, settled in found.items()]


@_GET_OR_POST
def check(request: HttpRequest) -> HttpResponse:
    """Have an extract put together and checked."""
    agency = access.agency(request, as_manager=True)
    if request.method != "POST":
        return redirect("extract")
    form = ExtractForm(agency, request.POST)
    if not form.is_valid():
        return _choose(request, agency, form)
    asked = actions.ask_for_extract(
        by=whoever(request),
        agency=agency,
        until=form.until,
        since=form.former,
        leave_out=form.cleaned_data["leave_out"],
    )
    return redirect("extract-checked", asked.pk)


@require_safe
def checked(request: HttpRequest, pk: int) -> HttpResponse:
    """How far the check of an extract is; what is in it and what is not; and once it is made, where it is."""
    return _checked(request, access.extract(request, pk))


def _checked(request: HttpRequest, extract: Extract, problem: str = "") -> HttpResponse:
    agency = extract.agency
    context: dict[str, Any] = {"agency": agency, "extract": extract, "problem": problem or extract.problem}
    if extract.state == Stage.FAILED:
        context["begun"] = _begun(Extract.objects.filter(agency=agency, by=whoever(request)))
    if extract.state in AT_WORK:
        making = extract.state in (Stage.ORDERED, Stage.MAKING)
        heading = "The extract is being made" if making else "The extract is being checked"
        return _awaited(request, extract, heading, "extract-state", context)
    context["submits"] = submits_for(whoever(request)).filter(pk=agency.pk).exists()
    if extract.state == Stage.MADE:
        context["until"] = extract.made + actions.KEPT_FOR if extract.made else None
        return pages.render(request, "caseload/extract_made.html", context)
    rules = extract.found.get("rules", {})
    episodes = Episode.objects.filter(agency=agency, episodid__in=list(rules)).select_related("client")
    # Of a rule that was dropped since there is nothing to say.
    broken = {each: [_RULES[rule] for rule in rules[each.episodid] if rule in _RULES] for each in episodes}
    context |= {
        "until": extract.at + actions.KEPT_FOR,
        "listed": _to_settle(broken),
        "more": max(0, extract.found.get("rejects", 0) - len(rules)),
        # What was chosen, to have it checked again.
        "chosen": {"month": f"{extract.until:%Y-%m}", "since": extract.since_id or ""},
    }
    return pages.render(request, "caseload/extract_checked.html", context)


def _awaited(
    request: HttpRequest, passage: Extract | Import, heading: str, state_url: str, context: dict[str, Any]
) -> HttpResponse:
    context |= {
        "heading": heading,
        "state_url": reverse(state_url, args=[passage.pk]),
        "text": _how_far(passage),
        "done": passage.done,
        "size": passage.size,
    }
    return pages.render(request, "caseload/awaited.html", context)


@require_safe
def state(request: HttpRequest, pk: int) -> JsonResponse:
    """How far an extract is, for the page that awaits it."""
    return _state(access.extract(request, pk))


def _state(passage: Extract | Import) -> JsonResponse:
    text = _how_far(passage)
    finished = passage.state not in AT_WORK
    return JsonResponse({"text": text, "done": passage.done, "size": passage.size, "finished": finished})


def _how_far(passage: Extract | Import) -> str:
    making = passage.state == Stage.MAKING
    if passage.state == Stage.WAITING and passage.at < timezone.now() - SOON:
        return "It still waits for its turn: where that goes on, tell whoever runs the service"
    if passage.state in (Stage.WAITING, Stage.ORDERED):
        return "It waits for its turn"
    if isinstance(passage, Extract):
        return "It is being made" if making else "The records are being put together and checked"
    if making and passage.done:
        return f"{passage.done:,} of {passage.size:,} clients are put in"
    return "The file is being read and checked"


@_GET_OR_POST
def make(request: HttpRequest, pk: int) -> HttpResponse:
    """Have a checked extract made, to be downloaded or sent to the portal."""
    extract = access.extract(request, pk)
    if request.method != "POST":
        return redirect("extract-checked", extract.pk)
    try:
        actions.order_extract(by=whoever(request), extract=extract, to_portal=request.POST.get("to") == "portal")
    except Refused as problem:
        return _checked(request, extract, str(problem))
    return redirect("extract-checked", extract.pk)


@require_safe
def download(request: HttpRequest, pk: int) -> HttpResponseBase:
    """The file of an extract that was made."""
    extract = access.extract(request, pk)
    if extract.state != Stage.MADE:
        raise Http404
    return _download(request, extract, working.FILE, extract.name, "downloaded an extract")


@require_safe
def download_labels(request: HttpRequest, pk: int) -> HttpResponseBase:
    """The copy of an extract with labels, made or not."""
    extract = access.extract(request, pk)
    if extract.state not in (Stage.CHECKED, Stage.MADE):
        raise Http404
    name = leaving.with_labels(extract.name)
    return _download(request, extract, working.LABELS, name, "downloaded an extract with labels")


def _download(request: HttpRequest, extract: Extract, file: str, name: str, what: str) -> HttpResponseBase:
    try:
        data = working.to_download(extract, file)
    except Refused as problem:
        return _checked(request, extract, str(problem))
    if request.method == "GET":
        counts = {"clients": extract.counts["clients"]}
        note(what, by=whoever(request), agency=extract.agency, about=extract.agency.code, counts=counts)
    return FileResponse(io.BytesIO(data), as_attachment=True, filename=name, content_type="text/csv; charset=utf-8")


def write(
    code: str,
    *,
    until: date,
    new: bool = False,
    leave_out: bool = False,
    labels: bool = False,
    style: Style | None = None,
    where: str = "",
) -> tuple[Made, str]:
    """Make an extract of the caseload that this installation keeps, and write it to a file: for the command line.

    `where` is the file or the folder it goes to, by default the folder one is in, and `style` that of its dates, by
    default the installation's. Returns what was made and where it
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
    since = leaving.former(agency).first() if new else None
    if new and since is None:
        raise Refused(f"There is no former extract of {agency.code}: make the first one without --new")
    made = leaving.make(agency, until=until, since=since, leave_out=leave_out, style=style)
    if made.empty:
        raise Refused(f"There is nothing to extract of {agency.code}: {made.empty}")
    if made.extracted.blocked and not labels:
        return made, ""
    name, data = made.name(labels=labels), made.data(labels=labels)
    path = Path(where) / name if not where or Path(where).is_dir() else Path(where)
    with placed(path) as file:
        file.write(data)
        if not labels:
            # Before it has its place: what is there and not marked would never be taken back.
            working.record(made, data)
    return made, str(path)


# ---- settings --------------------------------------------------------------------------------------


class PracticeForm(forms.Form):
    """Where an agency is, how it names its extracts, and asks for consent."""

    dat = forms.ChoiceField(
        label="DAT of the agency",
        help_text="The partnership area of your CJIT. It is recorded as the DAT of residence of a client of no fixed"
        " abode. If it is not in the list, ask an administrator of this service to enter its code in the register",
        required=False,
        error_messages={"invalid_choice": "Select a DAT of the list"},
    )
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
        # A CJIT is in England. What is in the register and not in the list stays.
        labels = DATASET.lists["DAT"].labels
        twice = Counter(labels.values())
        named = {
            code: f"{label} ({code})" if twice[label] > 1 else label
            for code, label in labels.items()
            if code not in DATS_OUTSIDE_ENGLAND
        }
        known = {agency.dat: f"“{agency.dat}”, which is not in the list"} if agency.dat else {}
        some = sorted((known | named).items(), key=lambda each: each[1])
        self.fields["dat"].choices = [("", "Not known"), *some]  # type: ignore[attr-defined]

    def clean_dat(self) -> str:
        """As it is, where a page did not ask for it."""
        return str(self.cleaned_data["dat"]) if "dat" in self.data else self.agency.dat

    def clean_file_name(self) -> str:
        """A pattern of which a file name can be made."""
        pattern = str(self.cleaned_data["file_name"])
        # Without its ending a file is not opened by what people open files with.
        pattern += "" if pattern.lower().endswith(".csv") else ".csv"
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
    """The agency's DAT, the name pattern of its extracts, how it asks for consent, and lists that are stand-ins."""
    agency = access.agency(request, as_manager=True)
    kept = leaving.practice(agency)
    initial = {"dat": agency.dat, "file_name": kept.file_name, "consent_wording": kept.consent_wording}
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
    counted_from = a_day(
        "When were the last assessments of interventions made?",
        "Enter the day of the last assessments, or today",
    )

    def clean_file(self) -> UploadedFile[Any]:
        """A file that is not too large; that it is empty is told by its reader."""
        file: UploadedFile[Any] = self.cleaned_data["file"]
        if (file.size or 0) > installation.UPLOAD_BYTES:
            raise forms.ValidationError(
                f"The file is larger than {installation.UPLOAD_BYTES // 1_000_000:,} MB: divide it into parts"
            )
        return file

    def clean_counted_from(self) -> date:
        """A day that is over, or today."""
        day: date = self.cleaned_data["counted_from"]
        if day > timezone.localdate():
            raise forms.ValidationError("The day of the last assessments must be today or earlier")
        return day


@_GET_OR_POST
def import_file(request: HttpRequest) -> HttpResponse:
    """Choose the file the agency sent last, to begin a caseload with."""
    agency = access.agency(request, as_manager=True)
    form = ImportForm(_typed(request), request.FILES if request.method == "POST" else None)
    if request.method == "POST" and form.is_valid():
        file: UploadedFile[Any] = form.cleaned_data["file"]
        opened: BinaryIO = file.file  # type: ignore[assignment]
        try:
            asked = actions.ask_for_import(
                by=whoever(request),
                agency=agency,
                file=opened,
                name=file.name or "The file",
                counted_from=form.cleaned_data["counted_from"],
            )
            return redirect("import-read", asked.pk)
        except Refused as problem:
            form.add_error("file", str(problem))
    context = {
        "agency": agency,
        "agencies": manages(whoever(request)).order_by("code"),
        "form": form,
        "begun": _begun(Import.objects.filter(agency=agency, by=whoever(request))),
        "most": MOST,
        "megabytes": installation.UPLOAD_BYTES // 1_000_000,
        "dataset": DATASET,
    }
    return pages.render(request, "caseload/import.html", context)


@require_safe
def read(request: HttpRequest, pk: int) -> HttpResponse:
    """How far the reading of a file is; what it would bring, in counts; and once it is imported, what it brought."""
    return _read(request, access.arrived(request, pk))


def _read(request: HttpRequest, arrived: Import, problem: str = "") -> HttpResponse:
    context = {"agency": arrived.agency, "arrived": arrived, "problem": problem or arrived.problem}
    if arrived.state in AT_WORK:
        making = arrived.state in (Stage.ORDERED, Stage.MAKING)
        heading = "The records are being imported" if making else "The file is being read"
        return _awaited(request, arrived, heading, "import-state", context)
    return pages.render(request, "caseload/import_read.html", context)


@require_safe
def import_state(request: HttpRequest, pk: int) -> JsonResponse:
    """How far an import is, for the page that awaits it."""
    return _state(access.arrived(request, pk))


@_GET_OR_POST
def make_import(request: HttpRequest, pk: int) -> HttpResponse:
    """Have the records of a file put in that was read."""
    arrived = access.arrived(request, pk)
    if request.method != "POST":
        return redirect("import-read", arrived.pk)
    try:
        actions.order_import(by=whoever(request), arrived=arrived)
    except Refused as problem:
        return _read(request, arrived, str(problem))
    return redirect("import-read", arrived.pk)
