import csv
import io
import re
from collections.abc import Callable
from datetime import date, timedelta
from ipaddress import ip_network
from typing import Any
from urllib.parse import urlsplit

import pytest
from django.core import mail
from django.db import DatabaseError, IntegrityError, connection, transaction
from django.test import Client
from django.urls import reverse
from django.utils.timezone import now
from django_otp.plugins.otp_static.models import StaticDevice
from django_otp.plugins.otp_totp.models import TOTPDevice
from tests.web.conftest import follow

from cjit.web.agencies import access, actions, urls
from cjit.web.agencies.audit import note
from cjit.web.agencies.models import (
    OF_AN_AGENCY,
    Agency,
    AuditEvent,
    DueDay,
    Invitation,
    Membership,
    Person,
    Region,
    Role,
)
from cjit.web.portal.actions import forget

NEW_PASSWORD = "eleven plums under a kettle"
INVITED = "invited@example.org"


@pytest.fixture(autouse=True)
def quick_passwords(settings) -> None:
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]


@pytest.fixture
def administrator(person_with) -> Person:
    person: Person = person_with(Role.ADMINISTRATOR)
    return person


@pytest.fixture
def office(administrator, signed_in) -> Client:
    """The administrator's browser."""
    client: Client = signed_in(administrator)
    return client


@pytest.fixture
def regional(person_with, region) -> Person:
    person: Person = person_with(Role.REGIONAL, region=region)
    return person


# ---- who may open what -----------------------------------------------------------------------------

EVERYBODY = (
    "anonymous",
    "password only",
    "provider",
    "another provider",
    "keyworker",
    "manager",
    "regional",
    "another region",
    "national",
    "analyst",
    "administrator",
)
#: For whom a page is there. Anybody else who has signed in gets a 404.
ROLES_OF = {
    "people": {"administrator"},
    "person": {"administrator"},
    "invite": {"administrator"},
    "agencies": {"administrator", "regional", "another region"},
    "agency": {"administrator", "regional"},
    "calendar": {"administrator", "regional", "another region", "national"},
    "due-day": {"administrator", "national"},
    "audit": {"administrator", "national"},
    "audit-export": {"administrator", "national"},
}
#: Pages before both steps are taken: what each answers to whom, and to those not named under "".
BEFORE = {
    "sign-in": {"anonymous": 200, "": 302},
    "sign-out": {"": 405},
    "second-step": {"": 302},
    "second-step-set-up": {"anonymous": 302, "": 200},
    "password-reset": {"": 200},
    "password-reset-sent": {"": 200},
    "password-reset-set": {"": 200},
    "password-reset-done": {"": 200},
    "invitation": {"": 404},
    "account": {"": 404},
}
ARGUMENTS = {
    "password-reset-set": ["MQ", "abc-def"],
    "invitation": ["unknown"],
    "agency": ["CJ901"],
    "due-day": ["2026-03"],
}


def on(name: str, day: date) -> dict[str, str]:
    """A day as a form sends it."""
    return {f"{name}_day": str(day.day), f"{name}_month": str(day.month), f"{name}_year": str(day.year)}


@pytest.fixture
def browser_of(person_with, signed_in, agency, other_agency):
    def make(who: str) -> Client:
        if who == "anonymous":
            return Client()
        elsewhere = other_agency.region
        person = {
            "password only": lambda: person_with(Role.ADMINISTRATOR),
            **{role.value: lambda: person_with(who, agency=agency) for role in OF_AN_AGENCY},
            "another provider": lambda: person_with(Role.PROVIDER, agency=other_agency),
            "regional": lambda: person_with(Role.REGIONAL, region=agency.region),
            "another region": lambda: person_with(Role.REGIONAL, region=elsewhere),
        }.get(who, lambda: person_with(who))()
        client: Client = signed_in(person)
        if who == "password only":
            TOTPDevice.objects.filter(user=person).delete()
        return client

    return make


def address(name: str) -> str:
    if name == "person":
        return reverse(name, args=[Person.objects.get_or_create(email="somebody@example.org")[0].pk])
    return reverse(name, args=ARGUMENTS.get(name, []))


def test_the_table_names_every_page():
    assert {pattern.name for pattern in urls.urlpatterns} == set(ROLES_OF) | set(BEFORE)


@pytest.mark.parametrize("who", EVERYBODY)
def test_a_page_opens_for_its_roles_and_is_not_there_for_others(browser_of, who):
    browser = browser_of(who)
    for name, roles in ROLES_OF.items():
        answer = browser.get(address(name))
        if who == "anonymous":
            assert urlsplit(answer["Location"]).path == reverse("sign-in"), name
        elif who == "password only":
            assert answer["Location"] == reverse("second-step"), name
        else:
            assert answer.status_code == (200 if who in roles else 404), name


