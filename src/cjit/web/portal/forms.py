"""The forms of the provider's pages: sending a file, and choosing which findings to look at."""

from __future__ import annotations

import io
from typing import Any, BinaryIO

import polars as pl
from django import forms
from django.conf import settings
from django.core.files.uploadedfile import UploadedFile

from cjit.dataset import Severity
from cjit.report.words import WORDS
from cjit.web.agencies import access
from cjit.web.agencies.models import Agency, Person
from cjit.web.dataset import DATASET
from cjit.web.portal.models import Scope

#: What each scope means, below its name.
SCOPE_HINTS = {
    Scope.FULL: "Records that are held here and are not in the file are listed, and you decide about each. Nothing is"
    " removed by itself.",
    Scope.NEW: "Records that are held here and are not in the file stay as they are.",
}


class SubmitForm(forms.Form):
    """A file, or its text, and what it holds. The agency is asked only of those who submit for several."""

    agency = forms.ModelChoiceField(
        Agency.objects.none(),
        label="Which agency is it for?",
        empty_label=None,
        widget=forms.RadioSelect,
        error_messages={"required": "Select the agency the file is for"},
    )
    file = forms.FileField(
        label="The dataset Q file",
        help_text="A CSV file, as your clinical system writes it",
        required=False,
        allow_empty_file=True,
        error_messages={"invalid": "Choose the file again: it did not arrive"},
    )
    text = forms.CharField(
        label="The text of the file",
        help_text="The header row first, then a line for each record; up to 2 MB",
        required=False,
        strip=False,
        widget=forms.Textarea(attrs={"rows": 8, "spellcheck": "false", "autocomplete": "off"}),
    )
    scope = forms.ChoiceField(
        label="What does the file hold?",
        choices=Scope.choices,
        widget=forms.RadioSelect,
        error_messages={"required": "Select what the file holds"},
    )

    def __init__(self, *args: Any, person: Person, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.agencies = access.submits_for(person)
        if self.agencies.count() == 1:
            del self.fields["agency"]
        else:
            self.fields["agency"].queryset = self.agencies  # type: ignore[attr-defined]

    def clean_file(self) -> UploadedFile[Any] | None:
        """A file that is not empty and not too large."""
        file: UploadedFile[Any] | None = self.cleaned_data["file"]
        if file and not file.size:
            raise forms.ValidationError("The file is empty: choose the one your clinical system wrote")
        if file and (file.size or 0) > settings.UPLOAD_BYTES:
            raise forms.ValidationError(
                f"The file is larger than {settings.UPLOAD_BYTES // 1_000_000:,} MB: send it in parts, as “only new or"
                " changed records”"
            )
        return file

    def clean(self) -> dict[str, Any]:
        """One of the two, a file or its text."""
        given = super().clean() or self.cleaned_data
        file, text = given.get("file"), (given.get("text") or "").strip()
        if file and text:
            self.add_error("text", "Choose a file or paste its text, not both")
        elif not file and not text and "file" not in self.errors:
            self.add_error("file", "Choose a file, or paste its text")
        return given

    @property
    def sent_for(self) -> Agency:
        """The agency chosen, or the only one there is."""
        return self.cleaned_data.get("agency") or self.agencies.get()

    @property
    def sent(self) -> tuple[BinaryIO, str]:
        """The bytes that were sent, and their name."""
        file: UploadedFile[Any] | None = self.cleaned_data["file"]
        if file:
            return file.file, file.name or "file.csv"  # type: ignore[return-value]
        return io.BytesIO(self.cleaned_data["text"].encode()), "pasted text"


class FindingsForm(forms.Form):
    """Which findings to look at. The choices are what was found."""

    severity = forms.ChoiceField(label="Outcome", required=False)
    header = forms.ChoiceField(label="Field", required=False)
    rule = forms.ChoiceField(label="Rule", required=False)
    client = forms.CharField(
        label="Your client ID",
        required=False,
        max_length=200,
        widget=forms.TextInput(attrs={"autocomplete": "off", "spellcheck": "false"}),
    )

    def __init__(self, found: pl.DataFrame, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for name in ("severity", "header", "rule"):
            counts = found[name].drop_nulls().value_counts(name="count").sort("count", name, descending=[True, False])
            told = [(value, f"{_shown(name, value)} ({count:,})") for value, count in counts.iter_rows()]
            self.fields[name].choices = [("", "All"), *told]  # type: ignore[attr-defined]


def _shown(name: str, value: str) -> str:
    if name == "severity":
        return WORDS[Severity(value)].short
    field = DATASET.by_header.get(value) if name == "header" else None
    return f"{field.header}: {field.label}" if field else value
