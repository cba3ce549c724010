"""What every page shares: the template environment, who is looking, and forms as GOV.UK components."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import date, datetime
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlencode

from django import forms
from django.conf import settings
from django.core.paginator import Page
from django.forms.boundfield import BoundField
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import render as _render
from django.templatetags.static import static
from django.urls import reverse
from django.utils import timezone
from django.utils.dateformat import format as formatted
from jinja2 import ChoiceLoader, Environment, PackageLoader, PrefixLoader
from whitenoise.storage import CompressedManifestStaticFilesStorage  # type: ignore[import-untyped]

from cjit.dates import day_of
from cjit.web.agencies.audit import ADDRESS
from cjit.web.agencies.models import Person, Role

# ---- the environment -------------------------------------------------------------------------------


def environment(**options: Any) -> Environment:
    """The Jinja2 environment: our templates, and the GOV.UK macros under `govuk_frontend_jinja/`."""
    macros = PrefixLoader({"govuk_frontend_jinja": PackageLoader("govuk_frontend_jinja")})
    options["loader"] = ChoiceLoader([options["loader"], macros])
    # Django has set `autoescape`.
    made = Environment(**options, trim_blocks=True, lstrip_blocks=True)  # noqa: S701
    made.filters |= {"thousands": thousands, "day": day, "moment": moment}
    made.globals |= {"url": reverse, "static": static, "fields": fields, "error_summary": error_summary}
    return made


def thousands(number: float) -> str:
    """A number with commas: 12,345."""
    return f"{number:,}"


def day(when: date | None) -> str:
    """A day as it is said: 3 March 2026. Of a moment, the day it is in London."""
    return formatted(_here(when), "j F Y") if when else ""


class DayInput(forms.SelectDateWidget):
    """A day in three boxes. A whole date in the first of them, in any way that is read, is that day."""

    def value_from_datadict(self, data: Mapping[str, Any], files: Any, name: str) -> Any:
        """The day as yyyy-mm-dd, or what Django makes of the boxes."""
        day = day_of(str(data.get(self.day_field % name, "")))
        return day.isoformat() if day else super().value_from_datadict(data, files, name)


def moment(when: datetime | None) -> str:
    """A moment as it is said: 3 March 2026 at 14:05, in London's time."""
    return formatted(_here(when), r"j F Y \a\t H:i") if when else ""


def _here(when: date) -> date:
    return timezone.localtime(when) if isinstance(when, datetime) and timezone.is_aware(when) else when


class Static(CompressedManifestStaticFilesStorage):  # type: ignore[misc]
    """Static files under names that tell their version once they are collected, and plain names before."""

    support_js_module_import_aggregation = True

    def stored_name(self, name: str) -> str:
        """The name a file is served under."""
        return str(super().stored_name(name)) if self.hashed_files else name


# ---- a request -------------------------------------------------------------------------------------


def everywhere(request: HttpRequest) -> dict[str, Any]:
    """What every template is given: who has signed in (with both steps), their roles, and the way round."""
    user = getattr(request, "user", None)
    person = user if isinstance(user, Person) and user.is_verified() else None  # type: ignore[attr-defined]
    roles = frozenset(person.memberships.values_list("role", flat=True)) if person else frozenset()
    return {
        "person": person,
        "half_signed_in": isinstance(user, Person) and person is None,
        "roles": roles,
        "navigation": list(_navigation(roles, request.path)),
        "csp_nonce": getattr(request, "csp_nonce", ""),
    }