@pytest.mark.parametrize("who", EVERYBODY)
def test_nothing_is_changed_by_anybody_else(browser_of, who):
    browser = browser_of(who)
    asked = {
        "do": "deactivate",
        "name": "Changed",
        "email": INVITED,
        "role": Role.ANALYST,
        **on("due", date(2026, 4, 9)),
    }
    read_only = {"audit", "audit-export", "calendar"}
    for name in (name for name, roles in ROLES_OF.items() if who not in roles):
        wanted = address(name)
        events = AuditEvent.objects.count()
        answer = browser.post(wanted, asked)
        refused = 302 if who in {"anonymous", "password only"} else 405 if name in read_only else 404
        assert answer.status_code == refused, name
        assert AuditEvent.objects.count() == events, name
        assert not DueDay.objects.exists(), name


@pytest.mark.parametrize("who", EVERYBODY)
def test_pages_of_signing_in_open_for_all(browser_of, who):
    browser = browser_of(who)
    # Whoever signs out is anonymous from then on.
    for name in sorted(BEFORE, key=lambda name: name == "sign-out"):
        answer = browser.get(address(name))
        if name == "sign-out" and who == "anonymous":
            assert urlsplit(answer["Location"]).path == reverse("sign-in")
        else:
            assert answer.status_code == BEFORE[name].get(who, BEFORE[name][""]), name


def test_keyworkers_and_managers_work_at_their_agency_and_only_managers_manage_it(
    provider, keyworker, manager, regional, administrator, agency, other_agency
):
    assert list(access.works_at(keyworker)) == list(access.works_at(manager)) == [agency]
    assert list(access.manages(manager)) == [agency]
    assert not access.manages(keyworker)
    for other in (provider, regional, administrator):
        assert not access.works_at(other)
        assert not access.manages(other)


@pytest.mark.parametrize("who", ["keyworker", "manager"])
def test_a_keyworker_and_a_manager_see_nothing_of_the_portal(browser_of, accepted, who):
    sent = accepted({"CLIENTID": "4711"})
    browser, providers = browser_of(who), browser_of("provider")
    for name, *arguments in (
        ("submissions",),
        ("submit",),
        ("submission", sent.pk),
        ("receipt", sent.pk),
        ("findings", sent.pk),
    ):
        page = reverse(name, args=arguments)
        assert browser.get(page).status_code == 404, name
        assert providers.get(page, follow=True).status_code == 200, name
    assert browser.get(reverse("staff")).status_code == 404


def test_who_has_several_roles_may_do_each_where_it_is_theirs(person_with, agency, other_agency):
    somebody = person_with(Role.MANAGER, agency=agency)
    for role, where in ((Role.PROVIDER, agency), (Role.KEYWORKER, agency), (Role.KEYWORKER, other_agency)):
        actions.give_role(by=None, person=somebody, role=role, agency=where)
    assert list(access.submits_for(somebody)) == list(access.manages(somebody)) == [agency]
    assert list(access.works_at(somebody)) == [agency, other_agency]


@pytest.mark.every_case
@pytest.mark.parametrize("role", OF_AN_AGENCY)
def test_the_database_refuses_a_role_of_an_agency_without_one_or_with_a_region(person_with, agency, region, role):
    for place in ({}, {"region": region}, {"agency": agency, "region": region}):
        with pytest.raises(IntegrityError), transaction.atomic():
            person_with(role, **place)
    assert not Membership.objects.exists()


# ---- invitations -----------------------------------------------------------------------------------


def invite(office: Client, **asked):
    given = {"name": "Ann Example", "email": INVITED, "role": Role.ANALYST} | asked
    return office.post(reverse("invite"), given)


def link() -> str:
    return str(urlsplit(re.findall(r"http\S+", str(mail.outbox[-1].body))[0]).path)


def accept(name: str = "Ann Example", password: str = NEW_PASSWORD, client: Client | None = None):
    browser = client or Client()
    browser.get(link())
    return browser.post(reverse("account"), {"name": name, "password": password})


@pytest.mark.parametrize("role", OF_AN_AGENCY)
def test_an_invitation_leads_to_an_account_and_then_to_the_second_step(office, agency, role):
    assert invite(office, role=role, agency=agency.pk)["Location"] == reverse("people")
    assert mail.outbox[0].to == [INVITED]
    browser = Client()
    page = browser.get(link(), follow=True).text
    assert f"{role.label}, CJ901 Made-up team" in page
    assert INVITED in page
    assert accept(client=browser)["Location"] == reverse("second-step-set-up")
    person = Person.objects.get(email=INVITED)
    assert person.check_password(NEW_PASSWORD)
    assert [(m.role, m.agency) for m in person.memberships.all()] == [(role, agency)]
    assert browser.get(reverse("second-step-set-up")).status_code == 200
    assert browser.get(reverse("people"))["Location"] == reverse("second-step")


