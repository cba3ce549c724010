"""Whose clients somebody may open: every address of the caseload, for everybody there is."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable
from itertools import cycle
from typing import Any
from urllib.parse import urlencode, urlsplit

import pytest
from django.test import Client as Browser
from django.urls import reverse
from django.utils import timezone
from django_otp.plugins.otp_totp.models import TOTPDevice

from cjit.web import kept
from cjit.web.agencies.models import OF_AN_AGENCY, AuditEvent, Role
from cjit.web.caseload import actions, questions, urls, working
from cjit.web.caseload.models import Change, Client, Episode, Extract, Import, Stage

EVERYBODY = (
    "anonymous",
    "password only",
    "provider",
    "keyworker",
    "another keyworker",
    "manager",
    "another manager",
    "regional",
    "national",
    "analyst",
    "administrator",
)
OURS = {"keyworker", "manager"}
#: Pages about no client in particular: everybody who works at some agency has their own, and managers some more.
WITHOUT_A_CLIENT = {
    "due": OURS | {"another keyworker", "another manager"},
    "due-list": OURS | {"another keyworker", "another manager"},
    "clients": OURS | {"another keyworker", "another manager"},
    "clients-found": OURS | {"another keyworker", "another manager"},
    "client-new": OURS | {"another keyworker", "another manager"},
    "extract": {"manager", "another manager"},
    "extract-check": {"manager", "another manager"},
    "extract-checked": {"manager"},
    "extract-state": {"manager"},
    "extract-make": {"manager"},
    "extract-file": {"manager"},
    "extract-labels": {"manager"},
    "caseload-settings": {"manager", "another manager"},
    "caseload-import": {"manager", "another manager"},
    "import-read": {"manager"},
    "import-state": {"manager"},
    "import-make": {"manager"},
}
#: Addresses to which something is sent, and at which nothing is shown.
POST_ONLY = {"clients-found", "client-reference", "episode-new"}


@pytest.fixture
def addresses(agency, keyworker) -> dict[str, str]:
    """Every address of the caseload, of a client with one of everything."""
    begun = actions.begin_client(by=keyworker, agency=agency, typed={"FINITIAL": "M", "SINITIAL": "S"})
    actions.save(by=keyworker, record=begun, typed={"TRIAGED": "01/06/2026", "CPLANDT": "02/06/2026"})
    referral = actions.add_referral(by=keyworker, episode=begun, typed={})
    today = timezone.localdate()
    contact = actions.add_contact(by=keyworker, episode=begun, on=today, kind="office", face_to_face=True)
    assessed = actions.add_intervention(by=keyworker, episode=begun, on=today, kinds=["RECHSE"], leaving=False)
    extract = Extract.objects.create(
        agency=agency,
        until=today,
        scope="full",
        stored=kept.place(),
        state=Stage.MADE,
        counts=dict.fromkeys(("clients", "episodes", "referrals", "withdrawn", "left out"), 0),
        found={"try": 1},
    )
    for name in (working.FILE, working.LABELS):
        kept.write(extract, f"1 {name}", b"made up")
    numbers = {
        "extract": extract.pk,
        "import": Import.objects.create(agency=agency, state=Stage.CHECKED).pk,
        "client": begun.client_id,
        "episode": begun.pk,
        "referral": referral.pk,
        "contact": contact.pk,
        "intervention": assessed.pk,
    }
    made = {}
    for pattern in urls.urlpatterns:
        route = str(pattern.pattern)
        given: dict[str, Any] = {}
        if "<int:pk>" in route:
            kind = route.split("/")[1].removesuffix("s")
            given["pk"] = numbers[kind]
        if "<str:kind>" in route:
            given["kind"] = "reviews"
        if "<str:group>" in route:
            given["group"] = questions.GROUPS[0].name
        made[str(pattern.name)] = reverse(str(pattern.name), kwargs=given)
    return made


@pytest.fixture
def browser_of(person_with, signed_in, agency, other_agency) -> Callable[[str], Browser]:
    def make(who: str) -> Browser:
        if who == "anonymous":
            return Browser()
        role = Role(who.removeprefix("another ")) if who != "password only" else Role.KEYWORKER
        place = {}
        if role in OF_AN_AGENCY:
            place = {"agency": other_agency if who.startswith("another") else agency}
        elif role is Role.REGIONAL:
            place = {"region": agency.region}
        person = person_with(role, **place)
        browser: Browser = signed_in(person)
        if who == "password only":
            TOTPDevice.objects.filter(user=person).delete()
        return browser

    return make


@pytest.mark.parametrize("who", EVERYBODY)
def test_a_page_of_the_caseload_opens_for_those_who_work_there_alone(addresses, browser_of, who):
    browser = browser_of(who)
    for name, address in addresses.items():
        answer = browser.get(address)
        if who == "anonymous":
            assert urlsplit(answer["Location"]).path == reverse("sign-in"), name
        elif who == "password only":
            assert answer["Location"] == reverse("second-step"), name
        elif who not in WITHOUT_A_CLIENT.get(name, OURS):
            # 405 where nothing is ever shown, to anybody.
            assert answer.status_code == 404 or (name in POST_ONLY and answer.status_code == 405), name
        elif name in POST_ONLY:
            assert answer.status_code in (302, 405), name
        else:
            assert answer.status_code in (200, 302), name


@pytest.mark.parametrize("who", EVERYBODY)
def test_nothing_of_a_client_is_changed_by_anybody_else(addresses, browser_of, who):
    browser = browser_of(who)
    before = _everything()
    for name, address in addresses.items():
        if who not in WITHOUT_A_CLIENT.get(name, OURS):
            typed = {"agency": "CJ901", "FINITIAL": "X", "text": "typed", "given": "yes", "do": "x"}
            answer = browser.post(address, typed)
            # 405 where nothing is ever sent to, by anybody.
            assert answer.status_code in (302, 404, 405), name
            assert _everything() == before, name


@pytest.mark.parametrize("who", ["another keyworker", "another manager"])
def test_nobody_chooses_an_agency_at_which_they_do_not_work(addresses, browser_of, who):
    browser = browser_of(who)

    for name, whose in WITHOUT_A_CLIENT.items():
        if who in whose and name not in POST_ONLY:
            assert browser.get(addresses[name], {"agency": "CJ901"}).status_code == 404


@pytest.mark.parametrize("who", ["keyworker", "another manager", "provider", "regional", "administrator"])
def test_the_dat_of_an_agency_is_set_in_its_caseload_by_its_managers_alone(addresses, browser_of, agency, who):
    typed = {"agency": agency.code, "file_name": "{agency}.csv", "dat": "A12B"}
    assert browser_of(who).post(addresses["caseload-settings"], typed).status_code == 404
    agency.refresh_from_db()
    assert agency.dat == ""

    assert browser_of("manager").post(addresses["caseload-settings"], typed).status_code == 302
    agency.refresh_from_db()
    assert agency.dat == "A12B"


def test_a_manager_who_is_none_any_more_sends_nothing(manager, signed_in, addresses):
    browser = signed_in(manager)
    manager.memberships.all().delete()

    assert browser.get(addresses["extract"]).status_code == 404
    assert browser.post(addresses["extract-check"]).status_code == 404
    assert browser.get(addresses["extract-file"]).status_code == 404


# ---- whatever is sent ------------------------------------------------------------------------------

#: Texts of boxes of every page, so that something is kept of them wherever it can be.
BOXES = (
    *("FINITIAL", "CLIENT", "REFLD-day", "CJRFLS", "REFDATE-day", "DISD_day", "CJDISRSN", "find", "text", "note"),
    *("evidence", "wording", "consent_wording", "file_name", "agency", "month", "since", "why", "seen", "do"),
)
BESIDE = {"given": "yes", "kind": "office", "kinds": "none", "on_day": "1", "on_month": "1", "on_year": "2020"}
SHOWN = json.dumps(dict.fromkeys(("FINITIAL", "CLIENT", "REFLD", "CJRFLS", "REFDATE"), ""))
FORM = "application/x-www-form-urlencoded"


def form(text: str, boxes: Iterable[str] = BOXES, **more: str) -> str:
    return urlencode({**BESIDE, "was": SHOWN, **dict.fromkeys(boxes, text), **more})


def parts(text: str, *but: str) -> bytes:
    told = {**BESIDE, "was": SHOWN, **{name: text for name in BOXES if name not in but}}
    each = (f'--x\r\nContent-Disposition: form-data; name="{n}"\r\n\r\n{t}\r\n' for n, t in told.items())
    return ("".join(each) + "--x--\r\n").encode()


ODD: dict[str, tuple[str | bytes, str]] = {
    "nothing": ("", FORM),
    "JSON": ('{"was": {}}', "application/json"),
    "text of no kind": ("abc", ""),
    "no parts": ("abc", "multipart/form-data"),
    "half a part": (parts("x")[:60], "multipart/form-data; boundary=x"),
    "NUL": (form("\0"), FORM),
    "half a character": (form("").encode() + b"&text=%ff%ed%a0%80&FINITIAL=%ed%a0%80", FORM),
    "half a character by name": (parts("\\ud800", "agency"), "multipart/form-data; boundary=x; charset=unicode_escape"),
    "no charset": (parts("x", "agency"), "multipart/form-data; boundary=x; charset=hex"),
    "a long text": (form("9" * 10_000), FORM),
    "a long text of one": (form("9" * 10_000, [name for name in BOXES if name != "agency"]), FORM),
    "numbers": (form("99999999999999999999", on_day="99999999999999999999", on_month="-1", on_year="0"), FORM),
    "a day far ahead": (form("31", on_day="31", on_month="12", on_year="9999"), FORM),
    "what was shown as a list": ("was=[]", FORM),
    "what was shown as a number": ("was=" + "1" * 10_000, FORM),
    "what was shown in lists": ("was=" + "[" * 100_000, FORM),
    "what was shown in half a character": (
        form("x", was=json.dumps(dict.fromkeys(("CLIENT", "REFLD"), "\ud800"))),
        FORM,
    ),
    "what was shown is long": (form("x", was=json.dumps({"CLIENT": "9" * 1_000_000})), FORM),
    "too much": ("was=" + "a" * 3_000_000, FORM),
    "too many": ("&".join(f"a{number}=1" for number in range(100_000)), FORM),
    "the same again and again": ("&".join([form("x")] * 100), FORM),
}


#: What is wrong before any page reads a box: Django refuses it for all pages alike, or makes a form of nothing of it.
ANYWHERE = {"JSON", "text of no kind", "no parts", "half a part", "no charset", "too much", "too many"}
#: An address of each kind: a list, a page of questions, one that saves by itself, one with a day, one with a choice,
#: one that orders work, settings, and one that takes a file.
OF_EACH_KIND = {
    *("clients-found", "client-new", "questions", "client-consent", "episode-close"),
    *("extract-check", "caseload-settings", "caseload-import"),
}

#: The pages that say what they showed when they were opened. To the others that box is as any box they do not have.
ENTERED = {str(each.name) for each in urls.urlpatterns if each.callback.__module__.endswith(".entry")}


def test_what_is_wrong_anywhere_is_sent_to_an_address_of_each_module_of_pages(addresses):
    modules = {each.callback.__module__ for each in urls.urlpatterns if each.name in OF_EACH_KIND}
    # On the pages of what is due there is no form.
    assert {each.callback.__module__ for each in urls.urlpatterns} - modules == {"cjit.web.caseload.due"}
    assert addresses.keys() > OF_EACH_KIND
    assert ODD.keys() > ANYWHERE


@pytest.mark.dear
@pytest.mark.every_case
@pytest.mark.parametrize(
    ("odd", "accepted"), list(zip(ODD, cycle(["text/html", "application/json", "a;q=b,;;, */*;q=nan"]), strict=False))
)
def test_whatever_is_sent_to_a_page_is_no_fault_of_ours(addresses, manager, signed_in, odd, accepted):
    browser = signed_in(manager)
    data, kind = ODD[odd]
    # What removes something comes last, or nothing would be there for the others.
    for name, address in sorted(addresses.items(), key=lambda each: "remove" in each[0]):
        if name not in OF_EACH_KIND and (odd in ANYWHERE or (odd.startswith("what was shown") and name not in ENTERED)):
            continue
        made = data if isinstance(data, bytes) else data.encode()
        answer = browser.generic("POST", address, made, kind, headers={"accept": accepted})
        assert answer.status_code in (200, 302, 400, 404, 405, 422), name
        # Of what was taken the page is opened again: it may show it.
        if answer.status_code not in (400, 404, 405):
            assert browser.get(address).status_code in (200, 302, 404, 405), name


@pytest.mark.every_case
@pytest.mark.parametrize("number", [0, 2**63 - 1, 2**63, 10**30])
def test_a_record_that_cannot_be_is_not_found(keyworker, signed_in, number):
    browser = signed_in(keyworker)
    for pattern in urls.urlpatterns:
        if "<int:pk>" in str(pattern.pattern):
            told = {"group": "living"} if "<str:group>" in str(pattern.pattern) else {}
            answer = browser.get(reverse(str(pattern.name), kwargs={"pk": number, **told}))
            assert answer.status_code == (405 if pattern.name in POST_ONLY else 404)


def test_no_browser_keeps_what_is_typed_for_whoever_comes_next(addresses, manager, signed_in):
    browser = signed_in(manager)
    seen = 0
    for name, address in addresses.items():
        answer = browser.get(address)
        assert answer.status_code != 200 or answer["Cache-Control"] == "no-store", name
        for made in re.findall(r"<form\b.*?</form>", answer.getvalue().decode(), flags=re.DOTALL):
            if re.search(r"<textarea|<input[^>]* type=\"(text|search)\"", made):
                assert 'autocomplete="off"' in made, name
                seen += 1
    assert seen > 8


def _everything() -> tuple[object, ...]:
    return (
        list(Client.objects.order_by("pk").values_list("values", "consent")),
        list(Episode.objects.order_by("pk").values_list("values", "open")),
        list(Extract.objects.order_by("pk").values_list("state", "by")),
        list(Import.objects.order_by("pk").values_list("state", "by")),
        Change.objects.count(),
        AuditEvent.objects.exclude(action__contains="sign").count(),
    )
