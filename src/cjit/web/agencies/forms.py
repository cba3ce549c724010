"""What people fill in: sign-in, invitations, roles, the register, the calendar, and the filter of the audit trail."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django import forms
from django.contrib.auth.forms import AuthenticationForm
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.db.models import QuerySet

from cjit.web import pages
from cjit.web.agencies.actions import set_password
from cjit.web.agencies.models import AGENCY_CODE, OF_AN_AGENCY, Agency, AuditEvent, Person, Region, Role

#: What is said where Django refuses a password, by the code of its reason.
_PASSWORDS = {
    "password_too_short": "Enter a password of 12 characters or more",
    "password_too_common": "Enter a password that is harder to guess",
    "password_too_similar": "Enter a password that is not like your name or e-mail address",
}


def _address(label: str, autocomplete: str, hint: str = "") -> forms.EmailField:
    wrong = "Enter an e-mail address, like name@example.org"
    return forms.EmailField(
        label=label,
        help_text=hint,
        max_length=254,
        error_messages={"required": wrong, "invalid": wrong},
        widget=forms.EmailInput(attrs={"autocomplete": autocomplete, "spellcheck": False}),
    )


def _text(label: str, wrong: str, length: int, **attrs: Any) -> forms.CharField:
    return forms.CharField(
        label=label,
        max_length=length,
        error_messages={"required": wrong, "max_length": f"Enter {length} characters or fewer"},
        widget=forms.TextInput(attrs=attrs),
    )


def _day(label: str, wrong: str, *, hint: str = "", required: bool = True) -> forms.DateField:
    return forms.DateField(
        label=label,
        help_text=hint,
        required=required,
        error_messages={"required": wrong, "invalid": "Enter a day that exists, like 27 3 2026"},
        widget=pages.DayInput(),
    )


# ---- signing in ------------------------------------------------------------------------------------


class SignIn(AuthenticationForm):
    """The first step. It never says which of the two was wrong, nor whether the address has an account."""

    username = _address("E-mail address", "username")
    password = forms.CharField(
        label="Password",
        strip=False,
        error_messages={"required": "Enter your password"},
        widget=forms.PasswordInput(attrs={"autocomplete": "current-password"}),
    )

    def clean_username(self) -> str:
        """Addresses are kept in small letters."""
        return str(self.cleaned_data["username"]).lower()

    def get_invalid_login_error(self) -> ValidationError:
        """What is said of a wrong password, of no account, and of one whose access has ended."""
        return ValidationError("Enter the e-mail address and the password of your account", code="invalid_login")


class Code(forms.Form):
    """A code of the second step."""

    code = _text(
        "Code",
        "Enter the 6 figures your app shows",
        40,
        autocomplete="one-time-code",
        spellcheck=False,
        **{"class": "govuk-input--width-20"},
    )


class ResetPassword(forms.Form):
    """The address to which a link for a new password goes."""

    email = _address("E-mail address", "email")


class NewPassword(forms.Form):
    """A new password for somebody, typed once: the page can show it."""

    password = forms.CharField(
        label="Password",
        strip=False,
        max_length=200,
        help_text="12 characters or more: three words that do not belong together are good.",
        error_messages={"required": "Enter a password", "max_length": "Enter 200 characters or fewer"},
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}),
    )

    def __init__(self, user: Person, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.user = user

    def clean_password(self) -> str:
        """A password that is long enough, and not easily guessed."""
        password = str(self.cleaned_data["password"])
        try:
            validate_password(password, self.user)
        except ValidationError as slip:
            first = slip.error_list[0]
            raise ValidationError(_PASSWORDS.get(first.code or "", first.message)) from None
        return password

    def save(self) -> Person:
        """Set it."""
        set_password(by=self.user, password=self.cleaned_data["password"])
        return self.user


class Account(NewPassword):
    """What somebody invited fills in."""

    name = _text("Your full name", "Enter your full name", 120, autocomplete="name", spellcheck=False)
    field_order = ("name", "password")


# ---- people and roles ------------------------------------------------------------------------------


class InPlace(forms.Form):
    """A role, with the agency or region it is of. What a role does not need is left out."""

    role = forms.ChoiceField(
        label="Role",
        choices=Role.choices,
        widget=forms.RadioSelect,
        error_messages={"required": "Select a role", "invalid_choice": "Select a role"},
    )
    agency = forms.ModelChoiceField(
        Agency.objects.all(),
        label="Agency",
        help_text="For a provider user, keyworker or manager only.",
        required=False,
        empty_label="Select an agency",
        error_messages={"invalid_choice": "Select an agency of the list"},
    )
    region = forms.ModelChoiceField(
        Region.objects.order_by("name"),
        label="Region",
        help_text="For regional staff only.",
        required=False,
        empty_label="Select a region",
        error_messages={"invalid_choice": "Select a region of the list"},
    )

    def clean(self) -> dict[str, Any]:
        """Some roles are of an agency, regional staff's is of a region, the others are of neither."""
        given = super().clean() or self.cleaned_data
        role = given.get("role")
        for place, whose, wrong in (
            ("agency", OF_AN_AGENCY, "Select the agency they work for"),
            ("region", (Role.REGIONAL,), "Select the region they work in"),
        ):
            if role not in whose:
                given[place] = None
                self.errors.pop(place, None)
            elif not given.get(place) and place not in self.errors:
                self.add_error(place, wrong)
        return given