def test_a_used_invitation_is_refused(office):
    invite(office)
    opened_before = Client()
    opened_before.get(link())
    accept()
    given = {"name": "Somebody Else", "password": "another long password"}
    for again in (Client().get(link()), opened_before.post(reverse("account"), given)):
        assert again.status_code == 404
        assert "This invitation can no longer be used" in again.text
    assert Person.objects.get(email=INVITED).check_password(NEW_PASSWORD)


def test_an_invitation_is_refused_after_seven_days(office):
    invite(office)
    assert now() + timedelta(days=6.9) < Invitation.objects.get().expires < now() + timedelta(days=7)
    Invitation.objects.update(expires=now())
    assert "This invitation can no longer be used" in Client().get(link()).text


def test_an_invitation_opened_before_it_ended_makes_no_account(office):
    invite(office)
    opened = Client()
    opened.get(link())
    Invitation.objects.update(expires=now())
    answer = opened.post(reverse("account"), {"name": "Ann Example", "password": NEW_PASSWORD})
    assert answer.status_code == 404
    assert "This invitation can no longer be used" in answer.text
    assert not Person.objects.filter(email=INVITED).exists()


def test_who_comes_to_the_account_page_without_the_link_is_told_to_open_it(office):
    invite(office)
    for answer in (Client().get(reverse("account")), Client().post(reverse("account"), {"name": "Ann Example"})):
        assert answer.status_code == 404
        assert "Open the link in your invitation again" in answer.text


@pytest.mark.parametrize("told", [{"referer": "https://testserver/invitation/"}, {"origin": "https://testserver"}])
def test_an_invitation_is_accepted_by_https(office, told):
    invite(office)
    browser = Client(enforce_csrf_checks=True)
    page = browser.get(link(), secure=True, follow=True)
    token = re.findall(r'name="csrfmiddlewaretoken" value="([^"]+)"', page.text)[0]
    given = {"name": "Ann Example", "password": NEW_PASSWORD, "csrfmiddlewaretoken": token}
    answer = browser.post(reverse("account"), given, secure=True, headers=told)
    assert answer["Location"] == reverse("second-step-set-up")


def test_a_withdrawn_invitation_is_refused(office):
    invite(office)
    assert INVITED in office.get(reverse("people")).text
    office.post(reverse("people"), {"withdraw": Invitation.objects.get().pk})
    assert INVITED not in office.get(reverse("people")).text
    assert accept().status_code == 404


def test_another_invitation_ends_the_one_before(office):
    invite(office)
    first = link()
    invite(office)
    assert Client().get(first).status_code == 404
    assert Client().get(link(), follow=True).status_code == 200


def test_of_a_token_only_a_hash_is_kept(office):
    invite(office)
    token = link().strip("/").split("/")[-1]
    assert len(token) == 43
    assert token not in str(list(Invitation.objects.values_list()))


def test_the_invitation_tells_no_name_and_no_agency(office, agency):
    invite(office, role=Role.PROVIDER, agency=agency.pk)
    for value in ("Ann", agency.code, agency.name):
        assert value not in str(mail.outbox[0].body)


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ({"name": ""}, "Enter their full name"),
        ({"email": "nobody"}, "Enter an e-mail address, like name@example.org"),
        ({"role": ""}, "Select a role"),
        *(({"role": role}, "Select the agency they work for") for role in OF_AN_AGENCY),
        ({"role": Role.REGIONAL}, "Select the region they work in"),
        ({"role": Role.PROVIDER, "agency": "999"}, "Select an agency of the list"),
    ],
)
def test_a_slip_in_an_invitation_is_told_in_one_sentence(office, asked, told):
    page = invite(office, **asked).text
    assert page.count(told) == 2  # in the summary and at the field
    assert "<title>Error: " in page
    assert not mail.outbox


def test_what_a_role_does_not_need_is_left_out(office, agency, region):
    invite(office, agency=agency.pk, region=region.pk)
    invited = Invitation.objects.get()
    assert (invited.role, invited.agency, invited.region) == (Role.ANALYST, None, None)


def test_somebody_with_an_account_is_not_invited_again(office, provider):
    assert "has an account already" in invite(office, email=provider.email.upper()).text


def test_no_invitation_stays_where_its_mail_could_not_be_sent(office, settings):
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT, settings.EMAIL_USE_TLS = "localhost", 1, False
    assert "The e-mail could not be sent" in invite(office).text
    assert INVITED not in office.get(reverse("people")).text


def test_an_address_is_not_invited_without_end(office):
    for _ in range(actions.INVITATIONS_TO_ONE):
        assert invite(office).status_code == 302
    page = invite(office)
    assert re.search(r"This was asked for too often: try again after \d\d:\d\d", page.text)
    assert len(mail.outbox) == Invitation.objects.count() == actions.INVITATIONS_TO_ONE
    assert Client().get(link(), follow=True).status_code == 200
    assert invite(office, email="another@example.org").status_code == 302
    Invitation.objects.update(made=now() - actions.WITHIN)
    assert invite(office).status_code == 302


