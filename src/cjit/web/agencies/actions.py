"""All that changes people, their roles and second step, and the register of agencies.

Each is keyword-only with `by=` the actor (None: somebody at the service's own command line), in one transaction, and
appends its audit event. The audit trail names people by their number, never by their address.
"""

from __future__ import annotations

import hashlib
import math
import re
import secrets
from base64 import b32encode
from datetime import date, timedelta

from axes.utils import reset as forget_attempts
from django.db import IntegrityError, transaction
from django.utils.timezone import now
from django_otp.models import Device
from django_otp.plugins.otp_static.models import StaticDevice
from django_otp.plugins.otp_totp.models import TOTPDevice

from cjit.web.agencies.audit import note
from cjit.web.agencies.models import Agency, Invitation, Membership, Person, Region, Role

INVITATION_LASTS = timedelta(days=7)
#: How many recovery codes somebody is given, and how many signs (5 bits each) one has.
RECOVERY_CODES, RECOVERY_SIGNS = 8, 16


class Refused(ValueError):  # noqa: N818 - a slip of the user's, told in one sentence
    """What was asked cannot be done. The text is one sentence that says why and what to do."""


# ---- invitations -----------------------------------------------------------------------------------


@transaction.atomic
def invite(
    *, by: Person | None, email: str, name: str, role: str, agency: Agency | None = None, region: Region | None = None
) -> tuple[Invitation, str]:
    """Invite somebody to a role in its place. Returns the invitation and its token, of which only a hash is kept.

    Earlier invitations to the address end. Raises `Refused` where the address has an account.
    """
    email = email.strip().lower()
    if Person.objects.filter(email=email).exists():
        raise Refused("This e-mail address has an account already: open it under People and give it the role there")
    Invitation.objects.filter(email=email, accepted=None, expires__gt=now()).update(expires=now())
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
    if Invitation.objects.filter(pk=invitation.pk, accepted=None, expires__gt=now()).update(expires=now()):
        note("withdrew an invitation", by=by, agency=invitation.agency, about=f"invitation {invitation.pk}")


def invitation_of(token: str) -> Invitation | None:
    """The invitation a token opens; None where it was used, withdrawn, is too old, or never was."""
    return Invitation.objects.filter(token=_hash(token), accepted=None, expires__gt=now()).first()


@transaction.atomic
def accept_invitation(*, token: str, name: str, password: str) -> Person:
    """Make the account somebody was invited to. It is they who act. Raises `Refused` where the token opens nothing."""
    found = invitation_of(token)
    invitation = found and Invitation.objects.select_for_update().get(pk=found.pk)
    if not invitation or invitation.accepted or Person.objects.filter(email=invitation.email).exists():
        raise Refused("This invitation can no longer be used: ask whoever invited you for another")
    person = Person.objects.create_user(invitation.email, password, name=name)
    Membership.objects.create(person=person, role=invitation.role, agency=invitation.agency, region=invitation.region)
    invitation.accepted = now()
    invitation.save(update_fields=["accepted"])
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


def check_code(*, by: Person, code: str) -> Device:
    """Take the second step of signing in, by the app's code or a recovery code, which is then used up.

    Each wrong code doubles the time until another is looked at. Raises `Refused` for a wrong code, or one too soon.
    """
    code = _plain(code)
    kind: type[TOTPDevice | StaticDevice] = TOTPDevice if re.fullmatch("[0-9]{6}", code) else StaticDevice
    with transaction.atomic():
        device = kind.objects.select_for_update().filter(user=by, confirmed=True).first()
        allowed, why = device.verify_is_allowed() if device else (True, None)
        right = bool(device and device.verify_token(code if kind is TOTPDevice else _kept(code)))
        if allowed:
            step = "app" if kind is TOTPDevice else "recovery code"
            note("signed in" if right else "gave a wrong code", by=by, counts={"second step": step})
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
def reset_second_step(*, by: Person | None, person: Person) -> None:
    """Forget somebody's app and recovery codes (their own, or an administrator's doing): they set up anew."""
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
    """Give an agency its last day. Raises `Refused` where that is before its first."""
    if closed < agency.opened:
        raise Refused("The last day must not be before the day the agency opened")
    agency.closed = closed
    agency.save(update_fields=["closed"])
    note("closed an agency", by=by, agency=agency, about=agency.code, counts={"last day": closed.isoformat()})
