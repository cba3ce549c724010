"""What people fill in beside the questions: contacts, interventions, notes, consent, and the closure of an episode."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

from django import forms
from django.core.validators import MinValueValidator
from django.utils import timezone

from cjit.dataset import Entity
from cjit.datasets.p import P
from cjit.web import pages
from cjit.web.caseload import questions
from cjit.web.caseload.actions import NOT_KNOWN
from cjit.web.caseload.models import Contact
from cjit.web.dataset import DATASET

Kind = Contact.Kind
#: Whether a contact of a kind is face to face, or equivalent, where nothing else is said; of others it is asked.
FACE_TO_FACE: Mapping[str, bool] = {
    Kind.OFFICE: True,
    Kind.HOME: True,
    Kind.COURT: True,
    Kind.CUSTODY_SUITE: True,
    Kind.PRISON: True,
    Kind.VIDEO: True,
    Kind.TELEPHONE: False,
    Kind.MESSAGE: False,
}
_PROVIDED = "Client provided with "
#: The kinds of support that dataset P sent and dataset Q dropped, by header.
SUPPORT: Mapping[str, str] = {
    field.header: field.label.removeprefix(_PROVIDED)[:1].upper() + field.label.removeprefix(_PROVIDED)[1:]
    for field in P.entity(Entity.INTERVENTION)
    if field.codes
}
NOTHING = "none"
#: How the date of a closure is said: as the day of the last contact face to face, or as another.
LAST_CONTACT, OTHER = "LAST", "OTHER"
#: The reasons that are offered first for a client in prison.
_IN_CUSTODY = (*(r for r, where in questions.DESTINATIONS.items() if where == "PRISON"), questions.RETAINED_IN_CUSTODY)
_NOT_A_DAY = "Enter a day that exists, like 27 3 2026"


def a_day(label: str, wrong: str) -> forms.DateField:
    """A day in three boxes, today unless another is typed."""
    return forms.DateField(
        label=label,
        initial=timezone.localdate,
        validators=[MinValueValidator(date(1900, 1, 1), _NOT_A_DAY)],
        error_messages={"required": wrong, "invalid": _NOT_A_DAY},
        widget=pages.DayInput(),
    )


def _text(label: str, length: int, *, hint: str = "", wrong: str = "", rows: int = 4) -> forms.CharField:
    """Some lines of text; needed where it says what is `wrong` without."""
    return forms.CharField(
        label=label,
        help_text=hint,
        required=bool(wrong),
        max_length=length,
        error_messages={"required": wrong, "max_length": f"Enter {length:,} characters or fewer"},
        widget=forms.Textarea(attrs={"rows": rows}),
    )


def _choice(label: str, choices: Sequence[tuple[str, str]], wrong: str, **told: Any) -> forms.ChoiceField:
    return forms.ChoiceField(
        label=label,
        choices=choices,
        widget=forms.RadioSelect,
        error_messages={"required": wrong, "invalid_choice": wrong},
        **told,
    )


def _list(label: str) -> forms.ChoiceField:
    """A long list, which the script searches as somebody types."""
    return forms.ChoiceField(label=label, required=False, widget=forms.Select(attrs={"data-search": True}))


# ---- what stays here -------------------------------------------------------------------------------


class ContactForm(forms.Form):
    """A contact with a client. Whether it was face to face follows from its kind where nothing is said."""

    on = a_day("Date of the contact", "Enter the date of the contact")
    kind = _choice("How was it held?", Kind.choices, "Select how the contact was held")
    face_to_face = _choice(
        "Was it face to face, or equivalent?",
        (("yes", "Yes"), ("no", "No")),
        "Select whether it was face to face, or equivalent",
        help_text="If you leave this blank, a telephone call or a message counts as No, and all else as Yes."
        " For “Other”, please say.",
        required=False,
    )
    custody = forms.BooleanField(label="The client was in prison", required=False)
    note = _text("Note (optional)", 4000, rows=3)

    def clean(self) -> dict[str, Any]:
        """Fill in what follows from the kind. Who is met in prison was there."""
        given = super().clean() or self.cleaned_data
        kind, said = given.get("kind"), given.get("face_to_face")
        if kind and not said and kind not in FACE_TO_FACE:
            self.add_error("face_to_face", "Select whether it was face to face, or equivalent")
        given["face_to_face"] = said == "yes" if said else FACE_TO_FACE.get(str(kind), False)
        given["custody"] = bool(given.get("custody")) or kind == Kind.PRISON
        return given


class InterventionForm(forms.Form):
    """An assessment of what a client was provided with since the one before."""

    on = a_day("Date of the assessment", "Enter the date of the assessment")
    kinds = forms.MultipleChoiceField(
        label="What was the client provided with?",
        choices=[*SUPPORT.items(), (NOTHING, "None of these")],
        widget=forms.CheckboxSelectMultiple,
        error_messages={"required": "Select what the client was provided with, or “None of these”"},
    )
    leaving = forms.BooleanField(
        label="This is the assessment at the time the client left the caseload", required=False
    )
    note = _text("Note (optional)", 4000, rows=3)

    def clean_kinds(self) -> list[str]:
        """None of these, or some of them."""
        kinds = list(self.cleaned_data["kinds"])
        if NOTHING in kinds and len(kinds) > 1:
            raise forms.ValidationError("Select what the client was provided with, or “None of these”, not both")
        return [] if kinds == [NOTHING] else kinds


class NoteForm(forms.Form):
    """A note on a client."""

    text = _text("New note", 8000, wrong="Enter the note")


class ConsentForm(forms.Form):
    """A client's answer to whether their information may be shared with NDTMS."""

    given = _choice(
        "Does the client consent to their information being shared with NDTMS?",
        (("yes", "Yes"), ("no", "No, or not any more")),
        "Select whether the client consents",
    )
    on = a_day("Date of the answer", "Enter the date of the answer")
    wording = _text("The words they were asked with", 4000, rows=6)
    evidence = forms.CharField(
        label="Evidence",
        help_text="How the answer can be shown, for example “signed form in the file”. Needed for a yes.",
        required=False,
        max_length=400,
        error_messages={"max_length": "Enter 400 characters or fewer"},
    )

    def clean(self) -> dict[str, Any]:
        """Consent is informed and evidenced (Introduction); to decline needs no evidence."""
        given = super().clean() or self.cleaned_data
        if given.get("given") == "yes" and not given.get("evidence") and "evidence" not in self.errors:
            self.add_error("evidence", "Enter how the client’s consent can be shown")
        given["given"] = given.get("given") == "yes"
        return given