def test_an_administrator_does_not_invite_without_end(office, administrator, person_with, monkeypatch):
    monkeypatch.setattr(actions, "INVITATIONS_BY_ONE", 3)
    for number in range(3):
        assert invite(office, email=f"somebody{number}@example.org").status_code == 302
    assert "This was asked for too often" in invite(office, email="more@example.org").text
    actions.invite(by=person_with(Role.ADMINISTRATOR), email="more@example.org", name="", role=Role.ANALYST)


def test_a_link_begins_as_the_setting_says_whatever_host_asks(office, settings):
    settings.ALLOWED_HOSTS = ["testserver", "elsewhere.example.org"]
    settings.BASE_URL = "https://cjit.example.org"
    office.post(
        reverse("invite"), {"name": "A", "email": INVITED, "role": Role.ANALYST}, HTTP_HOST="elsewhere.example.org"
    )
    assert "\nhttps://cjit.example.org/invitation/" in str(mail.outbox[-1].body)
    assert "elsewhere" not in str(mail.outbox[-1].body)


# ---- roles and access ------------------------------------------------------------------------------


def test_the_list_tells_who_has_which_role_and_when_they_signed_in(office, provider, administrator):
    page = office.get(reverse("people")).text
    assert "Provider user, CJ901 Made-up team" in page
    assert provider.email in page
    assert "Never" in page


def test_a_role_is_given_and_taken_away(office, provider, region):
    page = reverse("person", args=[provider.pk])
    office.post(page, {"do": "give", "role": Role.REGIONAL, "region": region.pk})
    assert provider.memberships.filter(role=Role.REGIONAL, region=region).exists()
    for membership in provider.memberships.all():
        office.post(page, {"do": "take", "membership": membership.pk})
    assert not provider.memberships.exists()
    assert "None: they can sign in, and see nothing." in office.get(page).text


def test_a_role_is_not_taken_from_somebody_by_the_page_of_another(office, provider, regional):
    membership = regional.memberships.get()
    page = reverse("person", args=[provider.pk])
    assert office.post(page, {"do": "take", "membership": membership.pk}).status_code == 404
    assert Membership.objects.filter(pk=membership.pk).exists()


def test_whoever_loses_access_is_signed_out_at_once(office, provider, signed_in):
    browser = signed_in(provider)
    assert browser.get(reverse("second-step-set-up")).status_code == 200
    page = reverse("person", args=[provider.pk])
    office.post(page, {"do": "deactivate"})
    assert urlsplit(browser.get(reverse("second-step-set-up"))["Location"]).path == reverse("sign-in")
    office.post(page, {"do": "reactivate"})
    assert Person.objects.get(pk=provider.pk).is_active
    assert urlsplit(browser.get(reverse("second-step-set-up"))["Location"]).path == reverse("sign-in")
    assert office.get(page).status_code == 200


def test_a_second_step_is_reset(office, provider, signed_in):
    browser = signed_in(provider)
    office.post(reverse("person", args=[provider.pk]), {"do": "reset"})
    assert not TOTPDevice.objects.filter(user=provider).exists()
    assert not StaticDevice.objects.filter(user=provider).exists()
    # Else whoever has that browser could set up an app of their own.
    assert urlsplit(browser.get(reverse("second-step-set-up"))["Location"]).path == reverse("sign-in")


def test_an_administrator_cannot_change_their_own_access(office, administrator, agency):
    page = reverse("person", args=[administrator.pk])
    asked = [
        {"do": "deactivate"},
        {"do": "take", "membership": administrator.memberships.get().pk},
        {"do": "give", "role": Role.PROVIDER, "agency": agency.pk},
    ]
    for each in asked:
        assert "You cannot change your own access: ask another administrator" in office.post(page, each).text
    administrator.refresh_from_db()
    assert administrator.is_active
    assert [m.role for m in administrator.memberships.all()] == [Role.ADMINISTRATOR]


def test_an_administrator_who_is_none_any_more_changes_nobody(administrator, person_with, provider):
    second = person_with(Role.ADMINISTRATOR)
    actions.take_role(by=second, membership=administrator.memberships.get())
    with pytest.raises(actions.Refused):
        actions.deactivate(by=administrator, person=second)
    second.refresh_from_db()
    assert second.is_active


# ---- the register ----------------------------------------------------------------------------------


def new_agency(place: Region, **asked):
    day = {"opened_day": "1", "opened_month": "4", "opened_year": "2026"}
    return {"code": "CJ777", "name": "New team", "region": place.pk, "dat": ""} | day | asked


