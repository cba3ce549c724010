"""Agencies, the calendar by which they submit, people with their roles, invitations, and the audit trail."""

from __future__ import annotations

from typing import Any, ClassVar, NoReturn

from django.contrib.auth.models import AbstractBaseUser, BaseUserManager
from django.core.validators import RegexValidator
from django.db import models
from django.db.models import Q
from django.db.models.functions import Lower

AGENCY_CODE = RegexValidator(
    r"^[A-Z]{1,2}[0-9]{3,4}$", "An agency code is one or two capital letters and three or four figures, such as CJ123"
)


class Region(models.Model):
    """A regional team of NDTMS, which allocates agency codes."""

    code = models.CharField(max_length=4, unique=True)
    name = models.CharField(max_length=80)

    def __str__(self) -> str:
        return self.name


class Agency(models.Model):
    """An agency of the register. `opened` and `closed` are its first and last day (None: still open)."""

    code = models.CharField(max_length=6, unique=True, validators=[AGENCY_CODE])
    name = models.CharField(max_length=120)
    region = models.ForeignKey(Region, models.PROTECT, related_name="agencies")
    dat = models.CharField("DAT", max_length=6, blank=True)
    opened = models.DateField()
    closed = models.DateField(null=True, blank=True)

    class Meta:
        """In the order of their codes."""

        ordering: ClassVar = ["code"]
        constraints: ClassVar = [
            models.CheckConstraint(
                condition=Q(closed=None) | Q(closed__gte=models.F("opened")), name="agency_closed_after_opened"
            )
        ]

    def __str__(self) -> str:
        return f"{self.code} {self.name}"


class Closure(models.Model):
    """A time in which an agency was closed, ended by its reopening: `closed` was its last day, `reopened` its first."""

    agency = models.ForeignKey(Agency, models.CASCADE, related_name="closures")
    closed = models.DateField()
    reopened = models.DateField()

    class Meta:
        """The earliest first."""

        ordering: ClassVar = ["closed"]
        constraints: ClassVar = [
            models.CheckConstraint(condition=Q(reopened__gt=models.F("closed")), name="closure_ends_after_it_begins")
        ]


class DueDay(models.Model):
    """An entry of the calendar: the day by which agencies submit for a month, which is named by its first day.

    A month without an entry is due on the day of the setting SUBMIT_BY: `calendar` says when.
    """

    month = models.DateField(unique=True)
    due = models.DateField()

    class Meta:
        """The earliest first."""

        ordering: ClassVar = ["month"]
        constraints: ClassVar = [
            models.CheckConstraint(condition=Q(due__gt=models.F("month")), name="due_day_after_its_month_begins")
        ]


class People(BaseUserManager["Person"]):
    """Whoever may sign in."""

    def create_user(self, email: str, password: str | None = None, *, name: str = "") -> Person:
        """Somebody who may sign in; without a password only once they have set one."""
        person = self.model(email=email.strip().lower(), name=name)
        person.set_password(password)
        person.save(using=self._db)
        return person


class Person(AbstractBaseUser):
    """Somebody who may sign in, by e-mail address, password and second step."""

    email = models.EmailField(unique=True)
    name = models.CharField(max_length=120)
    is_active = models.BooleanField(default=True)
    joined = models.DateTimeField(auto_now_add=True)

    objects: ClassVar[People] = People()
    USERNAME_FIELD = "email"
    REQUIRED_FIELDS: ClassVar = ["name"]

    class Meta:
        """One person an address, whatever its case."""

        constraints: ClassVar = [models.UniqueConstraint(Lower("email"), name="person_email_once")]

    def __str__(self) -> str:
        return self.name or self.email


class Role(models.TextChoices):
    """What somebody may do. What each may see is in `access`."""

    PROVIDER = "provider", "Provider user"
    KEYWORKER = "keyworker", "Keyworker"
    MANAGER = "manager", "Manager of a caseload"
    REGIONAL = "regional", "Regional staff"
    NATIONAL = "national", "National staff"
    ANALYST = "analyst", "Analyst"
    ADMINISTRATOR = "administrator", "Administrator"


#: The roles that are of an agency.
OF_AN_AGENCY = (Role.PROVIDER, Role.KEYWORKER, Role.MANAGER)

_PLACE = (
    Q(role__in=OF_AN_AGENCY, agency__isnull=False, region=None)
    | Q(role=Role.REGIONAL, agency=None, region__isnull=False)
    | Q(role__in=[Role.NATIONAL, Role.ANALYST, Role.ADMINISTRATOR], agency=None, region=None)
)


