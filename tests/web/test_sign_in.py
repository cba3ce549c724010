import re
from base64 import b32decode
from collections.abc import Callable
from datetime import timedelta
from urllib.parse import urlsplit

import pytest
from axes.models import AccessAttempt
from django.conf import settings as installed
from django.core import mail
from django.test import Client
from django.urls import reverse
from django_otp.oath import totp
from django_otp.plugins.otp_static.models import StaticToken
from django_otp.plugins.otp_totp.models import TOTPDevice
from tests.web.conftest import PASSWORD

from cjit.web.agencies import actions
from cjit.web.agencies.models import AuditEvent, Person
from cjit.web.pages import moment

NEW_PASSWORD = "eleven plums under a kettle"


@pytest.fixture(autouse=True)
def quick_passwords(settings) -> None:
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]


@pytest.fixture
def app(provider) -> TOTPDevice:
    """The provider user's authenticator app, set up some time ago."""
    device: TOTPDevice = TOTPDevice.objects.create(user=provider, name="app")
    return device


@pytest.fixture
def first_step(provider) -> Client:
    """A browser in which the provider user has given the password."""
    client = Client()
    assert give(client, provider.email).status_code == 302
    return client


def shown(app: TOTPDevice) -> str:
    """The code an app shows, which is each time another one."""
    app.refresh_from_db()
    app.last_t = -1
    app.save()
    return f"{totp(app.bin_key):06}"


def wrong(app: TOTPDevice) -> str:
    return f"{(int(shown(app)) + 1) % 1_000_000:06}"


def give(client: Client, email: str, password: str = PASSWORD, wanted: str = ""):
    return client.post(reverse("sign-in") + wanted, {"username": email, "password": password})


def without_what_varies(page: str, email: str) -> str:
    page = page.replace(email, "ADDRESS")
    return re.sub(r'(csrfmiddlewaretoken" value|nonce)="[^"]*"', "", page)


# ---- the first step --------------------------------------------------------------------------------


def test_both_steps_lead_to_where_somebody_was_going(provider, app):
    client = Client()
    asked = client.get("/submissions/")
    assert urlsplit(asked["Location"]).path == reverse("sign-in")
    first = give(client, provider.email, wanted="?" + urlsplit(asked["Location"]).query)
    assert first["Location"] == reverse("second-step")
    assert client.get("/submissions/")["Location"] == reverse("second-step")
    second = client.post(reverse("second-step"), {"code": shown(app)})
    assert second["Location"] == "/submissions/"


def test_signing_in_leads_to_no_other_site(provider, app):
    client = Client()
    give(client, provider.email, wanted="?next=https://elsewhere.example/")
    assert client.post(reverse("second-step"), {"code": shown(app)})["Location"] == reverse("home")


def test_the_address_may_be_typed_in_capitals(provider):
    assert give(Client(), provider.email.upper())["Location"] == reverse("second-step")


def test_a_wrong_password_and_an_unknown_address_get_the_same_answer(provider):
    known = give(Client(), provider.email, "not the password")
    unknown = give(Client(), "nobody@example.org", "not the password")
    assert known.status_code == unknown.status_code == 200
    assert "Enter the e-mail address and the password of your account" in known.text
    assert without_what_varies(known.text, provider.email) == without_what_varies(unknown.text, "nobody@example.org")


def test_somebody_whose_access_has_ended_is_answered_as_if_unknown(provider):
    Person.objects.update(is_active=False)
    assert "Enter the e-mail address and the password of your account" in give(Client(), provider.email).text


def test_a_password_is_never_given_back(provider):
    assert "not the password" not in give(Client(), provider.email, "not the password").text


def test_whoever_is_signed_in_is_not_asked_again(provider, signed_in):
    assert signed_in(provider).get(reverse("sign-in"))["Location"] == reverse("second-step")
    assert signed_in(provider).get(reverse("second-step"))["Location"] == reverse("home")


# ---- the lock-out ----------------------------------------------------------------------------------


def try_often(email: str) -> Client:
    client = Client()
    for _ in range(installed.AXES_FAILURE_LIMIT):
        give(client, email, "not the password")
    return client


def test_a_person_who_is_locked_out_is_told_when_to_try_again(provider):
    answer = give(try_often(provider.email), provider.email)
    assert answer.status_code == 429
    until = AccessAttempt.objects.get().attempt_time + timedelta(hours=installed.AXES_COOLOFF_TIME)
    assert moment(until) in answer.text
    assert 0 < int(answer["Retry-After"]) <= 3600 * installed.AXES_COOLOFF_TIME


def test_an_unknown_address_is_locked_out_just_so(db):
    assert give(try_often("nobody@example.org"), "nobody@example.org").status_code == 429


