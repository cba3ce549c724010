"""Whose clients somebody may open: every address of the caseload, for everybody there is."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from typing import Any
from urllib.parse import urlsplit

import pytest
from django.test import Client as Browser
from django.urls import reverse
from django.utils import timezone
from django_otp.plugins.otp_totp.models import TOTPDevice

from cjit.web.agencies.models import OF_AN_AGENCY, AuditEvent, Role
from cjit.web.caseload import actions, questions, urls
from cjit.web.caseload.models import Change, Client, Episode

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
#: Pages about no client in particular: everybody who works at some agency has their own.
WITHOUT_A_CLIENT = {
    "due": OURS | {"another keyworker", "another manager"},
    "due-list": OURS | {"another keyworker", "another manager"},
    "clients": OURS | {"another keyworker", "another manager"},
    "clients-found": OURS | {"another keyworker", "another manager"},
    "client-new": OURS | {"another keyworker", "another manager"},
    "extract": {"manager", "another manager"},
    "extract-make": {"manager", "another manager"},
    "caseload-settings": {"manager", "another manager"},
    "caseload-import": {"manager", "another manager"},
}
#: Addresses to which something is sent, and at which nothing is shown.
POST_ONLY = {"clients-found", "client-reference", "episode-new", "extract-make"}
NAMES = [str(pattern.name) for pattern in urls.urlpatterns]


@pytest.fixture
def addresses(agency, keyworker) -> dict[str, str]:
    """Every address of the caseload, of a client with one of everything."""
    begun = actions.begin_client(by=keyworker, agency=agency, typed={"FINITIAL": "M", "SINITIAL": "S"})
    actions.save(by=keyworker, record=begun, typed={"TRIAGED": "01/06/2026", "CPLANDT": "02/06/2026"})
    referral = actions.add_referral(by=keyworker, episode=begun, typed={})
    today = timezone.localdate()
    contact = actions.add_contact(by=keyworker, episode=begun, on=today, kind="office", face_to_face=True)
    assessed = actions.add_intervention(by=keyworker, episode=begun, on=today, kinds=["RECHSE"], leaving=False)
    numbers = {
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


@pytest.mark.parametrize(("who", "name"), list(product(EVERYBODY, NAMES)))
def test_a_page_of_the_caseload_opens_for_those_who_work_there_alone(addresses, browser_of, who, name):
    answer = browser_of(who).get(addresses[name])
    if who == "anonymous":
        assert urlsplit(answer["Location"]).path == reverse("sign-in")
    elif who == "password only":
        assert answer["Location"] == reverse("second-step")
    elif who not in WITHOUT_A_CLIENT.get(name, OURS):
        # 405 where nothing is ever shown, to anybody.
        assert answer.status_code == 404 or (name in POST_ONLY and answer.status_code == 405)
    elif name in POST_ONLY:
        assert answer.status_code in (302, 405)
    else:
        assert answer.status_code in (200, 302)


@pytest.mark.parametrize(("who", "name"), list(product(EVERYBODY, NAMES)))
def test_nothing_of_a_client_is_changed_by_anybody_else(addresses, browser_of, who, name):
    if who in WITHOUT_A_CLIENT.get(name, OURS):
        return
    browser = browser_of(who)
    before = _everything()
    answer = browser.post(addresses[name], {"agency": "CJ901", "FINITIAL": "X", "text": "typed", "given": "yes"})

    # 405 where nothing is ever sent to, by anybody.
    assert answer.status_code in (302, 404, 405)
    assert _everything() == before


@pytest.mark.parametrize("who", ["another keyworker", "another manager"])
def test_nobody_chooses_an_agency_at_which_they_do_not_work(addresses, browser_of, who):
    browser = browser_of(who)

    for name, whose in WITHOUT_A_CLIENT.items():
        if who in whose and name not in POST_ONLY:
            assert browser.get(addresses[name], {"agency": "CJ901"}).status_code == 404


def test_a_manager_who_is_none_any_more_sends_nothing(manager, signed_in, addresses):
    browser = signed_in(manager)
    manager.memberships.all().delete()

    assert browser.get(addresses["extract"]).status_code == 404
    assert browser.post(addresses["extract-make"]).status_code == 404


def _everything() -> tuple[object, ...]:
    return (
        list(Client.objects.order_by("pk").values_list("values", "consent")),
        list(Episode.objects.order_by("pk").values_list("values", "open")),
        Change.objects.count(),
        AuditEvent.objects.exclude(action__contains="sign").count(),
    )