#: The way round: who is shown what, under which name.
NAVIGATION: tuple[tuple[frozenset[Role], str, str], ...] = (
    (frozenset({Role.KEYWORKER, Role.MANAGER}), "due", "What is due"),
    (frozenset({Role.KEYWORKER, Role.MANAGER}), "clients", "Clients"),
    (frozenset({Role.MANAGER}), "extract", "Extract"),
    (frozenset({Role.PROVIDER}), "submissions", "Submissions"),
    (frozenset({Role.REGIONAL, Role.NATIONAL}), "staff", "Progress"),
    (frozenset({Role.ADMINISTRATOR}), "people", "People"),
    (frozenset({Role.ADMINISTRATOR, Role.REGIONAL}), "agencies", "Agencies"),
    (frozenset({Role.ADMINISTRATOR, Role.NATIONAL}), "audit", "Audit trail"),
)
#: Where else a part of the way round has its pages: an episode is a client's.
ALSO: Mapping[str, tuple[str, ...]] = {
    "clients": ("/caseload/episodes/", "/caseload/referrals/", "/caseload/contacts/", "/caseload/interventions/"),
    "extract": ("/caseload/extracts/", "/caseload/settings/", "/caseload/import/", "/caseload/imports/"),
}


def _navigation(roles: frozenset[str], path: str) -> Iterator[dict[str, Any]]:
    for whose, name, text in NAVIGATION:
        if roles & whose:
            href = reverse(name)
            yield {
                "href": href,
                "text": text,
                "current": path == href,
                "active": path.startswith((href, *ALSO.get(name, ()))),
            }


def render(
    request: HttpRequest, template: str, context: Mapping[str, Any] | None = None, status: int = 200
) -> HttpResponse:
    """A page."""
    return _render(request, template, dict(context or {}), status=status)


