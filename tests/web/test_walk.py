"""A walk over every page that somebody sees: each is accessible, and as wide as the window.

What a page holds is tested where the page is. Here each is opened once with all of it unfolded, and the window is then
made as narrow as a telephone.
"""

from __future__ import annotations

import io
import threading

import pytest
from django.conf import settings
from django.urls import reverse
from tests.browsing import OF_THE_LAYOUT, barriers
from tests.web.conftest import awaited, follow
from tests.web.test_caseload_closing import close, day
from tests.web.test_caseload_extract import recorded
from tests.web.test_caseload_local import OF_A_CLIENT, OF_AN_EPISODE, answer_consent, assess, record_contact
from tests.web.test_caseload_search import due_of_every_kind
from tests.web.test_decide import person
from tests.web.test_pages import OPEN_PAGES
from tests.web.test_staff import submission_of
from tests.web.test_submit import NO_SEX, ODD_CODE

from cjit.datasets.q.example import EXAMPLE
from cjit.web import kept, worker
from cjit.web.agencies.models import Role
from cjit.web.caseload import actions, questions
from cjit.web.caseload.models import Contact, Extract
from cjit.web.portal import actions as portal
from cjit.web.portal.models import State, Submission

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

#: A screen, a telephone, and the narrowest window that text must fit without going sideways.
WIDTHS = (1200, 390, 320)


class Walk:
    """Somebody who goes from page to page in one window, and notes what keeps people out."""

    def __init__(self, page, base: str) -> None:
        self.page, self.base = page, base
        self.noted: list[str] = []
        self.seen = 0

    def goes_to(self, *addresses: str, widths: tuple[int, ...] = WIDTHS) -> None:
        for address in addresses:
            answer = self.page.goto(self.base + address)
            assert answer.status == 200, address
            assert self.page.url == self.base + address
            self.looks(address, widths)

    def looks(self, what: str, widths: tuple[int, ...] = WIDTHS) -> None:
        """Look at the page that is there, all of it, in every width."""
        # Lists that are searched by typing are made of plain ones once the page is there.
        self.page.wait_for_function("() => !document.querySelector('select[data-search]:not([id$=select])')")
        self.page.evaluate("document.querySelectorAll('main details').forEach(each => each.open = true)")
        found = [barriers(self.page)]
        for width in widths:
            self.page.set_viewport_size({"width": width, "height": 900})
            if (wide := self.page.evaluate("document.documentElement.scrollWidth")) > width:
                found.append(f"it is {wide} wide, and the window {width}")
        found.append(barriers(self.page, *OF_THE_LAYOUT))
        self.page.set_viewport_size({"width": WIDTHS[0], "height": 900})
        if "govuk-frontend-supported" not in self.page.evaluate("document.body.className"):
            found.append("its scripts do not run")
        self.noted += [f"{what}: {each}" for each in found if each]
        self.seen += 1

    def presses(self, name: str) -> None:
        follow(self.page.get_by_role("button", name=name))


@pytest.fixture
def walk(tab, live_server):
    """A walk by nobody in particular, or by somebody who has signed in; at its end all that was noted is told."""
    begun: list[Walk] = []

    def begin(browser=None) -> Walk:
        page = tab(reverse("privacy"), WIDTHS[0])
        if browser is not None:
            session = browser.cookies[settings.SESSION_COOKIE_NAME].value
            told = {"name": settings.SESSION_COOKIE_NAME, "value": session, "url": live_server.url}
            page.context.add_cookies([told])
        begun.append(Walk(page, live_server.url))
        return begun[-1]

    yield begin
    assert [each for one in begun for each in one.noted] == []
    assert all(one.seen for one in begun)


def works() -> None:
    worker.run(threading.Event(), once=True)


def test_pages_that_are_open_to_all(walk):
    walk().goes_to(*(reverse(name) for name in OPEN_PAGES))


def test_pages_of_a_caseload(walk, signed_in, keyworker, agency):
    browser = signed_in(keyworker)

    def begun(ago: int = 40):
        dates = {header: f"{day(ago):%d/%m/%Y}" for header in ("REFLD", "TRIAGED", "CPLANDT")}
        episode = actions.begin_client(by=keyworker, agency=agency, typed=EXAMPLE)
        actions.save(by=keyworker, record=episode, typed=EXAMPLE | dates)
        episode.refresh_from_db()
        return episode

    walking = walk(browser)
    # What is entered: nothing yet, and then with slips.
    who = {"FINITIAL": "M", "SINITIAL": "S", "DOB": "14/02/1985", "SEX": "F"}
    slips = actions.begin_client(by=keyworker, agency=agency, typed=who)
    actions.save(by=keyworker, record=slips, typed={"REFLD": "32/1/2026", "PARENT": "Y", "CHILDWTH": "77"})
    referral = actions.add_referral(by=keyworker, episode=slips, typed={"REFDATE": "02/03/2026"})
    walking.goes_to(
        reverse("client-new"),
        *(reverse(name, args=[slips.client_id]) for name in ("client", "client-details", "client-remove")),
        reverse("referral", args=[referral.pk]),
        *(reverse("questions", args=[slips.pk, group.name]) for group in questions.GROUPS),
    )

    # What stays here.
    whole = begun()
    actions.add_referral(by=keyworker, episode=whole, typed=EXAMPLE)
    record_contact(browser, whole, kind="home", note="Long " * 40)
    assess(browser, whole)
    answer_consent(browser, whole)
    browser.post(reverse("client-notes", args=[whole.client_id]), {"text": "Said\nthis"})
    walking.goes_to(
        *(reverse(name, args=[whole.client_id]) for name in OF_A_CLIENT),
        *(reverse(name, args=[whole.pk]) for name in OF_AN_EPISODE),
        reverse("contact-remove", args=[Contact.objects.get().pk]),
    )

    # Episodes that are closed, and some that are not yet.
    lapsed, closed = begun(ago=120), begun()
    actions.add_contact(by=keyworker, episode=closed, on=day(9), kind="office", face_to_face=True)
    closed.refresh_from_db()
    close(browser, closed, day(1), "8")
    walking.goes_to(
        reverse("closure-take-back", args=[closed.pk]),
        *(reverse("episode-close", args=[each.pk]) for each in (lapsed, closed)),
    )
    walking.page.get_by_label("Care plan objectives completed – drug free").check()
    walking.presses("Correct the closure")
    walking.looks("is it a correction?")
    walking.goes_to(reverse("episode-close", args=[whole.pk]))
    walking.presses("Close the episode")
    walking.looks("a closure with errors")
    walking.page.get_by_label("Transferred – in custody").check()
    walking.looks("a closure with a destination")

    # Many clients, and something due of every kind.
    due_of_every_kind(agency, keyworker)
    walking.goes_to(reverse("due"), reverse("due-list", args=["findings"]), reverse("clients"))


