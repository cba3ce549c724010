import os
import re
import subprocess
import sys
import threading
from base64 import b32decode
from collections.abc import Callable
from datetime import timedelta
from urllib.parse import urlsplit

import pytest
from axes.models import AccessAttempt
from django.conf import settings as installed
from django.core import mail
from django.core.mail.backends.locmem import EmailBackend
from django.test import Client
from django.urls import reverse
from django.utils.timezone import now
from django_otp.oath import totp
from django_otp.plugins.otp_static.models import StaticToken
from django_otp.plugins.otp_totp.models import TOTPDevice
from tests.web.conftest import PASSWORD

from cjit.web.agencies import actions
from cjit.web.agencies import mail as sending
from cjit.web.agencies.models import AuditEvent, LinkRequest, Person
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


def test_many_wrong_passwords_from_one_place_hold_it_up_for_every_account(provider, person_with, settings):
    settings.SIGN_IN_FAILURES = 3
    for number in range(3):
        assert give(Client(), f"nobody{number}@example.org", "not the password").status_code == 200
    answer = give(Client(), provider.email)
    assert answer.status_code == 429
    assert 0 < int(answer["Retry-After"]) <= 3600 * installed.AXES_COOLOFF_TIME
    assert "or from where you are" in answer.text
    elsewhere = Client(REMOTE_ADDR="192.0.2.7")
    assert give(elsewhere, provider.email)["Location"] == reverse("second-step")


def test_many_wrong_passwords_for_one_account_hold_it_up_from_everywhere(provider, person_with, settings):
    settings.SIGN_IN_FAILURES = 3
    for number in range(3):
        give(Client(REMOTE_ADDR=f"192.0.2.{number}"), provider.email.upper(), "not the password")
    assert give(Client(REMOTE_ADDR="192.0.2.99"), provider.email).status_code == 429
    assert give(Client(REMOTE_ADDR="192.0.2.99"), person_with("analyst").email).status_code == 302


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


def test_the_session_has_another_key_after_the_password(provider):
    client = Client()
    client.session.save()
    client.get(reverse("sign-in"))
    before = client.session.session_key
    give(client, provider.email)
    assert client.session.session_key != before


def test_nobody_is_signed_in_for_longer_than_a_day_of_work(provider, signed_in):
    client = signed_in(provider)
    assert client.get(reverse("submissions")).status_code == 200
    session = client.session
    session["since"] -= installed.SESSION_LASTS + 1
    session.save()
    assert urlsplit(client.get(reverse("submissions"))["Location"]).path == reverse("sign-in")
    assert "_auth_user_id" not in client.session


def test_an_app_of_ones_own_is_set_up_anew_by_this_browser_alone(first_step, provider, signed_in):
    _, codes = set_up(first_step)
    elsewhere = signed_in(provider)
    first_step.post(reverse("second-step-set-up"), {"do": "app", "code": codes[0]})
    assert first_step.get(reverse("second-step-set-up")).status_code == 200
    assert urlsplit(elsewhere.get(reverse("second-step-set-up"))["Location"]).path == reverse("sign-in")


def test_a_code_given_again_is_not_a_sign_in_in_the_audit_trail(first_step, provider):
    _, codes = set_up(first_step)
    first_step.post(reverse("second-step-set-up"), {"do": "codes", "code": codes[0]})
    assert [e.action for e in AuditEvent.objects.order_by("id")] == [
        *("set up the second step", "gave a code again", "made new recovery codes"),
    ]


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


# ---- how often a link may be asked for -------------------------------------------------------------


def ask(email: str, origin: str = "192.0.2.1"):
    return Client(REMOTE_ADDR=origin).post(reverse("password-reset"), {"email": email})


def without_moments(page: str) -> str:
    return re.sub(r"\d{1,2} \w+ \d{4} at \d\d:\d\d", "MOMENT", page)


def test_links_for_one_address_are_bounded_whether_or_not_it_has_an_account(provider, mailoutbox):
    last = {}
    for place, email in enumerate((provider.email, "nobody@example.org")):
        for number in range(actions.LINKS_FOR_ONE):
            assert ask(email.upper() if number % 2 else email, f"192.0.{place}.{number}").status_code == 302
        last[email] = ask(email, f"192.0.{place}.99")
    known, unknown = last.values()
    assert known.status_code == unknown.status_code == 429
    assert 3500 < int(known["Retry-After"]) <= 3600
    assert without_moments(without_what_varies(known.text, provider.email)) == without_moments(
        without_what_varies(unknown.text, "nobody@example.org")
    )
    assert len(mailoutbox) == actions.LINKS_FOR_ONE


def test_links_asked_for_from_one_place_are_bounded(provider, db):
    for number in range(actions.LINKS_FROM_ONE):
        assert ask(f"nobody{number}@example.org").status_code == 302
    assert ask(provider.email).status_code == 429
    assert ask(provider.email, "192.0.2.2").status_code == 302


def test_a_link_can_be_asked_for_again_after_an_hour(provider, mailoutbox):
    for _ in range(actions.LINKS_FOR_ONE):
        ask(provider.email)
    assert ask(provider.email).status_code == 429
    LinkRequest.objects.update(at=now() - actions.WITHIN)
    assert ask(provider.email).status_code == 302
    # What no longer counts is not kept.
    assert LinkRequest.objects.count() == 1


def test_what_is_counted_names_nobody(provider):
    ask(provider.email)
    kept = str(list(LinkRequest.objects.values()))
    assert provider.email not in kept
    assert "192.0.2.1" not in kept