def test_regional_staff_add_and_close_agencies_of_their_region(regional, region, signed_in):
    browser = signed_in(regional)
    assert browser.post(reverse("agencies"), new_agency(region))["Location"] == reverse("agencies")
    added = Agency.objects.get(code="CJ777")
    assert (added.region, added.opened, added.closed) == (region, date(2026, 4, 1), None)
    last = {"do": "close", "closed_day": "31", "closed_month": "3", "closed_year": "2027"}
    browser.post(reverse("agency", args=["CJ777"]), last)
    added.refresh_from_db()
    assert added.closed == date(2027, 3, 31)
    assert "31 March 2027" in browser.get(reverse("agencies")).text


def test_regional_staff_add_none_to_another_region(regional, other_agency, signed_in):
    page = signed_in(regional).post(reverse("agencies"), new_agency(other_agency.region)).text
    assert "Select a region of the list" in page
    assert not Agency.objects.filter(code="CJ777").exists()


def test_regional_staff_see_none_of_another_region(regional, agency, other_agency, signed_in):
    browser = signed_in(regional)
    page = browser.get(reverse("agencies")).text
    assert agency.code in page
    assert other_agency.code not in page
    last = {"do": "close", "closed_day": "31", "closed_month": "3", "closed_year": "2027"}
    assert browser.post(reverse("agency", args=[other_agency.code]), last).status_code == 404
    other_agency.refresh_from_db()
    assert other_agency.closed is None


def test_national_staff_with_a_region_keep_the_register_of_that_region_only(regional, other_agency, signed_in):
    Membership.objects.create(person=regional, role=Role.NATIONAL)
    assert signed_in(regional).get(reverse("agency", args=[other_agency.code])).status_code == 404


def test_a_name_and_a_dat_are_corrected_and_a_code_is_not(office, agency):
    office.post(reverse("agency", args=[agency.code]), {"do": "edit", "name": "Renamed", "dat": "Z9", "code": "CJ1"})
    agency.refresh_from_db()
    assert (agency.code, agency.name, agency.dat) == ("CJ901", "Renamed", "Z9")
    assert AuditEvent.objects.get(action="edited an agency").counts == {"changed": "name dat"}


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ({"code": "CJ901"}, "This code is in the register already: enter one that is not taken"),
        ({"code": "cj7"}, "An agency code is one or two capital letters and three or four figures, such as CJ123"),
        ({"opened_month": "13"}, "Enter a day that exists, like 27 3 2026"),
        ({"opened_year": ""}, "Enter a day that exists, like 27 3 2026"),
        ({"region": ""}, "Select a region"),
        ({"dat": "a b"}, "Enter up to six capital letters and figures, such as Z99Z"),
    ],
)
def test_a_slip_in_the_register_is_told_in_one_sentence(office, agency, asked, told):
    page = office.post(reverse("agencies"), new_agency(agency.region, **asked)).text
    assert told in page
    assert "There is a problem" in page
    assert Agency.objects.count() == 1


def test_an_agency_is_not_closed_before_it_opened(office, agency):
    last = {"do": "close", "closed_day": "31", "closed_month": "12", "closed_year": "2019"}
    page = office.post(reverse("agency", args=[agency.code]), last).text
    assert "The last day must not be before the day the agency opened" in page


CLOSED = {"do": "close", **on("closed", date(2026, 3, 31))}


def test_regional_staff_reopen_a_closed_agency_from_a_day_on(regional, agency, signed_in):
    browser, page = signed_in(regional), reverse("agency", args=[agency.code])
    assert "Reopen" not in browser.get(page).text
    browser.post(page, CLOSED)
    assert browser.post(page, {"do": "reopen", **on("reopened", date(2026, 6, 1))})["Location"] == page
    agency.refresh_from_db()
    assert agency.closed is None
    assert [(c.closed, c.reopened) for c in agency.closures.all()] == [(date(2026, 3, 31), date(2026, 6, 1))]
    event = AuditEvent.objects.get(action="reopened an agency")
    assert (event.person, event.agency, event.counts) == (regional, agency, {"first day": "2026-06-01"})
    assert "after 31 March 2026, open again from 1 June 2026" in browser.get(page).text


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ({"do": "reopen", **on("reopened", date(2026, 3, 31))}, "must reopen on a day after its last day"),
        ({"do": "reopen", "reopened_day": "31", "reopened_month": "2", "reopened_year": "2026"}, "a day that exists"),
        ({"do": "reopen"}, "Enter the day from which the agency is open again"),
    ],
)
def test_a_slip_in_reopening_is_told_in_one_sentence(office, agency, asked, told):
    page = reverse("agency", args=[agency.code])
    office.post(page, CLOSED)
    assert told in office.post(page, asked).text
    assert not agency.closures.exists()


def test_an_open_agency_is_not_reopened(office, agency):
    asked = {"do": "reopen", **on("reopened", date(2026, 6, 1))}
    office.post(reverse("agency", args=[agency.code]), asked)
    assert not agency.closures.exists()