def test_pages_of_an_extract_and_an_import(walk, signed_in, both, enter, agency, csv_of):
    enter()
    recorded(agency)
    enter(DRUG1="", CLIENT="X" * 60)
    walking = walk(signed_in(both))
    page = walking.page
    walking.goes_to(reverse("extract"))
    page.select_option("#id_month", index=0)
    for press, awaits, then in (
        ("Check the extract", True, "1 episode would be rejected"),
        ("Leave them out, and check it again", False, "The extract is ready"),
        ("Make the file", True, "The extract is made"),
    ):
        walking.presses(press)
        if awaits:
            walking.looks(f"{press}: it is awaited")
        works()
        awaited(page)
        assert then in page.inner_text("h1")
        walking.looks(then)
    Extract.objects.filter(state="made").update(state="failed", problem="Made up: check it again")
    page.reload()
    assert page.title().startswith("Error: ")
    walking.looks("an extract that failed")

    walking.goes_to(reverse("caseload-settings"), reverse("caseload-import"))
    file = {"name": "last.csv", "mimeType": "text/csv", "buffer": csv_of({"AGNCY": agency.code}, {"CONSENT": "N"})}
    page.set_input_files("input[type=file]", file)
    for press, then in (
        ("Read the file", "1 client with 1 episode and 1 referral would be imported"),
        ("Import them", "1 client with 1 episode and 1 referral were imported"),
    ):
        walking.presses(press)
        walking.looks(f"{press}: it is awaited")
        works()
        awaited(page)
        assert then in page.inner_text("h1")
        walking.looks(then)


def test_pages_of_a_submission(walk, signed_in, provider, agency, csv_of, uploads):
    def sent(*changes, scope: str = "full") -> Submission:
        file = io.BytesIO(csv_of(*({"AGNCY": agency.code, **change} for change in changes)))
        made = portal.receive(by=provider, agency=agency, file=file, name="march.csv", scope=scope)
        works()
        made.refresh_from_db()
        return made

    long = "a-rather-long-client-id-of-forty-letters"
    first = portal.accept(by=provider, submission=sent({}, {}))
    failed, damaged = sent(NO_SEX), sent(NO_SEX, {})
    Submission.objects.filter(pk=failed.pk).update(state=State.FAILED, problem="It failed: have it checked again")
    (uploads / damaged.stored / kept.FINDINGS).write_bytes(b"")
    checked = sent({"SEX": "F"}, {**NO_SEX, **ODD_CODE, "CLIENTID": long}, *[ODD_CODE] * 120)
    walking = walk(signed_in(provider))
    walking.goes_to(
        reverse("submissions"),
        reverse("submit"),
        *(reverse("submission", args=[each.pk]) for each in (first, failed, damaged, checked)),
        reverse("findings", args=[checked.pk]),
        reverse("findings", args=[checked.pk]) + "?page=2&header=HOUSING",
        reverse("withdraw", args=[checked.pk]),
    )
    # Its tables of examples are made for a telephone, and not for the narrowest window.
    walking.goes_to(reverse("rules"), widths=WIDTHS[:2])

    # One with more mismatches than a page shows.
    people = [*(person(n) for n in range(100, 155)), person(200, CLIENTID=long), person(300)]
    done = portal.accept(by=provider, submission=sent(*people, scope="new"))
    odd = [person(n, SINITIAL="X", REFLD="22/11/2025") for n in range(100, 155)]
    again = sent(*odd, person(200, CLIENTID=long, DOB="15/02/1986"))
    decide = reverse("decide", args=[again.pk])
    walking.goes_to(
        decide,
        decide + "?page=3",
        decide + "?show=left&group=client+SINITIAL&page=2",
        decide + "?show=decided",
        reverse("accept", args=[again.pk]),
        reverse("receipt", args=[done.pk]),
        reverse("undo", args=[done.pk]),
    )


def test_pages_of_staff(walk, signed_in, person_with, agency, other_agency):
    submission_of(agency, "2026-04-08", accepted="2026-04-12", rows=123_456, rejected=1234)
    submission_of(agency, "2026-04-20", state=State.DECISIONS, rows=123_456, rejected=1234)
    walk(signed_in(person_with(Role.NATIONAL))).goes_to(
        reverse("staff") + "?month=2026-03",
        reverse("staff") + "?month=2026-03&sort=-rejected&standing=Late",
        reverse("staff-agency", args=["CJ901"]),
        reverse("calendar"),
        reverse("due-day", args=["2026-03"]),
    )