# ---- closure ---------------------------------------------------------------------------------------


class ClosureForm(forms.Form):
    """The closure of an episode. What is right is for the rule book to say: nothing typed is refused here.

    `caseload` says which group of reasons there is; `met` is the day of the last contact face to face, which is
    offered as the date; where a client is in `custody`, the reasons that say so come first.
    """

    when = forms.ChoiceField(label="Case closure date", required=False, widget=forms.RadioSelect)
    DISD = forms.CharField(label="Case closure date", required=False, widget=pages.DayInput())
    CJDISRSN = _choice("Case closure reason", (), "Select the case closure reason", required=False)
    prison = _list("Prison the client was transferred to")
    area = _list("CJIT area the client was transferred to")

    def __init__(
        self, *args: Any, caseload: bool, met: date | None = None, custody: bool = False, **kwargs: Any
    ) -> None:
        super().__init__(*args, **kwargs)
        self.met = met
        self.choices_of("when", [(LAST_CONTACT, "The last contact face to face"), (OTHER, "Another date")])
        reasons = questions.reasons(caseload)
        if custody:
            reasons = tuple(sorted(reasons, key=lambda code: code not in _IN_CUSTODY))
        labels = DATASET.lists["CJDISRSN"].labels
        self.choices_of("CJDISRSN", [(code, labels[code]) for code in reasons])
        for name, header in (("prison", "PRISON"), ("area", "DAT")):
            rows = [row for row in DATASET.lists[header].rows if row.group in ("", header)]
            twice = Counter(row.label for row in rows)
            called = {r.code: f"{r.label} ({r.code})" if twice[r.label] > 1 else r.label for r in rows}
            named = sorted(called.items(), key=lambda row: row[1])
            self.choices_of(name, [("", "Select"), *named, (NOT_KNOWN, "Not known")])

    def choices_of(self, name: str, choices: Sequence[tuple[str, str]]) -> None:
        """Set what a field may be chosen from."""
        field = self.fields[name]
        assert isinstance(field, forms.ChoiceField)  # noqa: S101 - those above
        field.choices = choices

    def clean(self) -> dict[str, Any]:
        """The date as it was typed, or that of the last contact; and the destination of the reason, if it has one."""
        given = super().clean() or self.cleaned_data
        parts = [str(self.data.get(f"DISD_{part}", "")).strip() for part in ("day", "month", "year")]
        given["DISD"] = "/".join(parts).rstrip("/")
        if self.met and given.get("when") == LAST_CONTACT:
            given["DISD"] = self.met.strftime("%d/%m/%Y")
        given["destination"] = given.get(self.asks_for(given.get("CJDISRSN", "")), "")
        return given

    @staticmethod
    def asks_for(reason: str) -> str:
        """The field in which a reason asks for a destination ("": none)."""
        return {"PRISON": "prison", "DAT": "area"}.get(questions.DESTINATIONS.get(reason, ""), "")