def test_a_link_that_is_made_is_in_the_audit_trail_and_one_for_nobody_is_not(provider):
    ask("nobody@example.org")
    ask(provider.email)
    [event] = AuditEvent.objects.all()
    assert (event.action, event.about, event.person) == (
        "made a link for a new password",
        f"person {provider.pk}",
        None,
    )
    assert event.address == "192.0.2.1"


def test_nobody_whose_access_has_ended_is_sent_a_link(provider, mailoutbox):
    Person.objects.update(is_active=False)
    assert ask(provider.email).status_code == 302
    assert not mailoutbox


class SlowPost(EmailBackend):
    """Sends when it is let."""

    let = threading.Event()

    def send_messages(self, messages):
        assert self.let.wait(20)
        return super().send_messages(messages)


@pytest.mark.django_db(transaction=True)
def test_the_answer_waits_neither_for_the_account_nor_for_the_mail(provider, settings, mailoutbox):
    settings.EMAIL_BACKEND = f"{__name__}.SlowPost"
    SlowPost.let.clear()
    assert ask(provider.email).status_code == 302
    assert not mailoutbox
    SlowPost.let.set()
    # One after the other: when this is done, so is what came before.
    sending._BESIDE.submit(int).result(20)
    assert [message.to for message in mailoutbox] == [[provider.email]]
    assert AuditEvent.objects.get(action="made a link for a new password").address == "192.0.2.1"


@pytest.mark.django_db(transaction=True)
def test_a_mail_that_cannot_be_sent_is_logged_without_the_address(provider, settings, caplog):
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT, settings.EMAIL_USE_TLS = "localhost", 1, False
    assert ask(provider.email).status_code == 302
    sending._BESIDE.submit(int).result(20)
    assert "An e-mail could not be sent" in caplog.text
    assert provider.email not in caplog.text


# ---- links, hosts, cookies and forged forms --------------------------------------------------------


@pytest.mark.parametrize(
    "wanted",
    [
        *("https://elsewhere.example/", "//elsewhere.example/", "/\\elsewhere.example", "javascript:alert(1)"),
        *("https:elsewhere.example", "http://testserver@elsewhere.example/", "\thttps://elsewhere.example"),
    ],
)
def test_no_address_leads_elsewhere_after_signing_in(provider, app, wanted):
    client = Client()
    client.post(reverse("sign-in"), {"username": provider.email, "password": PASSWORD, "next": wanted})
    assert client.post(reverse("second-step"), {"code": shown(app)})["Location"] == reverse("home")


def test_a_link_begins_as_the_setting_says_whatever_host_asks(provider, settings, mailoutbox):
    settings.ALLOWED_HOSTS = ["testserver", "elsewhere.example.org"]
    settings.BASE_URL = "https://cjit.example.org"
    Client().post(reverse("password-reset"), {"email": provider.email}, HTTP_HOST="elsewhere.example.org")
    assert "\nhttps://cjit.example.org/password/" in str(mailoutbox[-1].body)
    assert "elsewhere" not in str(mailoutbox[-1].body)


def test_a_host_that_is_not_ours_is_refused(provider, mailoutbox):
    answer = Client().post(reverse("password-reset"), {"email": provider.email}, HTTP_HOST="elsewhere.example.org")
    assert answer.status_code == 400
    assert not mailoutbox


@pytest.mark.parametrize("name", ["sign-in", "second-step", "second-step-set-up", "sign-out", "password-reset"])
def test_a_form_without_its_token_does_nothing(provider, app, mailoutbox, name):
    client = Client(enforce_csrf_checks=True)
    client.force_login(provider, backend="django.contrib.auth.backends.ModelBackend")
    asked = {"username": provider.email, "email": provider.email, "password": PASSWORD, "code": shown(app)}
    assert client.post(reverse(name), asked).status_code == 403
    assert not mailoutbox
    assert not AuditEvent.objects.exists()


SETTINGS = """
import django; django.setup()
from django.conf import settings
from django.test import Client
answer = Client().get("/sign-in/", secure=True, headers={"host": "cjit.example.org"})
cookie = answer.cookies["__Host-csrftoken"]
assert cookie["secure"] and cookie["httponly"] and cookie["samesite"] == "Lax" and cookie["path"] == "/"
assert not cookie["domain"]
assert settings.SESSION_COOKIE_NAME == "__Host-sessionid" and settings.SESSION_COOKIE_SECURE
assert settings.SESSION_COOKIE_HTTPONLY and settings.SESSION_COOKIE_DOMAIN is None
assert "max-age=31536000" in answer["Strict-Transport-Security"]
assert Client().get("/sign-in/", headers={"host": "cjit.example.org"})["Location"] == "https://cjit.example.org/sign-in/"
assert Client().get("/sign-in/", headers={"host": "cjit.example.org", "x-forwarded-proto": "https"}).status_code == 200
print(settings.BASE_URL, *settings.PROXIES)
"""


@pytest.mark.process
@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({}, "https://cjit.example.org 127.0.0.1/32 ::1/128"),
        (
            {"CJIT_URL": "https://cjit.example.org:8443/", "CJIT_PROXIES": "10.0.0.0/8"},
            "https://cjit.example.org:8443 10.0.0.0/8",
        ),
    ],
)
def test_behind_https_cookies_are_for_https_and_this_host_alone(tmp_path, given, told):
    environment = {**os.environ, "CJIT_HOME": str(tmp_path), "CJIT_TLS": "1", "CJIT_HOSTS": "cjit.example.org, other"}
    ended = subprocess.run(
        [sys.executable, "-W", "error", "-c", SETTINGS],
        env=environment | {"DATABASE_URL": "", "DJANGO_SETTINGS_MODULE": "cjit.web.settings"} | given,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (ended.stdout.strip(), ended.stderr) == (told, "")