class Invite(InPlace):
    """Whom to invite, to which role."""

    name = _text("Full name", "Enter their full name", 120, spellcheck=False)
    email = _address("E-mail address", "off", "The invitation goes there, and they sign in with it.")
    field_order = ("name", "email", "role", "agency", "region")


# ---- the register ----------------------------------------------------------------------------------


class EditAgency(forms.Form):
    """What may be corrected of an agency."""

    name = _text("Name", "Enter the agency’s name", 120)
    dat = forms.RegexField(
        r"^[A-Z0-9]{1,6}$",
        label="DAT (optional)",
        required=False,
        error_messages={"invalid": "Enter up to six capital letters and figures, such as Z99Z"},
        widget=forms.TextInput(attrs={"class": "govuk-input--width-5", "spellcheck": False}),
    )


class AddAgency(EditAgency):
    """A new agency, in one of the regions whose register this is."""

    code = forms.CharField(
        label="Agency code",
        help_text="The code the regional team has allocated, such as CJ123.",
        validators=[AGENCY_CODE],
        error_messages={"required": "Enter the agency code, such as CJ123"},
        widget=forms.TextInput(attrs={"class": "govuk-input--width-5", "spellcheck": False}),
    )
    region = forms.ModelChoiceField(
        Region.objects.none(),
        label="Region",
        empty_label="Select a region",
        error_messages={"required": "Select a region", "invalid_choice": "Select a region of the list"},
    )
    opened = _day("First day", "Enter the agency’s first day", hint="For example, 1 4 2026.")
    field_order = ("code", "name", "region", "dat", "opened")

    def __init__(self, regions: QuerySet[Region], *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["region"].queryset = regions  # type: ignore[attr-defined]


class CloseAgency(forms.Form):
    """An agency's last day."""

    closed = _day("Last day", "Enter the agency’s last day", hint="For example, 31 3 2026.")


class ReopenAgency(forms.Form):
    """The first day of an agency that was closed."""

    reopened = _day(
        "First day again",
        "Enter the day from which the agency is open again",
        hint="The day after its last day, if it should not have been closed at all.",
    )


# ---- the calendar ----------------------------------------------------------------------------------


class DueDay(forms.Form):
    """The day by which agencies submit for a month."""

    due = _day("Due by", "Enter the day by which agencies submit")


# ---- the audit trail -------------------------------------------------------------------------------


class AuditFilter(forms.Form):
    """Which events are shown: all, or those of an agency, of an action, from a day, until a day."""

    agency = forms.ModelChoiceField(
        Agency.objects.all(), label="Agency", required=False, empty_label="All", to_field_name="code"
    )
    action = forms.ChoiceField(label="Action", required=False)
    since = _day("From", "", required=False)
    until = _day("To", "", required=False)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        actions: Iterable[str] = AuditEvent.objects.order_by("action").values_list("action", flat=True).distinct()
        self.fields["action"].choices = [("", "All"), *((each, each) for each in actions)]  # type: ignore[attr-defined]

    def events(self) -> QuerySet[AuditEvent]:
        """The events, newest first. What cannot be understood filters nothing, and is told."""
        self.full_clean()
        given = self.cleaned_data if self.is_bound else {}
        named = {
            "agency": given.get("agency"),
            "action": given.get("action"),
            "at__date__gte": given.get("since"),
            "at__date__lte": given.get("until"),
        }
        return AuditEvent.objects.filter(**{key: value for key, value in named.items() if value}).select_related(
            "agency"
        )