class Membership(models.Model):
    """A role of a person: those of `OF_AN_AGENCY` are of an agency, regional staff's is of a region."""

    person = models.ForeignKey(Person, models.CASCADE, related_name="memberships")
    role = models.CharField(max_length=16, choices=Role.choices)
    agency = models.ForeignKey(Agency, models.CASCADE, null=True, blank=True, related_name="memberships")
    region = models.ForeignKey(Region, models.CASCADE, null=True, blank=True, related_name="memberships")

    class Meta:
        """Each role in its place, once."""

        constraints: ClassVar = [
            models.CheckConstraint(condition=_PLACE, name="membership_has_its_place"),
            # Three, since to SQLite two blanks are never the same.
            models.UniqueConstraint(
                fields=["person", "role", "agency"], condition=Q(agency__isnull=False), name="membership_of_agency_once"
            ),
            models.UniqueConstraint(
                fields=["person", "role", "region"], condition=Q(region__isnull=False), name="membership_of_region_once"
            ),
            models.UniqueConstraint(
                fields=["person", "role"], condition=Q(agency=None, region=None), name="membership_of_none_once"
            ),
        ]

    def __str__(self) -> str:
        where = self.agency or self.region
        return f"{self.get_role_display()}{f', {where}' if where else ''}"


class Invitation(models.Model):
    """An invitation by e-mail; of its token only a hash is kept."""

    email = models.EmailField()
    name = models.CharField(max_length=120)
    role = models.CharField(max_length=16, choices=Role.choices)
    agency = models.ForeignKey(Agency, models.CASCADE, null=True, blank=True)
    region = models.ForeignKey(Region, models.CASCADE, null=True, blank=True)
    token = models.CharField(max_length=64, unique=True)
    made = models.DateTimeField(auto_now_add=True)
    by = models.ForeignKey(Person, models.SET_NULL, null=True, related_name="+")
    expires = models.DateTimeField()
    accepted = models.DateTimeField(null=True)

    class Meta:
        """The role in its place."""

        constraints: ClassVar = [models.CheckConstraint(condition=_PLACE, name="invitation_has_its_place")]


class LinkRequest(models.Model):
    """That somebody asked for a link to set a new password: for which e-mail address, and from where.

    Kept for the hour in which it counts. Both are hashes, since most addresses anybody types may be nobody's.
    """

    email = models.CharField(max_length=64)
    origin = models.CharField(max_length=64)
    at = models.DateTimeField(auto_now_add=True, db_index=True)


class AuditEvents(models.QuerySet["AuditEvent"]):
    """Events of the audit trail, to be read only."""

    def _refuse(self, *_args: object, **_options: object) -> NoReturn:
        raise TypeError("an audit event is appended and never altered")

    update = delete = bulk_update = bulk_create = _refuse


class AuditEvent(models.Model):
    """Who did what, when, from where: appended and never altered, without any value of a record.

    The database holds to that too, by triggers (migration 0003): only the links to a person and an agency that go
    may be emptied. SQLite forgets triggers where a migration changes this table; such a migration makes them again.

    `who` is the address of the person at that time, kept when the account goes. `action` is a verb phrase, such as
    `accepted a submission`; `about` names the thing by its number or code; `counts` are figures only.
    """

    at = models.DateTimeField(auto_now_add=True, db_index=True)
    person = models.ForeignKey(Person, models.SET_NULL, null=True, related_name="+")
    who = models.CharField(max_length=254)
    agency = models.ForeignKey(Agency, models.SET_NULL, null=True, related_name="+")
    action = models.CharField(max_length=80)
    about = models.CharField(max_length=80, blank=True)
    counts = models.JSONField(default=dict)
    address = models.CharField(max_length=45, blank=True)

    objects: ClassVar[models.Manager[AuditEvent]] = models.Manager.from_queryset(AuditEvents)()

    class Meta:
        """Newest first."""

        ordering: ClassVar = ["-id"]

    def save(self, *_args: Any, using: str | None = None, **_options: Any) -> None:
        """Append the event. Raises TypeError for one that is there already."""
        if not self._state.adding:
            raise TypeError("an audit event is appended and never altered")
        super().save(force_insert=True, using=using)

    def delete(self, *_args: Any, **_options: Any) -> NoReturn:
        """Raises TypeError: an event is never deleted."""
        raise TypeError("an audit event is appended and never altered")