class Address:
    """The address a request comes from, for the audit trail; and nothing that is shown is kept by a browser."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        """Serve a request with its address known; behind a web server of ours, the one that it tells."""
        request.META["REMOTE_ADDR"] = _origin(request)
        # As the pages are. Another one that somebody names may read what no database keeps, such as half a character.
        request.encoding = "utf-8"
        token = ADDRESS.set(request.META["REMOTE_ADDR"][:45])
        try:
            response = self.get_response(request)
        finally:
            ADDRESS.reset(token)
        if not response.has_header("Cache-Control"):
            response.headers["Cache-Control"] = "no-store"
        return response


def _origin(request: HttpRequest) -> str:
    """Where a request comes from: each web server of ours (the setting PROXIES) tells whom it asks for, the last first.

    What stands before that is what the asker made up.
    """
    here = str(request.META.get("REMOTE_ADDR") or "")
    told = str(request.META.get("HTTP_X_FORWARDED_FOR") or "").split(",")
    while told and _is_ours(here):
        before = told.pop().strip()
        try:
            ip_address(before)
        except ValueError:
            break
        here = before
    return here


def _is_ours(address: str) -> bool:
    """Whether an address is of a web server before the service. None at all: it is reached by a socket of this host."""
    if not address:
        return bool(settings.PROXIES)
    try:
        known = ip_address(address)
    except ValueError:
        return False
    known = getattr(known, "ipv4_mapped", None) or known
    return any(known in network for network in settings.PROXIES)


# ---- long lists ------------------------------------------------------------------------------------


def pagination(page: Page[Any], query: dict[str, str]) -> dict[str, Any]:
    """What govukPagination takes, keeping the rest of a query; empty where there is one page only."""
    if page.paginator.num_pages == 1:
        return {}

    def href(number: int) -> str:
        return "?" + urlencode({**query, "page": number})

    told: dict[str, Any] = {"items": []}
    for number in page.paginator.get_elided_page_range(page.number, on_each_side=1, on_ends=1):
        if isinstance(number, int):
            told["items"].append({"number": number, "href": href(number), "current": number == page.number})
        else:
            told["items"].append({"ellipsis": True})
    if page.has_previous():
        told["previous"] = {"href": href(page.previous_page_number())}
    if page.has_next():
        told["next"] = {"href": href(page.next_page_number())}
    return told


# ---- forms -----------------------------------------------------------------------------------------


def fields(form: forms.BaseForm) -> dict[str, dict[str, Any]]:
    """By a form's field names, what a govuk macro takes: id, name, label, hint, errorMessage, and value or items.

    Radios and checkboxes are given a fieldset with the label as its legend; one checkbox alone is an item. A date
    asked with `SelectDateWidget` is given the three items of govukDateInput. A password is never given back.
    """
    return {bound.name: _parameters(bound) for bound in form}


def error_summary(form: forms.BaseForm) -> dict[str, Any]:
    """What govukErrorSummary takes: each error of a form in its order, with a link to the field that has it."""
    errors: list[dict[str, str]] = [{"text": str(e)} for e in form.non_field_errors()]
    errors += [{"text": str(e), "href": f"#{_first_id(bound)}"} for bound in form for e in bound.errors]
    return {"titleText": "There is a problem", "errorList": errors}


def _parameters(bound: BoundField) -> dict[str, Any]:
    widget = bound.field.widget
    label = {"text": bound.label}
    given: dict[str, Any] = {"id": bound.auto_id, "idPrefix": bound.auto_id, "name": bound.html_name}
    if bound.help_text:
        given["hint"] = {"text": bound.help_text}
    if bound.errors:
        given["errorMessage"] = {"text": " ".join(str(e) for e in bound.errors)}
    given |= _attributes(widget)

    value = bound.value()
    if isinstance(widget, forms.SelectDateWidget):
        given |= {"fieldset": {"legend": label}, "items": list(_date_parts(bound, widget))}
    elif isinstance(widget, forms.CheckboxInput):
        given["items"] = [{"value": "on", "text": bound.label, "checked": bool(value)}]
    elif isinstance(widget, forms.RadioSelect | forms.CheckboxSelectMultiple):
        given |= {"fieldset": {"legend": label}, "items": _choices(widget, value, "checked")}
    elif isinstance(widget, forms.Select):
        given |= {"label": label, "items": _choices(widget, value, "selected")}
    elif isinstance(widget, forms.FileInput | forms.PasswordInput):
        given["label"] = label
    else:
        given |= {"label": label, "value": widget.format_value(value) or ""}
    return given


def _attributes(widget: forms.Widget) -> dict[str, Any]:
    """The attributes a form gives its widget. Its lengths are left out: a browser would cut without a word."""
    attributes = {k: v for k, v in widget.attrs.items() if k not in {"maxlength", "minlength", "required"}}
    named: dict[str, Any] = {
        k: attributes.pop(k) for k in ("autocomplete", "inputmode", "spellcheck", "rows") if k in attributes
    }
    if "spellcheck" in named:
        named["spellcheck"] = str(named["spellcheck"]).lower() == "true"
    if "class" in attributes:
        named["classes"] = attributes.pop("class")
    if isinstance(widget, forms.widgets.Input) and widget.input_type != "file":
        named["type"] = widget.input_type
    return named | ({"attributes": attributes} if attributes else {})


def _choices(widget: forms.widgets.ChoiceWidget, value: Any, chosen: str) -> list[dict[str, Any]]:
    values = {str(v) for v in (value if isinstance(value, list | tuple | set) else [value]) if v is not None}
    items: list[dict[str, Any]] = []
    for option, text in widget.choices:
        if isinstance(widget, forms.RadioSelect) and not str(option):
            continue
        items.append({"value": str(option), "text": str(text), chosen: str(option) in values})
    return items


def _date_parts(bound: BoundField, widget: forms.SelectDateWidget) -> Iterator[dict[str, Any]]:
    known: Mapping[str, Any] = widget.format_value(bound.value())
    for part, width in (("day", 2), ("month", 2), ("year", 4)):
        name = f"{bound.html_name}_{part}"
        value = bound.form.data.get(name, "") if bound.form.is_bound else known.get(part)
        error = " govuk-input--error" if bound.errors else ""
        yield {
            "id": f"{bound.auto_id}_{part}",
            "name": name,
            "label": part.title(),
            "value": "" if value is None else value,
            "classes": f"govuk-input--width-{width}{error}",
        }


def _first_id(bound: BoundField) -> str:
    return f"{bound.auto_id}_day" if isinstance(bound.field.widget, forms.SelectDateWidget) else str(bound.auto_id)
