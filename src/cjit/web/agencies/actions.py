"""All that changes people, their roles and second step, the register of agencies, and the calendar.

Each is keyword-only with `by=` the actor (None: somebody at the service's own command line), in one transaction, and
appends its audit event. The audit trail names people by their number, never by their address.
"""

from __future__ import annotations

import hashlib
import math
import re
import secrets
from base64 import b32encode
from datetime import date, datetime, timedelta
from typing import Any

from axes.utils import reset as forget_attempts
from django.contrib.auth import SESSION_KEY
from django.contrib.auth.tokens import default_token_generator
from django.contrib.sessions.models import Session
from django.db import IntegrityError, models, transaction
from django.urls import reverse
from django.utils.crypto import salted_hmac
from django.utils.encoding import force_bytes
from django.utils.http import urlsafe_base64_encode
from django.utils.timezone import localtime, now
from django_otp.models import Device
from django_otp.plugins.otp_static.models import StaticDevice
from django_otp.plugins.otp_totp.models import TOTPDevice

from cjit.web.agencies.audit import ADDRESS, note
from cjit.web.agencies.calendar import Month
from cjit.web.agencies.models import (
    Agency,
    Closure,
    DueDay,
    Invitation,
    LinkRequest,
    Membership,
    Person,
    Region,
    Role,
)

INVITATION_LASTS = timedelta(days=7)
#: How many e-mails are sent within an hour: invitations to one address and by one administrator, and links for a new
#: password for one address and to whoever asks from one place, which may be a whole office.
WITHIN = timedelta(hours=1)
INVITATIONS_TO_ONE, INVITATIONS_BY_ONE, LINKS_FOR_ONE, LINKS_FROM_ONE = 5, 100, 5, 30
#: How many recovery codes somebody is given, and how many signs (5 bits each) one has.
RECOVERY_CODES, RECOVERY_SIGNS = 8, 16


class Refused(ValueError):  # noqa: N818 - a slip of the user's, told in one sentence
    """What was asked cannot be done. The text is one sentence that says why and what to do."""


class TooOften(Refused):
    """It was asked for so often that it is not done again before `until`."""

    def __init__(self, until: datetime) -> None:
        super().__init__(f"This was asked for too often: try again after {localtime(until):%H:%M}")
        self.until = until


# ---- invitations -----------------------------------------------------------------------------------


@transaction.atomic
def invite(
    *, by: Person | None, email: str, name: str, role: str, agency: Agency | None = None, region: Region | None = None
) -> tuple[Invitation, str]:
    """Invite somebody to a role in its place. Returns the invitation and its token, of which only a hash is kept.

    Earlier invitations to the address end. Raises `Refused` where the address has an account, and `TooOften`.
    """
    email = email.strip().lower()
    if Person.objects.filter(email=email).exists():
        raise Refused("This e-mail address has an account already: open it under People and give it the role there")
    sent = Invitation.objects.filter(made__gt=now() - WITHIN)
    _not_too_often(sent.filter(email=email).values_list("made", flat=True), INVITATIONS_TO_ONE)
    if by:
        _not_too_often(sent.filter(by=by).values_list("made", flat=True), INVITATIONS_BY_ONE)
    open_invitations().filter(email=email).update(expires=now())
    token = secrets.token_urlsafe(32)
    invitation = Invitation.objects.create(
        email=email,
        name=name,
        role=role,
        agency=agency,
        region=region,
        token=_hash(token),
        by=by,
        expires=now() + INVITATION_LASTS,
    )
    note("invited somebody", by=by, agency=agency, about=f"invitation {invitation.pk}", counts={"role": role})
    return invitation, token


@transaction.atomic
def withdraw_invitation(*, by: Person, invitation: Invitation) -> None:
    """End an invitation that was not accepted."""
    if open_invitations().filter(pk=invitation.pk).update(expires=now()):
        note("withdrew an invitation", by=by, agency=invitation.agency, about=f"invitation {invitation.pk}")


def open_invitations() -> models.QuerySet[Invitation]:
    """The invitations that were neither used nor withdrawn and are not too old."""
    return Invitation.objects.filter(accepted=None, expires__gt=now())


def invitation_of(token: str) -> Invitation | None:
    """The invitation a token opens; None where it was used, withdrawn, is too old, or never was."""
    return open_invitations().filter(token=_hash(token)).first()


