"""A service to try: made-up regions, agencies and people with known passwords, and files to send."""

from __future__ import annotations

import threading
from base64 import b32encode
from dataclasses import replace
from datetime import date, timedelta

from django.conf import settings
from django.utils import timezone
from django_otp.plugins.otp_totp.models import TOTPDevice

from cjit.datasets.q import Q
from cjit.testdata import histories
from cjit.testdata.faults import with_faults
from cjit.web import kept, worker
from cjit.web.agencies import actions as register
from cjit.web.agencies.models import OF_AN_AGENCY, Agency, Person, Role
from cjit.web.caseload import actions as caseload
from cjit.web.caseload.models import Client, Contact, Episode
from cjit.web.caseload.record import REVIEW_MONTHS, met, months_after
from cjit.web.portal import actions as portal
from cjit.web.portal.models import Scope, State, Submission

PASSWORD = "made-up people only"  # noqa: S105 - shown to whoever starts the demo
#: The authenticator key of everybody in the demo, as bytes; apps take it in base 32.
APP_KEY = b"cjit demo, no secret"
CLIENTS, SEED = 120, 1
#: The words with which the demo's agency asks for consent.
WORDING = (
    "May we share what we record about you with the National Drug Treatment Monitoring System? It has your initials,"
    " date of birth and sex, where you live but not your address, and how we work with you. You can say no and still"
    " be seen, and you can change your mind."
)
#: What goes wrong in the files to send, each in a few rows.
SLIPS = (
    "DOB.is_a_date",
    "DRUG1.is_given",
    "DAT.is_given",
    "NATION.records_kosovo_as_serbia",
    "PC.is_truncated",
    "TRIAGED.is_not_before_the_event",
    "CJDISRSN.is_given_with_a_date",
)
REGIONS = {"NO": "Made-up North", "SO": "Made-up South"}
#: Each agency by its number in `synth`: its name, its region and its DAT.
AGENCIES = {
    0: ("Northtown team", "NO", "A09B"),
    1: ("Northvale team", "NO", "A12B"),
    2: ("Southport team", "SO", "B18B"),
}
#: Each by e-mail address: their roles, at the first agency or in its region, and their name.
PEOPLE: dict[str, tuple[tuple[Role, ...], str]] = {
    "provider@example.org": ((Role.PROVIDER,), "Priya Provider"),
    "keyworker@example.org": ((Role.KEYWORKER,), "Kit Keyworker"),
    "manager@example.org": ((Role.MANAGER, Role.PROVIDER), "Max Manager"),
    "regional@example.org": ((Role.REGIONAL,), "Reg Regional"),
    "national@example.org": ((Role.NATIONAL,), "Nat National"),
    "analyst@example.org": ((Role.ANALYST,), "Ana Analyst"),
    "admin@example.org": ((Role.ADMINISTRATOR,), "Adi Administrator"),
}


class NotEmpty(ValueError):  # noqa: N818 - a slip of the user's, told in one sentence
    """The service has people of its own, among whom nobody with a known password belongs."""


def make() -> str:
    """Make what is not there yet, and say how to sign in. Made again, only the recovery codes are new.

    The agencies' submissions of last month are accepted but the last one's, the first one's are its caseload too, and
    this month's files are in `settings.HOME`/demo to be sent. Raises `NotEmpty` in a service with people of its own.
    """
    if Person.objects.exclude(email__in=PEOPLE).exists():
        raise NotEmpty("This service has people of its own: set CJIT_HOME to an empty folder for the demo")
    agencies = _register()
    codes = {person.email: _person(person, agencies[0]) for person in _people()}
    _files(agencies)
    _caseload(agencies[0])
    width = max(len(email) for email in codes)
    return "\n".join(
        [
            "A demo with made-up people. Sign in as one of these, then give one of their recovery codes:",
            "",
            *(f"  {email:<{width}}  {'  '.join(some[:2])}" for email, some in codes.items()),
            "",
            f"  Password of all: {PASSWORD}",
            f"  For an authenticator app instead: {b32encode(APP_KEY).decode()}",
            f"  Files to send: {settings.HOME / 'demo'}",
            "",
        ]
    )


def _register() -> list[Agency]:
    regions = {code: register.add_region(by=None, code=code, name=name) for code, name in REGIONS.items()}
    opened = date(2020, 4, 1)
    for number, (name, region, dat) in AGENCIES.items():
        code = histories.agency_code(number)
        if not Agency.objects.filter(code=code).exists():
            register.add_agency(by=None, code=code, name=name, region=regions[region], opened=opened, dat=dat)
    return list(Agency.objects.filter(code__in=[histories.agency_code(number) for number in AGENCIES]))


def _people() -> list[Person]:
    known = {person.email: person for person in Person.objects.all()}
    return [
        known.get(email) or Person.objects.create_user(email, PASSWORD, name=name)
        for email, (_, name) in PEOPLE.items()
    ]