def test_an_agency_is_not_closed_again_before_it_reopened(office, agency):
    page = reverse("agency", args=[agency.code])
    office.post(page, CLOSED)
    office.post(page, {"do": "reopen", **on("reopened", date(2026, 6, 1))})
    assert "The last day must not be before the day the agency reopened" in office.post(page, CLOSED).text


def test_regional_staff_reopen_none_of_another_region(regional, other_agency, signed_in):
    Agency.objects.filter(pk=other_agency.pk).update(closed=date(2026, 3, 31))
    asked = {"do": "reopen", **on("reopened", date(2026, 6, 1))}
    assert signed_in(regional).post(reverse("agency", args=[other_agency.code]), asked).status_code == 404
    assert not other_agency.closures.exists()


# ---- the calendar ----------------------------------------------------------------------------------

MARCH = reverse("due-day", args=["2026-03"])


@pytest.fixture
def national(person_with) -> Person:
    person: Person = person_with(Role.NATIONAL)
    return person


def test_national_staff_set_change_and_remove_a_due_day(national, signed_in):
    browser = signed_in(national)
    assert 'value="10"' in browser.get(MARCH).text
    for day in (17, 20):
        answer = browser.post(MARCH, {"do": "save", **on("due", date(2026, 4, day))}, follow=True)
        assert f"March 2026 is due by {day} April 2026" in answer.text
    assert [(d.month, d.due) for d in DueDay.objects.all()] == [(date(2026, 3, 1), date(2026, 4, 20))]
    answer = browser.post(MARCH, {"do": "remove"}, follow=True)
    assert "March 2026 is due by 10 April 2026, as usual" in answer.text
    assert not DueDay.objects.exists()
    assert [(e.person, e.action, e.about, e.counts) for e in AuditEvent.objects.order_by("id")] == [
        (national, "set a due day", "2026-03", {"due": "2026-04-17", "before": "2026-04-10"}),
        (national, "set a due day", "2026-03", {"due": "2026-04-20", "before": "2026-04-17"}),
        (national, "removed a due day", "2026-03", {"due": "2026-04-10", "before": "2026-04-20"}),
    ]


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        (on("due", date(2026, 3, 31)), "Enter a day in April 2026, when files for March 2026 are sent"),
        (on("due", date(2026, 5, 1)), "Enter a day in April 2026, when files for March 2026 are sent"),
        (on("due", date(2025, 4, 10)), "Enter a day in April 2026, when files for March 2026 are sent"),
        ({"due_day": "31", "due_month": "4", "due_year": "2026"}, "Enter a day that exists, like 27 3 2026"),
        ({"do": "save"}, "Enter the day by which agencies submit"),
    ],
)
def test_a_slip_in_the_calendar_is_told_in_one_sentence(office, asked, told):
    page = office.post(MARCH, asked).text
    assert page.count(told) == 2
    assert "<title>Error: " in page
    assert not DueDay.objects.exists()
    assert not AuditEvent.objects.exists()


@pytest.mark.parametrize("month", ["2026-13", "2026-3", "march", "1999-01", "２０２６-03"])
def test_a_month_that_is_none_is_not_in_the_calendar(office, month):
    assert office.get(reverse("due-day", args=[month])).status_code == 404


def test_the_calendar_shows_months_to_come_and_old_entries(office, regional, signed_in):
    DueDay.objects.create(month=date(2019, 3, 1), due=date(2019, 4, 17))
    page = office.get(reverse("calendar")).text
    assert "17 April 2019" in page
    assert page.count("In the calendar") == 1
    assert page.count("As usual") == 30
    assert reverse("due-day", args=["2019-03"]) in page
    assert "Change" not in signed_in(regional).get(reverse("calendar")).text


def test_removing_what_is_not_there_is_no_event(office):
    assert office.post(MARCH, {"do": "remove"}).status_code == 302
    assert not AuditEvent.objects.exists()


# ---- the audit trail -------------------------------------------------------------------------------


def test_an_audit_event_is_never_altered(provider):
    event = note("did something", by=provider)
    event.action = "did nothing"
    attempts: list[Callable[[], object]] = [
        event.save,
        event.delete,
        AuditEvent.objects.all().delete,
        lambda: AuditEvent.objects.update(action="did nothing"),
        lambda: AuditEvent.objects.filter(pk=event.pk).update(action="did nothing"),
        lambda: AuditEvent.objects.bulk_update([event], ["action"]),
        lambda: AuditEvent.objects.update_or_create(pk=event.pk, defaults={"action": "did nothing"}),
    ]
    for attempt in attempts:
        with pytest.raises(TypeError, match="never altered"):
            attempt()
    with pytest.raises(Exception, match=r"(?i)unique"), transaction.atomic():
        AuditEvent(pk=event.pk, who="", action="did nothing").save()
    assert AuditEvent.objects.get().action == "did something"