def test_a_lock_out_ends_by_itself(provider):
    client = try_often(provider.email)
    for attempt in AccessAttempt.objects.all():
        attempt.attempt_time -= timedelta(hours=installed.AXES_COOLOFF_TIME, seconds=1)
        attempt.save()
    assert give(client, provider.email)["Location"] == reverse("second-step")


def test_a_lock_out_is_of_one_address_only(provider, person_with):
    client = try_often(person_with("analyst").email)
    assert give(client, provider.email).status_code == 302


def test_a_lock_out_is_in_the_audit_trail_once(provider):
    client = try_often(provider.email)
    give(client, provider.email)
    give(client, provider.email)
    assert [e.person for e in AuditEvent.objects.filter(action="was locked out")] == [provider]


# ---- the second step -------------------------------------------------------------------------------


def test_the_first_sign_in_leads_to_setting_up_the_second_step(first_step):
    assert first_step.get(reverse("second-step"))["Location"] == reverse("second-step-set-up")


def set_up(client: Client) -> tuple[str, list[str]]:
    """Set up an app from what the page shows. Returns its key (base 32) and the recovery codes."""
    page = client.get(reverse("second-step-set-up")).text
    key = re.findall(r"<code[^>]*>([A-Z2-7 ]+)</code>", page)[0]
    assert 'src="data:image/svg+xml;base64,' in page
    answer = client.post(reverse("second-step-set-up"), {"code": f"{totp(b32decode(key.replace(' ', ''))):06}"})
    return key, re.findall("[a-z2-7]{4}-[a-z2-7]{4}-[a-z2-7]{4}-[a-z2-7]{4}", answer.text)


def test_an_app_is_set_up_by_the_key_on_the_page_and_opens_the_service(first_step, provider):
    _, codes = set_up(first_step)
    assert len(set(codes)) == 8
    assert first_step.get(reverse("second-step-set-up")).status_code == 200
    assert "8 recovery codes" in first_step.get(reverse("second-step-set-up")).text
    assert not any(code in first_step.get(reverse("second-step-set-up")).text for code in codes)


def test_a_wrong_code_sets_up_nothing(first_step):
    before = first_step.get(reverse("second-step-set-up")).text
    after = first_step.post(reverse("second-step-set-up"), {"code": "abc"}).text
    assert "Enter the 6 figures your app shows now" in after
    assert not TOTPDevice.objects.exists()
    key = re.compile(r"<code[^>]*>([A-Z2-7 ]+)</code>")
    assert key.findall(before) == key.findall(after) != []


def test_whoever_knows_only_the_password_cannot_bring_an_app_of_their_own(first_step, app):
    assert first_step.get(reverse("second-step-set-up"))["Location"] == reverse("second-step")
    first_step.post(reverse("second-step-set-up"), {"do": "app"})
    assert list(TOTPDevice.objects.all()) == [app]
    with pytest.raises(actions.Refused):
        actions.set_up_second_step(by=app.user, key="ab" * 20, code="123456")


def test_a_recovery_code_opens_the_service_once(first_step, provider):
    _, codes = set_up(first_step)
    for expected in (302, 200):
        client = Client()
        give(client, provider.email)
        assert client.post(reverse("second-step"), {"code": codes[0].upper()}).status_code == expected


def test_recovery_codes_are_kept_as_hashes(first_step):
    _, codes = set_up(first_step)
    kept = set(StaticToken.objects.values_list("token", flat=True))
    assert len(kept) == 8
    assert kept.isdisjoint({code.replace("-", "") for code in codes} | set(codes))


def test_new_recovery_codes_take_the_place_of_the_old_ones(first_step, provider):
    _, old = set_up(first_step)
    answer = first_step.post(reverse("second-step-set-up"), {"do": "codes", "code": old[0]}).text
    new = re.findall("[a-z2-7]{4}(?:-[a-z2-7]{4}){3}", answer)
    assert len(new) == 8
    with pytest.raises(actions.Refused):
        actions.check_code(by=provider, code=old[1])


def test_whoever_is_signed_in_sets_up_another_app(first_step):
    old, codes = set_up(first_step)
    moved = first_step.post(reverse("second-step-set-up"), {"do": "app", "code": codes[0]})
    assert moved["Location"] == reverse("second-step-set-up")
    new, codes = set_up(first_step)
    assert new != old
    assert len(codes) == 8
    assert TOTPDevice.objects.count() == 1


@pytest.mark.parametrize("do", ["app", "codes"])
def test_an_open_browser_alone_changes_nothing_of_the_second_step(first_step, provider, do):
    _, codes = set_up(first_step)
    for slip in ({}, {"code": "000000"}):
        assert first_step.post(reverse("second-step-set-up"), {"do": do, **slip}).status_code == 200
    assert TOTPDevice.objects.get(user=provider).confirmed
    assert actions.check_code(by=provider, code=codes[0])