@transaction.atomic
def accept_invitation(*, invitation: Invitation, name: str, password: str) -> Person:
    """Make the account somebody was invited to. It is they who act. Raises `Refused` where it cannot be used any more.

    Whoever calls this has seen the token of its link (`invitation_of`).
    """
    found = open_invitations().select_for_update().filter(pk=invitation.pk).first()
    if not found or Person.objects.filter(email=invitation.email).exists():
        raise Refused("This invitation can no longer be used: ask whoever invited you for another")
    person = Person.objects.create_user(invitation.email, password, name=name)
    Membership.objects.create(person=person, role=invitation.role, agency=invitation.agency, region=invitation.region)
    found.accepted = now()
    found.save(update_fields=["accepted"])
    note(
        "accepted an invitation",
        by=person,
        agency=invitation.agency,
        about=f"invitation {invitation.pk}",
        counts={"role": invitation.role},
    )
    return person


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


def _not_too_often(times: models.QuerySet[Any, datetime], most: int) -> None:
    """Raises `TooOften` where something was done as often as it may be, going by when it was done."""
    latest = sorted(times, reverse=True)[:most]
    if len(latest) == most:
        raise TooOften(latest[-1] + WITHIN)


# ---- people and roles ------------------------------------------------------------------------------


@transaction.atomic
def give_role(
    *, by: Person | None, person: Person, role: str, agency: Agency | None = None, region: Region | None = None
) -> Membership:
    """Give somebody a role in its place; one they have already stays as it is."""
    _another_administrator(by, person)
    membership, made = Membership.objects.get_or_create(person=person, role=role, agency=agency, region=region)
    if made:
        note("gave a role", by=by, agency=agency, about=f"person {person.pk}", counts={"role": role})
    return membership


@transaction.atomic
def take_role(*, by: Person | None, membership: Membership) -> None:
    """Take a role away."""
    _another_administrator(by, membership.person)
    note(
        "took a role away",
        by=by,
        agency=membership.agency,
        about=f"person {membership.person_id}",
        counts={"role": membership.role},
    )
    membership.delete()


@transaction.atomic
def deactivate(*, by: Person | None, person: Person) -> None:
    """End somebody's access, at once wherever they are signed in. What they did stays in the audit trail."""
    _another_administrator(by, person)
    # Or a browser somebody else has would be let in again on the day they are.
    _end_sessions(person)
    if Person.objects.filter(pk=person.pk, is_active=True).update(is_active=False):
        note("ended somebody's access", by=by, about=f"person {person.pk}")


@transaction.atomic
def reactivate(*, by: Person | None, person: Person) -> None:
    """Let somebody sign in again, with the roles they have."""
    _another_administrator(by, person)
    if Person.objects.filter(pk=person.pk, is_active=False).update(is_active=True):
        note("gave access again", by=by, about=f"person {person.pk}")


def _another_administrator(by: Person | None, person: Person) -> None:
    """Nobody changes their own access, so nobody gives themselves the records, and an administrator always remains."""
    if by is None:
        return
    # Two administrators who end each other's access at the same moment: the second waits here, and is none any more.
    administrators = Membership.objects.select_for_update().filter(role=Role.ADMINISTRATOR)
    if by.pk not in {each.person_id for each in administrators}:
        raise Refused("You are no longer an administrator: ask one who is")
    if by.pk == person.pk or not Person.objects.filter(pk=by.pk, is_active=True).exists():
        raise Refused("You cannot change your own access: ask another administrator")


def _end_sessions(person: Person, *, but: str | None = None) -> None:
    """Sign somebody out wherever they are signed in, but for one session."""
    for session in Session.objects.filter(expire_date__gt=now()).exclude(session_key=but or ""):
        if session.get_decoded().get(SESSION_KEY) == str(person.pk):
            session.delete()


# ---- the password ----------------------------------------------------------------------------------


@transaction.atomic
def count_link_request(*, email: str) -> None:
    """Count that somebody, whoever it is, asks for a link to set the password of an address. Raises `TooOften`.

    It never looks whether there is an account, so the answer cannot tell. Nobody who is known has done anything yet:
    there is no audit event before `make_password_link`.
    """
    email, origin = _unreadable(email.strip().lower()), _unreadable(ADDRESS.get())
    LinkRequest.objects.filter(at__lte=now() - WITHIN).delete()
    _not_too_often(LinkRequest.objects.filter(email=email).values_list("at", flat=True), LINKS_FOR_ONE)
    _not_too_often(LinkRequest.objects.filter(origin=origin).values_list("at", flat=True), LINKS_FROM_ONE)
    LinkRequest.objects.create(email=email, origin=origin)


def _unreadable(text: str) -> str:
    return salted_hmac("cjit.web.agencies.LinkRequest", text, algorithm="sha256").hexdigest()