@pytest.mark.every_case
@pytest.mark.parametrize(
    "statement",
    [
        *(f"UPDATE agencies_auditevent SET {column} = 'x'" for column in ("who", "action", "about", "address")),
        "UPDATE agencies_auditevent SET counts = '{}'",
        "UPDATE agencies_auditevent SET id = 99999",
        "UPDATE agencies_auditevent SET at = '2020-01-01 00:00:00+00:00'",
        "UPDATE agencies_auditevent SET person_id = person_id + 1",
        "UPDATE agencies_auditevent SET person_id = NULL, action = 'x'",
        "DELETE FROM agencies_auditevent",
        "TRUNCATE agencies_auditevent",
    ],
)
def test_the_database_itself_refuses_to_alter_an_audit_event(provider, agency, statement):
    if connection.vendor == "sqlite" and statement.startswith("TRUNCATE"):
        pytest.skip("SQLite has no TRUNCATE")
    note("did something", by=provider, agency=agency, counts={"rows": 3})
    before = AuditEvent.objects.values().get()
    # A table whose foreign keys are still to be looked at cannot be emptied for that alone.
    connection.check_constraints()
    with (
        pytest.raises(DatabaseError, match="an audit event is appended and never altered"),
        transaction.atomic(),
        connection.cursor() as cursor,
    ):
        cursor.execute(statement)
    assert AuditEvent.objects.values().get() == before


def test_an_event_stays_when_what_it_speaks_of_is_forgotten(accepted, provider, agency):
    accepted({"CLIENTID": "4711"}, {"CLIENTID": "4712"})
    before = list(AuditEvent.objects.order_by("id").values())
    forget(by=provider, agency=agency, clients=["4711", "4712"])
    assert list(AuditEvent.objects.order_by("id").values())[: len(before)] == before
    assert "4711" not in str(list(AuditEvent.objects.values()))


def test_an_event_stays_when_the_account_goes(provider):
    email = provider.email
    note("did something", by=provider)
    provider.delete()
    assert AuditEvent.objects.get().who == email
    assert AuditEvent.objects.get().person is None


def test_the_audit_trail_names_nobody_it_is_about(office, administrator, provider, agency, region):
    invite(office, role=Role.PROVIDER, agency=agency.pk)
    accept()
    invite(office, email="another@example.org")
    office.post(reverse("people"), {"withdraw": Invitation.objects.get(accepted=None).pk})
    page = reverse("person", args=[provider.pk])
    for asked in (
        {"do": "give", "role": Role.REGIONAL, "region": region.pk},
        {"do": "take", "membership": provider.memberships.get().pk},
        {"do": "deactivate"},
        {"do": "reactivate"},
        {"do": "reset"},
    ):
        office.post(page, asked)
    assert [e.action for e in AuditEvent.objects.order_by("id")] == [
        "invited somebody",
        "accepted an invitation",
        "invited somebody",
        "withdrew an invitation",
        "gave a role",
        "took a role away",
        "ended somebody's access",
        "gave access again",
        "reset a second step",
    ]
    for event in AuditEvent.objects.all():
        assert event.address == "127.0.0.1"
        for told in (event.action, event.about, str(event.counts)):
            assert not {"@", "Ann", provider.name} & set(re.findall(r"@|\w+", told))


def test_the_audit_trail_is_filtered_by_agency_action_and_day(office, agency, other_agency, provider):
    for where in (agency, other_agency):
        note("accepted a submission", by=provider, agency=where, about=f"S{where.pk:06}")
    note("withdrew a submission", by=provider, agency=agency, about="S999999")

    def shown(**asked: str) -> int:
        page = office.get(reverse("audit"), asked).text
        return int(re.findall(r"([\d,]+) events?, newest first", page)[0])

    today = now().date()
    assert shown() == 3
    assert shown(agency=agency.code) == 2
    assert shown(action="accepted a submission") == 2
    assert shown(agency=agency.code, action="accepted a submission") == 1
    assert shown(**on("since", today - timedelta(days=1)), **on("until", today + timedelta(days=1))) == 3
    assert shown(**on("since", today + timedelta(days=2))) == 0
    assert shown(**on("until", today - timedelta(days=2))) == 0


def test_a_day_that_does_not_exist_filters_nothing_and_is_told(office, agency, provider):
    note("accepted a submission", by=provider, agency=agency)
    note("accepted a submission", by=provider)
    asked = {"agency": agency.code, "since_day": "31", "since_month": "2", "since_year": ""}
    page = office.get(reverse("audit"), asked).text
    assert "Enter a day that exists" in page
    assert "1 event, newest first" in page
    assert office.get(reverse("audit-export"), asked)["Location"].startswith(reverse("audit") + "?")