def test_a_code_works_once(first_step, provider, app):
    code = shown(app)
    first_step.post(reverse("second-step"), {"code": code})
    client = Client()
    give(client, provider.email)
    assert "or a recovery code you have not used" in client.post(reverse("second-step"), {"code": code}).text


def test_after_a_wrong_code_even_the_right_one_has_to_wait(first_step, app):
    assert "Enter the 6 figures" in first_step.post(reverse("second-step"), {"code": wrong(app)}).text
    assert "wait 1 second and enter" in first_step.post(reverse("second-step"), {"code": shown(app)}).text
    app.refresh_from_db()
    app.throttling_failure_timestamp -= timedelta(seconds=2)
    app.save()
    assert first_step.post(reverse("second-step"), {"code": shown(app)}).status_code == 302


def test_the_session_has_another_key_after_the_second_step(first_step, app):
    before = first_step.session.session_key
    first_step.post(reverse("second-step"), {"code": shown(app)})
    assert first_step.session.session_key != before


def test_signing_in_and_out_is_in_the_audit_trail(first_step, provider, app):
    first_step.post(reverse("second-step"), {"code": shown(app)})
    assert first_step.post(reverse("sign-out"))["Location"] == reverse("sign-in")
    assert [(e.action, e.person) for e in AuditEvent.objects.all()] == [
        ("signed out", provider),
        ("signed in", provider),
    ]
    assert urlsplit(first_step.get(reverse("second-step"))["Location"]).path == reverse("sign-in")


def test_a_link_cannot_sign_somebody_out(provider, signed_in):
    client = signed_in(provider)
    assert client.get(reverse("sign-out")).status_code == 405
    assert client.get(reverse("second-step-set-up")).status_code == 200


# ---- a new password --------------------------------------------------------------------------------


def link_in(message: mail.EmailMessage) -> str:
    return str(urlsplit(re.findall(r"http\S+", str(message.body))[0]).path)


def test_the_answer_is_the_same_whether_the_address_is_known_or_not(provider, mailoutbox):
    known = Client().post(reverse("password-reset"), {"email": provider.email}, follow=True)
    unknown = Client().post(reverse("password-reset"), {"email": "nobody@example.org"}, follow=True)
    assert known.redirect_chain == unknown.redirect_chain == [(reverse("password-reset-sent"), 302)]
    assert without_what_varies(known.text, provider.email) == without_what_varies(unknown.text, "nobody@example.org")
    assert [message.to for message in mailoutbox] == [[provider.email]]


@pytest.fixture
def set_password(provider, mailoutbox) -> Callable[[str], object]:
    """Set the provider user's password by the link in the e-mail."""

    def by_link(password: str):
        client = Client()
        client.post(reverse("password-reset"), {"email": provider.email})
        page = client.get(link_in(mailoutbox[-1]), follow=True)
        return client.post(page.redirect_chain[-1][0], {"password": password}, follow=True)

    return by_link


def test_a_new_password_takes_the_place_of_the_old_one(provider, app, set_password):
    assert "Your new password is set" in set_password(NEW_PASSWORD).text
    assert give(Client(), provider.email).status_code == 200
    client = Client()
    assert give(client, provider.email, NEW_PASSWORD)["Location"] == reverse("second-step")
    assert "Enter a code from your app" in client.get(reverse("second-step")).text
    assert AuditEvent.objects.get(action="set a new password").person == provider


def test_a_link_for_a_new_password_works_once(set_password, mailoutbox):
    set_password(NEW_PASSWORD)
    assert "This link can no longer be used" in Client().get(link_in(mailoutbox[-1])).text


def test_a_new_password_ends_other_sessions(provider, signed_in, set_password):
    elsewhere = signed_in(provider)
    set_password(NEW_PASSWORD)
    assert urlsplit(elsewhere.get(reverse("second-step"))["Location"]).path == reverse("sign-in")


def test_a_new_password_ends_a_lock_out(provider, set_password):
    client = try_often(provider.email)
    set_password(NEW_PASSWORD)
    assert give(client, provider.email, NEW_PASSWORD).status_code == 302


@pytest.mark.parametrize(
    ("password", "told"),
    [
        ("too short", "Enter a password of 12 characters or more"),
        ("1qaz2wsx3edc", "Enter a password that is harder to guess"),
        ("provider0@example.org", "Enter a password that is not like your name or e-mail address"),
    ],
)
def test_a_weak_password_is_refused_in_one_sentence(set_password, password, told):
    assert told in set_password(password).text