@transaction.atomic
def make_password_link(*, email: str) -> tuple[Person, str] | None:
    """Who has an address, and the path at which they set a new password within an hour; None where nobody may."""
    person = Person.objects.filter(email=email.strip().lower(), is_active=True).first()
    if person is None or not person.has_usable_password():
        return None
    uid = urlsafe_base64_encode(force_bytes(person.pk))
    note("made a link for a new password", by=None, about=f"person {person.pk}")
    return person, reverse("password-reset-set", args=[uid, default_token_generator.make_token(person)])


@transaction.atomic
def set_password(*, by: Person, password: str) -> None:
    """Set one's own password, which ends a lock-out and one's other sessions."""
    by.set_password(password)
    by.save(update_fields=["password"])
    forget_attempts(username=by.email)
    note("set a new password", by=by)


# ---- the second step -------------------------------------------------------------------------------


@transaction.atomic
def set_up_second_step(*, by: Person, key: str, code: str) -> tuple[Device, list[str]]:
    """Set up an authenticator app by its key (hexadecimal) and a code it shows. Returns it, and the recovery codes.

    Raises `Refused` where the code is wrong, or an app is set up already: who knows only the password must not be
    able to bring an app of their own.
    """
    Person.objects.select_for_update().get(pk=by.pk)
    if has_second_step(by):
        raise Refused("Your second step is set up already: sign in with a code from your app")
    app = TOTPDevice.objects.create(user=by, name="app", key=key)
    if not app.verify_token(_plain(code)):
        raise Refused(
            "Enter the 6 figures your app shows now for this service, and see that your phone’s clock is right"
        )
    codes = _new_codes(by)
    note("set up the second step", by=by)
    return app, codes


def has_second_step(person: Person) -> bool:
    """Whether somebody has set up their authenticator app."""
    return bool(TOTPDevice.objects.filter(user=person, confirmed=True).exists())


def check_code(*, by: Person, code: str, when: str = "signed in") -> Device:
    """Take the second step of signing in, by the app's code or a recovery code, which is then used up.

    `when` says for the audit trail what somebody did by it, where they had signed in before. Each wrong code doubles
    the time until another is looked at. Raises `Refused` for a wrong code, or one too soon.
    """
    code = _plain(code)
    kind: type[TOTPDevice | StaticDevice] = TOTPDevice if re.fullmatch("[0-9]{6}", code) else StaticDevice
    with transaction.atomic():
        device = kind.objects.select_for_update().filter(user=by, confirmed=True).first()
        allowed, why = device.verify_is_allowed() if device else (True, None)
        right = bool(device and device.verify_token(code if kind is TOTPDevice else _kept(code)))
        if allowed:
            step = "app" if kind is TOTPDevice else "recovery code"
            note(when if right else "gave a wrong code", by=by, counts={"second step": step})
    # Refused only now, so that the wrong code is counted.
    if not allowed:
        raise Refused(f"There were too many wrong codes: wait {_wait(why)} and enter the code your app shows then")
    if not device or not right:
        raise Refused("Enter the 6 figures your app shows now, or a recovery code you have not used")
    return device


@transaction.atomic
def new_recovery_codes(*, by: Person) -> list[str]:
    """Make new recovery codes in place of the old ones."""
    codes = _new_codes(by)
    note("made new recovery codes", by=by)
    return codes


@transaction.atomic
def reset_second_step(*, by: Person | None, person: Person, session: str | None = None) -> None:
    """Forget somebody's app and recovery codes (their own, or an administrator's doing): they set up anew.

    They are signed out everywhere but in `session`: an open browser, which somebody else may have, knows the password
    as it were, and would be led to set up an app of its own.
    """
    _end_sessions(person, but=session)
    TOTPDevice.objects.filter(user=person).delete()
    StaticDevice.objects.filter(user=person).delete()
    note("reset a second step", by=by, about=f"person {person.pk}")


def recovery_codes_left(person: Person) -> int:
    """How many recovery codes somebody has not used."""
    return sum(device.token_set.count() for device in StaticDevice.objects.filter(user=person))