def _person(person: Person, agency: Agency) -> list[str]:
    """Give somebody of the demo their roles and second step. Returns their recovery codes."""
    roles, _ = PEOPLE[person.email]
    for role in roles:
        register.give_role(
            by=None,
            person=person,
            role=role,
            agency=agency if role in OF_AN_AGENCY else None,
            region=agency.region if role is Role.REGIONAL else None,
        )
    TOTPDevice.objects.get_or_create(user=person, name="app", defaults={"key": APP_KEY.hex()})
    return register.new_recovery_codes(by=person)


def _files(agencies: list[Agency]) -> None:
    """Send and accept last month's files of all agencies but the last, and write this month's to be sent."""
    if Submission.objects.exists():
        return
    today = timezone.localdate()
    last = today.replace(day=1) - timedelta(days=1)
    sent: dict[str, histories.Submission] = {}
    months = histories.histories(Q, agencies=len(agencies), clients=CLIENTS, months=2, today=today, seed=SEED)
    for month in months:
        if month.month == last:
            sent[month.agency] = month
        else:
            columns, _ = with_faults(month.columns, Q, 0.01, SEED, SLIPS, today=today)
            histories.write([replace(month, columns=columns)], settings.HOME / "demo")
    provider = Person.objects.get(email=next(iter(PEOPLE)))
    for agency in agencies[:-1]:
        [path] = histories.write([sent[agency.code]], settings.HOME / "demo")
        with path.open("rb") as file:
            portal.receive(by=provider, agency=agency, file=file, name=path.name, scope=Scope.FULL)
    worker.run(threading.Event(), once=True)
    for submission in Submission.objects.filter(state=State.READY):
        portal.accept(by=provider, submission=submission)


# ---- the caseload ----------------------------------------------------------------------------------


def _caseload(agency: Agency) -> None:
    """What an agency sent last as its caseload, and what was done since: something is due of every kind."""
    sent = Submission.objects.filter(agency=agency, state=State.ACCEPTED).first()
    if sent is None or Client.objects.filter(agency=agency).exists():
        return
    manager, keyworker = (Person.objects.get(email=email) for email in ("manager@example.org", "keyworker@example.org"))
    today = timezone.localdate()
    assessed = months_after(today, -REVIEW_MONTHS) - timedelta(days=2)
    with kept.opened(sent) as path:
        caseload.import_records(by=manager, agency=agency, file=path, name=sent.name, counted_from=assessed)
    caseload.set_practice(by=manager, agency=agency, file_name="{agency}_{until}_{scope}.csv", consent_wording=WORDING)
    found = Episode.objects.filter(agency=agency, open=True).select_related("client__agency")
    open_ = list(found.order_by("triaged", "pk"))
    # Of the first two, who were seen longest ago, nothing was heard since; of the next two nobody has said.
    for episode in open_[:2]:
        caseload.say_no_contact(by=keyworker, episode=episode, none=True)
    for number, episode in enumerate(open_[4:]):
        in_prison = number == 0
        kind = Contact.Kind.PRISON if in_prison else (Contact.Kind.OFFICE, Contact.Kind.TELEPHONE)[number % 2]
        caseload.add_contact(
            by=keyworker,
            episode=episode,
            on=max(today - timedelta(days=3 + number % 40), met(episode) or today),
            kind=kind,
            face_to_face=kind != Contact.Kind.TELEPHONE,
            custody=in_prison,
        )
        # All but a few are assessed in time.
        if episode.started and episode.review and episode.review < today and number % 8:
            on = max(episode.started, today - timedelta(days=20 + number))
            caseload.add_intervention(
                by=keyworker, episode=episode, on=on, kinds=["RECPEER", "RECEMP"][: 1 + number % 2], leaving=False
            )
    if len(open_) > 5:
        caseload.add_referral(by=keyworker, episode=open_[5], typed={})
        caseload.add_note(by=keyworker, client=open_[5].client, text="Asked for a women’s group; ring the centre.")
        caseload.record_consent(
            by=keyworker, client=open_[-1].client, given=False, on=today, evidence="Said so by phone"
        )
    # Somebody nobody has asked yet, half filled in; and somebody who was asked and said no.
    for initials, asked in (("AZ", False), ("QB", True)):
        begun = caseload.begin_client(
            by=keyworker, agency=agency, typed={"FINITIAL": initials[0], "SINITIAL": initials[1], "DOB": "02/07/1988"}
        )
        day = f"{today - timedelta(days=2):%d/%m/%Y}"
        caseload.save(by=keyworker, record=begun, typed={"REFLD": day, "TRIAGED": day, "DRUG1": ""})
        if asked:
            caseload.record_consent(by=keyworker, client=begun.client, given=False, on=today, wording=WORDING)
