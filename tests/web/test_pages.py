import json
import logging
import os
import re
import subprocess
import sys
from datetime import UTC, date, datetime
from html.parser import HTMLParser
from pathlib import Path

import pytest
from django import forms
from django.contrib.messages import constants
from django.contrib.messages.storage.base import Message
from django.core.exceptions import BadRequest
from django.http import HttpRequest, HttpResponse
from django.template import engines
from django.test import Client, RequestFactory
from django.urls import include, path, reverse
from django.views.debug import get_exception_reporter_class
from tests.web.conftest import follow

from cjit.web import errors, pages
from cjit.web.agencies.audit import ADDRESS
from cjit.web.agencies.models import OF_AN_AGENCY, Role

STATIC = Path(pages.__file__).parent / "static"
OPEN_PAGES = ("accessibility", "privacy", "sign-in", "password-reset")
VALUE = "Zebedee 07/03/1988"


class Seen(HTMLParser):
    """The ids of a page, what points at them, and what a browser would run."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.ids: list[str] = []
        self.points: set[str] = set()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        given = dict(attrs)
        self.tags.append((tag, given))
        self.ids += [given["id"]] if given.get("id") else []
        self.points |= set((given.get("aria-describedby") or "").split())
        self.points |= {given["for"]} if given.get("for") else set()
        href = given.get("href") or ""
        self.points |= {href[1:]} if href.startswith("#") else set()


# ---- a service in which things go wrong ------------------------------------------------------------


def broken(request: HttpRequest) -> HttpResponse:
    surname = VALUE
    raise LookupError(f"duplicate key: {surname}")


def unreadable(request: HttpRequest) -> HttpResponse:
    raise BadRequest(VALUE)


# Under names that are open to all: what is tried is the error, not who may see it.
urlpatterns = [
    path("broken/", broken, name="alive"),
    path("unreadable/", unreadable, name="favicon"),
    path("", include("cjit.web.urls")),
]
handler400, handler403 = "cjit.web.errors.bad_request", "cjit.web.errors.forbidden"
handler404, handler500 = "cjit.web.errors.not_found", "cjit.web.errors.failed"


@pytest.fixture
def unlucky(settings, db) -> Client:
    settings.ROOT_URLCONF = __name__
    return Client(raise_request_exception=False, enforce_csrf_checks=True)


@pytest.fixture
def error_pages(unlucky, signed_in, provider) -> dict[int, HttpResponse]:
    return {
        400: unlucky.get("/unreadable/"),
        403: unlucky.post(reverse("sign-in"), {"username": VALUE}),
        404: signed_in(provider).get(f"/{VALUE}/"),
        500: unlucky.get("/broken/"),
    }


def test_each_error_has_its_page_and_no_page_shows_a_value(error_pages):
    titles = {
        400: "We could not read that request",
        403: "Your page was open too long",
        404: "Page not found",
        500: "Sorry, there is a problem with the service",
    }
    for status, answer in error_pages.items():
        assert answer.status_code == status
        assert f'<h1 class="govuk-heading-l">{titles[status]}</h1>' in answer.text
        assert "Zebedee" not in answer.text


@pytest.mark.parametrize(
    "answer",
    [errors.bad_request, errors.forbidden, errors.not_found, errors.failed],
    ids=["400", "403", "404", "500"],
)
def test_an_error_page_needs_no_database(answer):
    # A test without the mark for it cannot reach the database.
    assert "</html>" in answer(RequestFactory().get("/")).text


def test_the_log_tells_where_an_error_was_and_not_what_it_said(unlucky, caplog):
    unlucky.get("/broken/")
    record = next(r for r in caplog.records if r.exc_info)
    from django.conf import settings

    configured = settings.LOGGING["formatters"]["plain"]  # type: ignore[index]
    written = errors.Formatter(configured["format"]).format(record)

    assert configured["()"] == "cjit.web.errors.Formatter"
    assert "builtins.LookupError" in written
    assert "in broken" in written
    assert "Zebedee" not in written


def _report():
    request = RequestFactory().post("/people/", {"name": VALUE}, headers={"cookie": f"x={VALUE}"})
    password = VALUE
    try:
        try:
            int(password)
        except ValueError as slip:
            raise LookupError(f"no such person: {password}") from slip
    except LookupError:
        kind = get_exception_reporter_class(request)
        return kind(request, *sys.exc_info())  # type: ignore[operator]


@pytest.mark.parametrize("form", ["text", "html"])
def test_a_report_of_an_error_shows_no_values(form):
    report = _report()
    written = getattr(report, f"get_traceback_{form}")()

    assert isinstance(report, errors.Reporter)
    assert "POST /people/" in written
    assert "builtins.LookupError" in written
    assert "builtins.ValueError" in written
    assert "in _report" in written
    for value in ("Zebedee", "1988"):
        assert value not in written


def test_errors_that_lead_in_a_circle_are_told_once():
    first, second = ValueError(VALUE), LookupError(VALUE)
    first.__context__, second.__context__ = second, first

    assert errors.without_values(first) == "builtins.ValueError\nwhich followed\nbuiltins.LookupError"


# ---- what a browser is told ------------------------------------------------------------------------


def _policy(answer: HttpResponse) -> dict[str, str]:
    parts = answer.headers["Content-Security-Policy"].split("; ")
    return {part.split(" ", 1)[0]: part.split(" ", 1)[1] for part in parts}


@pytest.mark.parametrize("name", OPEN_PAGES)
def test_nothing_runs_or_loads_but_our_own_files(client, db, name):
    answer = client.get(reverse(name))
    policy = _policy(answer)

    assert policy["default-src"] == policy["base-uri"] == policy["frame-ancestors"] == "'none'"
    assert policy["script-src"] == policy["style-src"] == policy["connect-src"] == policy["form-action"] == "'self'"
    assert "unsafe" not in str(policy)
    for tag, given in Seen(answer.text).tags:
        assert tag != "style"
        assert tag != "script" or given.get("src")
        assert not [name for name in given if name == "style" or name.startswith("on")]


def test_errors_are_sent_with_the_same_policy(error_pages, client):
    policies = [_policy(answer) for answer in error_pages.values()]

    assert all(policy == _policy(client.get("/alive/")) for policy in policies)


def test_pages_are_not_kept_framed_or_guessed_at(client, db):
    headers = client.get(reverse("privacy")).headers

    assert headers["Cache-Control"] == "no-store"
    assert headers["X-Frame-Options"] == "DENY"
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "same-origin"
    assert headers["Cross-Origin-Opener-Policy"] == "same-origin"


@pytest.mark.process
def test_django_finds_nothing_to_say_of_a_service_reached_by_https(tmp_path):
    environment = {**os.environ, "CJIT_HOME": str(tmp_path), "CJIT_TLS": "1", "CJIT_HOSTS": "cjit.example.org"}
    # What the browser of these tests needs is no setting of a service.
    environment.pop("DJANGO_ALLOW_ASYNC_UNSAFE", None)
    command = [sys.executable, "-W", "error", "-m", "cjit.web.manage", "check", "--deploy", "--fail-level", "INFO"]
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)

    assert (ended.returncode, ended.stderr) == (0, "")
    assert "no issues" in ended.stdout


def test_it_says_that_it_is_alive_without_a_database(client):
    answer = client.get("/alive/")

    assert (answer.status_code, answer.text) == (200, "alive\n")


# ---- what is not ours to show ----------------------------------------------------------------------


def test_the_style_sheet_has_no_font_picture_or_emblem_of_gov_uk():
    css = (STATIC / "cjit.css").read_text().lower()

    # A mark of the byte order amid the file would undo the rule after it.
    for foreign in ("\ufeff", "gds transport", "@font-face", "url(", "crown", "crest", "@import"):
        assert foreign not in css
    assert ".govuk-button{" in css
    assert "system-ui,arial,sans-serif" in css


def test_static_files_are_those_we_made_and_the_licence_of_those_we_did_not():
    ours = {path.name for path in STATIC.iterdir() if path.stem in ("cjit", "caseload", "search", "favicon")}
    theirs = ("govuk-frontend", "accessible-autocomplete")

    assert {path.name for path in STATIC.iterdir()} - ours == {
        f"{name}.{kind}" for name in theirs for kind in ("LICENSE.txt", "min.js")
    }
    for name in theirs:
        assert "Permission is hereby granted, free of charge" in (STATIC / f"{name}.LICENSE.txt").read_text()
        for file in ("cjit.css", f"{name}.min.js"):
            assert f"MIT licence: see {name}.LICENSE.txt" in (STATIC / file).read_text()[:240]


def test_no_page_shows_a_crown(client, db, error_pages):
    shown = [client.get(reverse(name)) for name in OPEN_PAGES] + list(error_pages.values())

    for answer in shown:
        assert "crown" not in answer.text.lower()
        assert "Not a service of NDTMS, DHSC or GOV.UK" in answer.text


# ---- static files ----------------------------------------------------------------------------------


def test_static_files_are_served_before_they_are_collected(client, db):
    for name in ("cjit.css", "cjit.js", "govuk-frontend.min.js", "favicon.svg"):
        answer = client.get(f"/static/{name}")
        assert (answer.status_code, b"".join(answer)) == (200, (STATIC / name).read_bytes())
        answer.close()
    assert client.get("/favicon.ico").headers["Location"] == "/static/favicon.svg"


@pytest.mark.process
def test_collected_files_are_named_by_what_they_hold(tmp_path):
    environment = {**os.environ, "CJIT_HOME": str(tmp_path)}
    command = [sys.executable, "-W", "error", "-m", "cjit.web.manage", "collectstatic", "--noinput", "-v0"]
    subprocess.run(command, env=environment, check=True)
    named = json.loads((tmp_path / "static/staticfiles.json").read_text())["paths"]

    assert re.fullmatch(r"cjit\.[0-9a-f]{12}\.css", named["cjit.css"])
    script = (tmp_path / "static" / named["cjit.js"]).read_text()
    assert f'from "./{named["govuk-frontend.min.js"]}"' in script
    entry = (tmp_path / "static" / named["caseload.js"]).read_text()
    assert f'import("./{named["accessible-autocomplete.min.js"]}")' in entry


# ---- every page ------------------------------------------------------------------------------------


def _page(**context: object) -> str:
    text = '{% extends "base.html" %}{% block title %}T{% endblock %}{% block content %}<h1>H</h1>{% endblock %}'
    return str(engines["jinja2"].from_string(text).render(context))


@pytest.mark.parametrize("name", OPEN_PAGES)
def test_a_page_can_be_skipped_through_and_has_one_heading(client, db, name):
    answer = client.get(reverse(name))
    seen = Seen(answer.text)

    assert seen.points <= set(seen.ids)
    assert len(seen.ids) == len(set(seen.ids))
    assert [tag for tag, _ in seen.tags].count("h1") == 1
    assert ("html", {"lang": "en", "class": "govuk-template"}) in seen.tags
    assert re.search(r"<title>[^<]+ – CJIT records</title>", answer.text)


def test_what_was_done_is_told_in_a_banner():
    banner = _page(messages=[Message(constants.SUCCESS, "Done <b>"), Message(constants.WARNING, "But")])

    assert "govuk-notification-banner--success" in banner
    assert "Done &lt;b&gt;" in banner
    assert {"message-1", "message-2"} <= set(Seen(banner).ids)


NAVIGATION = {
    Role.PROVIDER: ["Submissions"],
    Role.KEYWORKER: ["What is due", "Clients"],
    Role.MANAGER: ["What is due", "Clients", "Extract"],
    Role.REGIONAL: ["Progress", "Agencies"],
    Role.NATIONAL: ["Progress", "Audit trail"],
    Role.ANALYST: [],
    Role.ADMINISTRATOR: ["People", "Agencies", "Audit trail"],
}


@pytest.mark.parametrize("role", Role)
def test_everybody_is_shown_the_way_to_what_they_may_do(signed_in, person_with, agency, region, role):
    place = {"agency": agency} if role in OF_AN_AGENCY else {"region": region} if role == Role.REGIONAL else {}
    answer = signed_in(person_with(role, **place)).get(reverse("privacy"))
    links = re.findall(r'<a class="govuk-service-navigation__link"[^>]*>\s*(.*?)\s*</a>', answer.text, re.DOTALL)

    assert links == NAVIGATION[role]
    assert re.search(r'<form method="post" action="/sign-out/">\s*<input type="hidden" name="csrf', answer.text)


HOMES = {
    Role.PROVIDER: "submissions",
    Role.KEYWORKER: "due",
    Role.MANAGER: "due",
    Role.REGIONAL: "staff",
    Role.NATIONAL: "staff",
    Role.ADMINISTRATOR: "people",
}


@pytest.mark.parametrize("role", HOMES)
def test_everybody_begins_where_their_work_is(signed_in, person_with, agency, region, role):
    place = {"agency": agency} if role in OF_AN_AGENCY else {"region": region} if role == Role.REGIONAL else {}
    answer = signed_in(person_with(role, **place)).get("/")

    assert answer.headers["Location"] == reverse(HOMES[role])


def test_an_analyst_and_somebody_without_a_role_are_told_what_there_is(signed_in, person_with):
    analyst = person_with(Role.ANALYST)
    browser = signed_in(analyst)
    assert "statistics only" in browser.get("/").text

    analyst.memberships.all().delete()
    assert "no role yet" in browser.get("/").text


def test_who_is_not_signed_in_is_shown_no_way(client, db):
    assert "govuk-service-navigation" not in client.get(reverse("privacy")).text
    assert client.get("/").headers["Location"] == "/sign-in/?next=/"


def test_the_audit_trail_knows_the_address_while_a_request_is_served():
    known = []

    def serve(request: HttpRequest) -> HttpResponse:
        known.append(ADDRESS.get())
        return HttpResponse()

    pages.Address(serve)(RequestFactory().get("/", REMOTE_ADDR="192.0.2.7"))

    assert known == ["192.0.2.7"]
    assert ADDRESS.get() == ""


def test_numbers_days_and_moments_are_written_as_they_are_said():
    assert pages.thousands(1234567) == "1,234,567"
    assert pages.day(date(2026, 3, 3)) == "3 March 2026"
    assert pages.moment(datetime(2026, 3, 3, 14, 5, tzinfo=UTC)) == "3 March 2026 at 14:05"
    # London is an hour ahead in summer.
    assert pages.moment(datetime(2026, 7, 3, 23, 30, tzinfo=UTC)) == "4 July 2026 at 00:30"
    assert pages.day(datetime(2026, 7, 3, 23, 30, tzinfo=UTC)) == "4 July 2026"
    assert pages.day(None) == pages.moment(None) == ""


# ---- forms -----------------------------------------------------------------------------------------


class Everything(forms.Form):
    email = forms.EmailField(
        label="E-mail",
        help_text="At work",
        max_length=9,
        widget=forms.EmailInput(attrs={"autocomplete": "email", "class": "wide", "data-x": "1", "spellcheck": "false"}),
    )
    password = forms.CharField(label="Password", widget=forms.PasswordInput)
    notes = forms.CharField(label="Notes", widget=forms.Textarea(attrs={"rows": 3}))
    region = forms.ChoiceField(label="Region", choices=[("", "Choose"), ("N", "North"), ("S", "South")])
    role = forms.ChoiceField(label="Role", choices=Role.choices, widget=forms.RadioSelect)
    days = forms.MultipleChoiceField(
        label="Days", choices=[("1", "Mo"), ("2", "Tu")], widget=forms.CheckboxSelectMultiple
    )
    sure = forms.BooleanField(label="I am sure")
    opened = forms.DateField(label="Opened", widget=forms.SelectDateWidget)
    file = forms.FileField(label="File")

    def clean(self):
        raise forms.ValidationError("Ask for help")


MACROS = {
    "email": "input",
    "password": "password-input",
    "notes": "textarea",
    "region": "select",
    "role": "radios",
    "days": "checkboxes",
    "sure": "checkboxes",
    "opened": "date-input",
    "file": "file-upload",
}


def _shown(form: forms.Form) -> str:
    """A form in GOV.UK components, with what is wrong with it."""
    text = '{% from "govuk_frontend_jinja/components/error-summary/macro.html" import govukErrorSummary %}'
    text += "{{ govukErrorSummary(error_summary(form)) }}"
    for name, folder in MACROS.items():
        macro = "govuk" + folder.title().replace("-", "")
        text += f'{{% from "govuk_frontend_jinja/components/{folder}/macro.html" import {macro} %}}'
        text += f"{{{{ {macro}(fields(form).{name}) }}}}"
    return str(engines["jinja2"].from_string(text).render({"form": form}))


def test_every_error_is_linked_to_the_field_that_has_it():
    form = Everything({})
    seen = Seen(_shown(form))
    summary = pages.error_summary(form)

    assert summary["errorList"][0] == {"text": "Ask for help"}
    assert len(summary["errorList"]) == 1 + len(MACROS)
    assert seen.points <= set(seen.ids)
    assert {f"id_{name}-error" for name in MACROS} <= seen.points
    assert len(seen.ids) == len(set(seen.ids))


def test_what_was_entered_is_shown_again_but_no_password():
    entered = {
        "email": "<x>@y",
        "password": VALUE,
        "notes": "Some <i>",
        "region": "S",
        "role": "analyst",
        "days": ["2"],
        "sure": "on",
        "opened_day": "31",
        "opened_month": "Feb",
        "opened_year": "26",
    }
    shown = _shown(Everything(entered))
    given = {attributes["id"]: attributes for _, attributes in Seen(shown).tags if "id" in attributes}

    assert given["id_email"]["value"] == "<x>@y"
    assert ">Some &lt;i&gt;</textarea>" in shown
    assert re.search(r'value="S"\s+selected', shown)
    chosen = [attributes for attributes in given.values() if "checked" in attributes]
    assert [attributes["value"] for attributes in chosen] == ["analyst", "2", "on"]
    assert [given[f"id_opened_{part}"]["value"] for part in ("day", "month", "year")] == ["31", "Feb", "26"]
    assert "Zebedee" not in shown


def test_what_a_form_begins_with_is_shown():
    form = Everything(initial={"email": "a@b", "region": "N", "role": Role.REGIONAL, "opened": date(2026, 3, 9)})
    fields = pages.fields(form)

    assert fields["email"]["value"] == "a@b"
    assert [item["value"] for item in fields["region"]["items"] if item["selected"]] == ["N"]
    assert [item["value"] for item in fields["role"]["items"] if item["checked"]] == ["regional"]
    assert [item["value"] for item in fields["opened"]["items"]] == [9, 3, 2026]
    assert "errorMessage" not in fields["email"]


def test_a_field_keeps_its_hint_and_attributes_but_no_length_at_which_a_browser_would_cut():
    field = pages.fields(Everything())["email"]

    assert field["hint"] == {"text": "At work"}
    assert (field["type"], field["autocomplete"], field["classes"]) == ("email", "email", "wide")
    assert field["spellcheck"] is False
    assert field["attributes"] == {"data-x": "1"}


# ---- in a browser ----------------------------------------------------------------------------------


@pytest.mark.browser
def test_the_way_round_folds_into_a_menu_on_a_phone(tab, signed_in, person_with, live_server):
    cookies = signed_in(person_with(Role.ADMINISTRATOR)).cookies
    page = tab("/sign-in/", 390)
    page.context.add_cookies([{"name": c.key, "value": c.value, "url": live_server.url} for c in cookies.values()])
    page.goto(live_server.url + reverse("privacy"))

    assert not page.get_by_role("link", name="Audit trail").is_visible()
    page.get_by_role("button", name="Menu").click()
    assert page.get_by_role("link", name="Audit trail").is_visible()
    follow(page.get_by_role("button", name="Sign out"))
    assert page.get_by_role("heading", name="Sign in").is_visible()


@pytest.mark.browser
def test_a_page_works_without_javascript(tab):
    page = tab(reverse("sign-in"), java_script_enabled=False)

    assert page.locator("main h1").inner_text() == "Sign in"
    follow(page.get_by_role("link", name="Privacy"))
    assert page.locator("main h1").inner_text() == "Privacy"


@pytest.mark.browser
def test_progress_is_asked_for_until_it_is_over(tab):
    page = tab(reverse("privacy"))
    answers = [
        {"text": "Begun", "done": 0, "size": 0, "finished": False},
        {"text": "Half is checked", "done": 5, "size": 10, "finished": False},
        {"text": "All is checked", "done": 10, "size": 10, "finished": True},
    ]
    # Each answer is given until it was seen.
    page.route("**/state/", lambda route: route.fulfill(json=answers[0]))
    body = '<div data-state-url="/state/"><p data-state-text>Waiting</p><progress></progress></div>'
    [script] = re.findall(r"<script[^>]*></script>", page.content())
    page.route(
        "**/privacy/", lambda route: route.fulfill(body=f"<!doctype html>{script}{body}", content_type="text/html")
    )
    page.reload()
    page.get_by_text("Begun").wait_for()
    assert page.locator("progress").evaluate("bar => bar.position") == -1
    answers.pop(0)
    page.get_by_text("Half is checked").wait_for()
    assert page.locator("progress").evaluate("bar => bar.position") == 0.5

    page.unroute("**/privacy/")
    answers.pop(0)
    page.get_by_role("heading", name="Privacy", exact=True).wait_for()


def test_the_log_holds_no_secret_of_a_link():
    record = logging.LogRecord("django.request", 30, "", 0, "Not Found: %s", ("/invitation/abc-DEF_123/",), None)

    assert errors.Formatter("%(message)s").format(record) == "Not Found: /invitation/…"