def _new_codes(person: Person) -> list[str]:
    """Recovery codes such as abcd-efgh-ijkl-mnop, shown once: what is kept are hashes."""
    device, _ = StaticDevice.objects.get_or_create(user=person, defaults={"name": "recovery codes"})
    device.token_set.all().delete()
    codes = [b32encode(secrets.token_bytes(RECOVERY_SIGNS * 5 // 8)).decode().lower() for _ in range(RECOVERY_CODES)]
    for code in codes:
        device.token_set.create(token=_kept(code))
    return ["-".join(re.findall("....", code)) for code in codes]


def _kept(code: str) -> str:
    """A recovery code as it is kept: 16 signs, of its hash. Salt is for what people think up; these are random."""
    return b32encode(hashlib.sha256(code.encode()).digest()).decode().lower()[:16]


def _plain(code: str) -> str:
    """A code without the blanks and dashes that make it readable."""
    return re.sub(r"[\s-]", "", code).lower()


def _wait(why: dict[str, object] | None) -> str:
    """How long until another code is looked at."""
    until = (why or {}).get("locked_until")
    seconds = max(1, math.ceil((until - now()).total_seconds())) if until else 1  # type: ignore[operator]
    if seconds < 120:
        return "1 second" if seconds == 1 else f"{seconds} seconds"
    return f"{math.ceil(seconds / 60)} minutes"


# ---- the register ----------------------------------------------------------------------------------


@transaction.atomic
def add_region(*, by: Person | None, code: str, name: str) -> Region:
    """Add a regional team. One that is there keeps its name."""
    region, made = Region.objects.get_or_create(code=code, defaults={"name": name})
    if made:
        note("added a region", by=by, about=code)
    return region


@transaction.atomic
def add_agency(*, by: Person | None, code: str, name: str, region: Region, opened: date, dat: str = "") -> Agency:
    """Enter an agency into the register. Raises `Refused` where its code is taken."""
    try:
        with transaction.atomic():
            agency = Agency.objects.create(code=code, name=name, region=region, dat=dat, opened=opened)
    except IntegrityError:
        raise Refused("This code is in the register already: enter one that is not taken") from None
    note("added an agency", by=by, agency=agency, about=code)
    return agency


@transaction.atomic
def edit_agency(*, by: Person, agency: Agency, name: str, dat: str) -> None:
    """Correct an agency's name or DAT. Its code never changes."""
    changed = [column for column, value in (("name", name), ("dat", dat)) if getattr(agency, column) != value]
    if changed:
        agency.name, agency.dat = name, dat
        agency.save(update_fields=changed)
        note("edited an agency", by=by, agency=agency, about=agency.code, counts={"changed": " ".join(changed)})


@transaction.atomic
def close_agency(*, by: Person, agency: Agency, closed: date) -> None:
    """Give an agency its last day. Raises `Refused` where that is before its first, or the first since it reopened."""
    if closed < agency.opened:
        raise Refused("The last day must not be before the day the agency opened")
    before = agency.closures.last()
    if before and closed < before.reopened:
        raise Refused("The last day must not be before the day the agency reopened")
    agency.closed = closed
    agency.save(update_fields=["closed"])
    note("closed an agency", by=by, agency=agency, about=agency.code, counts={"last day": closed.isoformat()})


@transaction.atomic
def reopen_agency(*, by: Person, agency: Agency, reopened: date) -> Closure:
    """Open a closed agency again from a day on. Raises `Refused` where it is not closed, or not before that day."""
    agency = Agency.objects.select_for_update().get(pk=agency.pk)
    if agency.closed is None:
        raise Refused("This agency is open: there is nothing to reopen")
    if reopened <= agency.closed:
        raise Refused("The agency must reopen on a day after its last day")
    closure = Closure.objects.create(agency=agency, closed=agency.closed, reopened=reopened)
    agency.closed = None
    agency.save(update_fields=["closed"])
    note("reopened an agency", by=by, agency=agency, about=agency.code, counts={"first day": reopened.isoformat()})
    return closure


# ---- the calendar ----------------------------------------------------------------------------------


@transaction.atomic
def set_due_day(*, by: Person, month: Month, due: date) -> None:
    """Enter into the calendar by which day agencies submit for a month. Raises `Refused` for a day of another month."""
    if not month.after.first <= due <= month.after.last:
        # A file sent later would count for the month after, and so would come too late on its day.
        raise Refused(f"Enter a day in {month.after.name}, when files for {month.name} are sent")
    before = month.due
    DueDay.objects.update_or_create(month=month.first, defaults={"due": due})
    counts = {"due": due.isoformat(), "before": before.isoformat()}
    note("set a due day", by=by, about=str(month), counts=counts)


@transaction.atomic
def remove_due_day(*, by: Person, month: Month) -> None:
    """Take a month's entry out of the calendar: it is due on the usual day. Where there is none, nothing is done."""
    before = month.due
    if DueDay.objects.filter(month=month.first).delete()[0]:
        counts = {"due": month.usual.isoformat(), "before": before.isoformat()}
        note("removed a due day", by=by, about=str(month), counts=counts)