def test_a_long_audit_trail_is_paged_with_its_filter(office, agency, provider):
    for _ in range(60):
        note("accepted a submission", by=provider, agency=agency)
    page = office.get(reverse("audit"), {"agency": agency.code, "page": "2"}).text
    assert page.count("<td") // 7 == 10
    assert f"?page=1&amp;agency={agency.code}" in page


def test_the_audit_trail_is_exported_without_formulas(person_with, signed_in, agency):
    crafty = person_with(Role.NATIONAL, email="=1+1@example.org")
    note("accepted a submission", by=crafty, agency=agency, counts={"rows": 3})
    browser = signed_in(crafty)
    answer = browser.get(reverse("audit-export"), {"agency": agency.code})
    rows = list(csv.DictReader(io.StringIO(answer.getvalue().decode())))
    assert [(r["who"], r["agency"], r["action"], r["counts"]) for r in rows] == [
        ("'=1+1@example.org", agency.code, "accepted a submission", "rows: 3")
    ]
    assert AuditEvent.objects.get(action="exported the audit trail").counts == {"events": 1}


def test_an_exported_event_has_no_value_of_a_record(office, accepted, provider, agency):
    accepted({"CLIENTID": "4711", "FINITIAL": "Q", "DOB": "13/07/1991"})
    export = office.get(reverse("audit-export")).getvalue().decode()
    assert "accepted a submission" in export
    for value in ("4711", "13/07/1991", "1991-07-13", "march.csv"):
        assert value not in export


# ---- from where ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("proxies", "peer", "told", "origin"),
    [
        # nginx as docs/deploy.md has it names whom it asks for, and nothing of what they said themselves.
        (["127.0.0.1"], "127.0.0.1", "203.0.113.9", "203.0.113.9"),
        # One that appends: what the asker made up stands before.
        (["127.0.0.1"], "127.0.0.1", "10.1.1.1, 203.0.113.9", "203.0.113.9"),
        # Two, one behind the other.
        (["127.0.0.1", "198.51.100.0/24"], "127.0.0.1", "10.1.1.1, 203.0.113.9, 198.51.100.7", "203.0.113.9"),
        # Somebody who reaches the service without the web server makes up what they like.
        (["127.0.0.1"], "203.0.113.9", "10.1.1.1", "203.0.113.9"),
        ([], "127.0.0.1", "10.1.1.1", "127.0.0.1"),
        (["127.0.0.1"], "127.0.0.1", "", "127.0.0.1"),
        (["127.0.0.1"], "127.0.0.1", "unknown", "127.0.0.1"),
        (["127.0.0.1"], "127.0.0.1", "2001:db8::1", "2001:db8::1"),
        (["127.0.0.1"], "::ffff:127.0.0.1", "203.0.113.9", "203.0.113.9"),
        # By a socket of the same computer.
        (["127.0.0.1"], "", "203.0.113.9", "203.0.113.9"),
    ],
)
def test_the_audit_trail_knows_where_somebody_is_behind_a_web_server(settings, office, proxies, peer, told, origin):
    settings.PROXIES = [ip_network(each) for each in proxies]
    headers = {"HTTP_X_FORWARDED_FOR": told} if told else {}
    office.get(reverse("audit-export"), REMOTE_ADDR=peer, **headers)
    assert AuditEvent.objects.get().address == origin


# ---- links that let somebody in --------------------------------------------------------------------


def test_the_address_of_a_link_that_lets_somebody_in_is_left_at_once(office, provider):
    invite(office)
    Client().post(reverse("password-reset"), {"email": provider.email})
    for each in mail.outbox:
        address_sent = re.findall(r"http\S+", str(each.body))[0]
        leads_to = Client().get(urlsplit(address_sent).path)["Location"]
        assert address_sent.strip("/").split("/")[-1] not in leads_to


@pytest.mark.browser
@pytest.mark.django_db(transaction=True)
def test_an_invitations_link_reaches_no_log_by_the_files_of_its_page(tab, office):
    invite(office)
    secret = link().strip("/").split("/")[-1]
    page = tab(reverse("sign-in"))
    asked: list[Any] = []
    page.on("request", lambda one: asked.append((one.url, one)))

    page.goto(page.url.replace(reverse("sign-in"), link()))
    page.wait_for_load_state("networkidle")
    loaded = {url: one.all_headers().get("referer") for url, one in asked}
    page.fill("input[name=name]", "Ann Example")
    page.fill("input[name=password]", NEW_PASSWORD)
    follow(page.get_by_role("button", name="Continue"))

    files = {url: referer for url, referer in loaded.items() if "/static/" in url}
    assert {url.rsplit(".", 1)[-1] for url in files} >= {"css", "js"}
    assert all(files.values())
    told = [one.all_headers().get("referer", "") for _, one in asked]
    assert [referer for referer in told if secret in referer] == []
    assert Person.objects.filter(email=INVITED).exists()
